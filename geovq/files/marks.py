"""geovq's mark: what a file or a folder is, what wrote it, and the hash of its bytes.

A mark is one JSON object: `format` (`geovq` and the kind), `version` of that format, `written_by`,
and `sha256`, of the whole file with `HOLE` in place of these 64 digits. An npz file has it as the
comment of its zip archive, a safetensors file in its metadata, and a folder in `geovq.json`, where
`files` has the hash of each file too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from geovq import __version__
from geovq.errors import InputError

__all__ = [
    "MARK_FILE",
    "Mark",
    "check_files",
    "file_mark",
    "folder_mark",
    "mark_text",
    "seal",
]

MARK_FILE = "geovq.json"
VERSION = 1  # of all formats together
HOLE = b"<64 characters that the SHA-256 of this file takes the place of>"
CHUNK = 1 << 20
MOST_HEADER = 100_000_000  # bytes, as safetensors has it
END_OF_ZIP = b"PK\5\6"


@dataclass(frozen=True)
class Mark:
    """What a mark says.

    Attributes
    ----------
    kind : str
        `model`, `pictures`, `tokens`, ...
    files : mapping of str to str
        Of a folder: names of its files, and the SHA-256 of each.
    said : mapping
        All of the mark.
    """

    kind: str
    files: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)


def mark_text(kind: str, **more: Any) -> str:
    """A mark as JSON, with a hole for the hash; `more` are further entries of it."""
    tree = {"format": f"geovq {kind}", "version": VERSION, "written_by": f"geovq {__version__}"}
    return json.dumps({**tree, **more, "sha256": HOLE.decode()})


def seal(stream: BinaryIO, near: int = 0) -> None:
    """Put the hash of a file in place of the hole in it.

    Parameters
    ----------
    stream : binary file, read and written
    near : int
        Where the hole is at the earliest.
    """
    stream.seek(near)
    at = near + stream.read(MOST_HEADER).index(HOLE)
    digest = _digest(stream, at)
    stream.seek(at)
    stream.write(digest)


def file_mark(path: str | os.PathLike[str], *, checked: bool = True) -> Mark | None:
    """The mark of an npz or safetensors file; None if it has none, as a file of somebody else's.

    Parameters
    ----------
    path : path-like
    checked : bool
        Whether the whole file is read, and its hash compared.

    Raises
    ------
    InputError
        The mark is not whole, or does not fit the file: it is damaged.
    """
    with open(path, "rb") as stream:
        start = stream.read(8)
        zipped = start.startswith((b"PK\3\4", END_OF_ZIP))
        at, region, text = _zip_comment(stream) if zipped else _metadata(stream, start)
        if not text:
            return None
        mark = _parsed(text)
        if mark is None or region.count(digest := mark.said["sha256"].encode()) != 1:
            raise InputError(f"{path}: damaged: its mark is not whole")
        if checked and _digest(stream, at + region.index(digest)) != digest:
            raise InputError(f"{path}: damaged: its content has not the hash in its mark")
        return mark


def folder_mark(folder: str | os.PathLike[str]) -> Mark | None:
    """The mark of a folder; None if it has none that is whole."""
    try:
        with open(Path(folder) / MARK_FILE, "rb") as stream:
            mark = _parsed(text := stream.read(MOST_HEADER))
            if mark is None:
                return None
            digest = mark.said["sha256"].encode()
            return mark if _digest(stream, text.index(digest)) == digest else None
    except OSError:
        return None


def check_files(folder: str | os.PathLike[str], kind: str, *, loose: Collection[str] = ()) -> Mark:
    """Compare the files of a folder with the hashes in its mark.

    Parameters
    ----------
    folder : path-like
    kind : str
        Of which it has to be.
    loose : collection of str
        Files that may have changed, or be absent.

    Raises
    ------
    InputError
        The folder is not of this kind, a file of it is absent, or one has changed.
    """
    mark = folder_mark(folder)
    if mark is None or mark.kind != kind:
        said = f"its mark, {MARK_FILE}, is absent or damaged" if mark is None else mark.kind
        raise InputError(f"{folder}: {said}; allowed: a {kind} that geovq wrote")
    for name, digest in mark.files.items():
        if name in loose:
            continue
        path = Path(folder) / name
        try:
            with open(path, "rb") as stream:
                found = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}; it belongs to this {kind}") from None
        if found != digest:
            raise InputError(
                f"{path}: not the file that this {kind} was written with: damaged, or another's"
            )
    return mark


def _digest(stream: BinaryIO, at: int) -> bytes:
    """SHA-256 of a file with the hole at `at`, as 64 digits."""
    found = hashlib.sha256()
    stream.seek(0)
    while at > 0 and (part := stream.read(min(CHUNK, at))):
        found.update(part)
        at -= len(part)
    found.update(HOLE)
    stream.seek(len(HOLE), os.SEEK_CUR)
    while part := stream.read(CHUNK):
        found.update(part)
    return found.hexdigest().encode()


def _parsed(text: bytes | str) -> Mark | None:
    try:
        tree = json.loads(text)
        geovq, kind = tree["format"].split(" ", 1)
        files = tree.get("files", {})
        plain = all(
            isinstance(digest, str) and name == Path(name).name for name, digest in files.items()
        )
        hashed = isinstance(tree["sha256"], str) and len(tree["sha256"]) == len(HOLE)
        if geovq == "geovq" and tree["version"] == VERSION and plain and hashed:
            return Mark(kind, files, tree)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return None


def _zip_comment(stream: BinaryIO) -> tuple[int, bytes, bytes]:
    """Where the comment of a zip archive begins, and twice what it is."""
    size = stream.seek(0, os.SEEK_END)
    start = stream.seek(max(0, size - (1 << 16) - 22))
    tail = stream.read()
    end = tail.rfind(END_OF_ZIP) + 22
    comment = tail[end:] if end >= 22 else b""
    return start + end, comment, comment


def _metadata(stream: BinaryIO, start: bytes) -> tuple[int, bytes, str]:
    """Where the header of a safetensors file begins, what it is, and the mark in it."""
    length = int.from_bytes(start, "little")
    header = stream.read(length) if length <= MOST_HEADER else b""
    try:
        return 8, header, json.loads(header)["__metadata__"]["architecture"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 8, header, ""
