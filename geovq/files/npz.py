"""Files of named arrays from anywhere: what they claim is checked before any memory is taken."""

from __future__ import annotations

import io
import math
import os
import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO
from zipfile import ZipFile as Archive
from zipfile import ZipInfo as Member

import numpy as np
from numpy.lib import format as npy

from geovq.errors import InputError
from geovq.files.reading import free_memory, gigabytes, one_line, open_regular

__all__ = ["npz_shapes", "read_npz"]

Members = dict[str, tuple[Member, tuple[int, ...]]]  # arrays by name, with their shapes
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
LONGEST = 10_000  # characters of a header; numpy's own are below 200, its own limit is this
KINDS = "biufcmMSU"  # of numpy's dtypes: truth values, numbers, times, text
END = "<10xH10x"  # the last record of a zip archive, and in it the number of entries
DENSEST = 800  # deflate makes zeros 1,026 times smaller, and images of mostly zeros 414 times
HARMLESS = 100_000_000  # bytes
OTHERS = {
    b"\x93NUMPY": "a single array (.npy); np.savez makes an .npz of it",
    b"\x89HDF": "it is HDF5; np.savez makes an .npz of its arrays",
    b"\x80": "it begins like a pickle, which is never loaded",
}


def read_npz(path: str | os.PathLike[str], *, most: int | None = None) -> dict[str, np.ndarray]:
    """Read every array of an npz file, in the file's order and in the machine's byte order.

    Parameters
    ----------
    path : path-like
    most : int, optional
        Bytes that the arrays may take together; by default the memory that is free now.

    Raises
    ------
    InputError
        The file is absent, no regular file, not whole, or no npz; two arrays have one name; one is
        encrypted, packed in another way than stored or deflated, of Python objects or of records,
        or its header does not fit its size; or all are larger than `most`, or than 100 MB and 800
        times the file.
    """
    with _opened(path, most) as (archive, members):
        return {name: _array(archive, member) for name, (member, _) in members.items()}


def npz_shapes(path: str | os.PathLike[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays of an npz file, by their headers alone; raises what `read_npz` does."""
    with _opened(path, None) as (_, members):
        return {name: shape for name, (_, shape) in members.items()}


@contextmanager
def _opened(path: str | os.PathLike[str], most: int | None) -> Iterator[tuple[Archive, Members]]:
    """Give an archive, and its arrays, of which all but the contents has been checked."""
    with open_regular(path, ".npz file") as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of numpy and of Python, about odd headers
        try:
            _check_start(path, stream)
            with Archive(stream) as archive:
                _check_count(stream, archive)
                members = _members(path, archive)
                _check_sizes(path, members, os.fstat(stream.fileno()).st_size, most)
                yield (
                    archive,
                    {
                        name: (member, _checked_shape(path, name, archive, member))
                        for name, member in members.items()
                    },
                )
        except InputError:
            raise
        except MemoryError:
            raise InputError(f"{path}: its arrays do not fit into memory") from None
        # Whatever zipfile, zlib, ast and numpy raise at bytes that are not as they should be.
        except Exception as error:
            raise InputError(f"{path}: not a whole .npz file ({one_line(error)})") from None


def _check_start(path: str | os.PathLike[str], stream: BinaryIO) -> None:
    start = stream.read(8)
    for magic, text in OTHERS.items():
        if start.startswith(magic):
            raise InputError(f"{path}: {text}; allowed: an .npz of named arrays")
    if not start.startswith(b"PK"):
        raise InputError(f"{path}: not a whole .npz file (no zip archive begins it)")


def _check_count(stream: BinaryIO, archive: Archive) -> None:
    """Compare the directory with its own count: one bit can hide an array from zipfile."""
    end = struct.calcsize(END)
    stream.seek(-end - len(archive.comment), os.SEEK_END)
    (count,) = struct.unpack(END, stream.read(end))
    there = len(archive.infolist())
    if count != min(there, 0xFFFF):
        raise ValueError(f"its directory has {there} entries, and should have {count}")


def _members(path: str | os.PathLike[str], archive: Archive) -> dict[str, Member]:
    """Arrays by name; none is opened."""
    found: dict[str, Member] = {}
    for member in archive.infolist():
        name, suffix = os.path.splitext(member.filename)
        away = name.startswith("/") or ".." in name.split("/")
        if suffix != ".npy" or away or member.orig_filename != member.filename:
            raise InputError(f"{path}: holds {member.orig_filename!r}; allowed: NAME.npy, arrays")
        if name in found:
            raise InputError(f"{path}: two arrays are called {name!r}; allowed: one")
        if member.flag_bits & 0x1:
            raise InputError(f"{path}: array {name!r} is encrypted; allowed: plain arrays")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path}: array {name!r} is packed by method {member.compress_type}; "
                "allowed: 0 or 8, as np.savez and np.savez_compressed do"
            )
        found[name] = member
    if not found:
        raise InputError(f"{path}: holds no array")
    return found


def _check_sizes(
    path: str | os.PathLike[str],
    members: dict[str, Member],
    packed: int,
    most: int | None,
) -> None:
    """Refuse what would fill the memory; `packed` is the file's size, for members may overlap."""
    size = sum(member.file_size for member in members.values())
    most = free_memory() if most is None else most
    if size > most:
        raise InputError(
            f"{path}: arrays of {gigabytes(size)}; allowed: at most {gigabytes(most)}, what is free"
        )
    if size > HARMLESS and size > DENSEST * packed:
        raise InputError(
            f"{path}: arrays of {gigabytes(size)} in a file of {gigabytes(packed)}; "
            f"allowed: at most {DENSEST} times as much (np.savez does not pack)"
        )


def _checked_shape(
    path: str | os.PathLike[str], name: str, archive: Archive, member: Member
) -> tuple[int, ...]:
    """What an array says of its shape, compared with the bytes there are."""
    where = f"{path}: array {name!r}"
    with archive.open(member) as stream:
        start = io.BytesIO(stream.read(LONGEST + npy.MAGIC_LEN + 4))
    version = npy.read_magic(start)
    if version not in HEADERS:
        raise InputError(f"{where}: format {version}; allowed: 1.0 or 2.0, as of plain arrays")
    shape, _, dtype = HEADERS[version](start, max_header_size=LONGEST)
    if dtype.hasobject:
        raise InputError(
            f"{path}: holds pickled Python objects ({name!r}), which are never loaded; "
            "allowed: arrays of numbers"
        )
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise InputError(f"{where} of dtype {dtype}; allowed: numbers, truth values, text")
    declared, there = math.prod(shape) * dtype.itemsize, member.file_size - start.tell()
    if min(shape, default=0) < 0 or declared != there:
        raise InputError(
            f"{where} of shape {shape}, {dtype}: {declared} bytes, but the file has {there}"
        )
    return tuple(shape)


def _array(archive: Archive, member: Member) -> np.ndarray:
    with archive.open(member) as stream:
        array: np.ndarray = npy.read_array(stream, allow_pickle=False)
        stream.read(1)  # at the end the checksum is compared, be the array empty or not
    array = np.asarray(array, array.dtype.newbyteorder("="))
    if array.dtype.kind == "U" and array.size and array.reshape(-1).view("u4").max() > 0x10FFFF:
        raise ValueError(f"{member.filename} holds no text")
    return array
