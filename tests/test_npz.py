"""Reading npz files that are not what they seem: one line, at once, and no memory."""

import io
import os
import socket
import struct
import warnings
import zipfile

import numpy as np
import pytest
from numpy.lib import format as npy

from geovq.errors import InputError
from geovq.files.npz import read_npz


def header(shape, descr="|u1", version=(1, 0), data=b""):
    """An array as np.save writes it, but of any shape and with any data."""
    stream = io.BytesIO()
    write = {(1, 0): npy.write_array_header_1_0, (2, 0): npy.write_array_header_2_0}[version]
    write(stream, {"shape": shape, "fortran_order": False, "descr": descr})
    return stream.getvalue() + data


def archive(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there already
        for name, data in members:
            file.writestr(name, data)


def refused(path, **options):
    with pytest.raises(InputError) as error:
        read_npz(path, **options)
    message = str(error.value)
    assert str(path) in message
    assert "\n" not in message
    return message


ARRAYS = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.array(2.5),
    np.zeros((0, 3), np.float32),
    np.array(["a", "ä", "漢字"]),
    np.array(b"bytes"),
    np.array([True, False]),
    np.array([1 + 2j]),
    np.array(["2020-01-01"], "datetime64[D]"),
    np.array([1.5, -2], ">f8"),
    np.array(["ab"], ">U2"),
]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_ordinary_arrays_are_read_as_numpy_reads_them(tmp_path, save):
    path = tmp_path / "a.npz"
    save(path, **{f"deep/{i}": array for i, array in enumerate(ARRAYS)})
    found = read_npz(path)
    assert list(found) == [f"deep/{i}" for i in range(len(ARRAYS))]
    for before, after in zip(ARRAYS, found.values(), strict=True):
        assert before.shape == after.shape
        assert (before == after).all()
        assert after.dtype == before.dtype.newbyteorder("=")
        assert after.flags.writeable


def test_a_link_to_a_file_is_a_file(tmp_path):
    np.savez(tmp_path / "a.npz", a=1)
    (tmp_path / "b.npz").symlink_to(tmp_path / "a.npz")
    assert read_npz(str(tmp_path / "b.npz"))["a"] == 1


def test_only_regular_files_are_opened(tmp_path):
    path = tmp_path / "a.npz"
    assert refused(path).endswith("no such file")
    path.symlink_to(tmp_path / "nowhere")
    assert refused(path).endswith("no such file")
    path.unlink()
    path.symlink_to("/dev/zero")
    assert refused(path).endswith("not a whole .npz file (it is a device)")
    path.unlink()
    os.mkfifo(path)
    assert refused(path).endswith("not a whole .npz file (it is a pipe)")
    path.unlink()
    path.mkdir()
    assert refused(path).endswith("not a whole .npz file (it is a folder)")
    path.rmdir()
    path.touch()
    assert refused(path).endswith("not a whole .npz file (it is empty)")
    assert refused(path / "below").endswith("no such file")
    with pytest.raises(InputError, match="no name of a file"):
        read_npz("a\0b")
    assert "cannot be read" in refused(tmp_path / ("a" * 300))


def test_a_socket_is_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path has to be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.npz")
        assert refused("a.npz").endswith("(it is a socket)")


def test_what_may_not_be_read_says_so(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", a=1)

    def closed(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", closed)
    assert refused(tmp_path / "a.npz").endswith("cannot be read (Permission denied)")


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"\x93NUMPY\x01\x00v\x00", "a single array (.npy); np.savez makes"),
        (b"\x89HDF\r\n\x1a\n", "it is HDF5; np.savez makes"),
        (b"\x80\x04\x95", "it begins like a pickle, which is never loaded"),
        (b"images\n", "not a whole .npz file (no zip archive begins it)"),
        (b"PK\x03\x04", "not a whole .npz file (File is not a zip file)"),
        (b"\x00" * 1000, "not a whole .npz file (no zip archive begins it)"),
    ],
)
def test_other_kinds_of_file_are_told(tmp_path, start, message):
    (tmp_path / "a.npz").write_bytes(start)
    assert message in refused(tmp_path / "a.npz")


one = header((1,), data=b"a")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "holds no array"),
        ([("a.npy", one), ("a.npy", one)], "two arrays are called 'a'; allowed: one"),
        ([("a", one), ("a.npy", one)], "holds 'a'; allowed: NAME.npy"),
        ([("mimetype", b"text")], "holds 'mimetype'; allowed: NAME.npy"),
        ([("folder/", b"")], "holds 'folder/'; allowed: NAME.npy"),
        ([("/etc/a.npy", one)], "holds '/etc/a.npy'; allowed"),
        ([("b/../../a.npy", one)], "holds 'b/../../a.npy'; allowed"),
        ([("a.npy", b"")], "not a whole .npz file (EOF: reading magic string"),
        ([("a.npy", b"text, not an array")], "not a whole .npz file (the magic string is not"),
        ([("a.npy", header((10**12,)))], "of shape (1000000000000,), uint8: 1000000000000 bytes"),
        ([("a.npy", header((2**40, 2**40)))], "bytes, but the file has 0"),
        ([("a.npy", header((3,), data=b"ab"))], "3 bytes, but the file has 2"),
        ([("a.npy", header((3,), data=b"abcd"))], "3 bytes, but the file has 4"),
        ([("a.npy", header((), "<f8", data=bytes(7)))], "8 bytes, but the file has 7"),
        ([("a.npy", header((-1,), data=b""))], "of shape (-1,), uint8"),
        ([("a.npy", header((-1, -1), data=b"a"))], "of shape (-1, -1), uint8"),
        ([("a.npy", header((0, 10**30)))], "not a whole .npz file"),
        ([("a.npy", header((1,) * 70, data=b"a"))], "not a whole .npz file (maximum supported"),
        ([("a.npy", header((10**12,), "<U0"))], "of dtype <U0; allowed: numbers"),
        ([("a.npy", header((1,), [("x", "<f8")], data=bytes(8)))], "of dtype [('x', '<f8')]"),
        ([("a.npy", header((1,), "(2,)f8", data=bytes(16)))], "of dtype ('<f8', (2,))"),
        ([("a.npy", header((1,), "|V2", data=bytes(2)))], "of dtype |V2; allowed: numbers"),
        ([("a.npy", header((1,), "|O", data=b"pickle"))], "holds pickled Python objects ('a')"),
        ([("a.npy", header((1,), "<U1", data=b"\xff" * 4))], "a.npy holds no text"),
        ([("a.npy", header((1,), "x9", data=b"a"))], "not a whole .npz file"),
        ([("a.npy", b"\x93NUMPY\3\0" + bytes(99))], "format (3, 0); allowed: 1.0 or 2.0"),
        ([("a.npy", b"\x93NUMPY\2\0" + struct.pack("<I", 2**31))], "expected 2147483648 bytes got"),
        ([("a.npy", b"\x93NUMPY\1\0" + struct.pack("<H", 9000) + b"[" * 9000)], "not a whole"),
        ([("a.npy", b"\x93NUMPY\1\0" + struct.pack("<H", 4) + b"1j+1")], "not a whole"),
        ([("b.npy", one), ("a.npy", header((9,)))], "array 'a' of shape (9,)"),
    ],
)
def test_archives_that_are_no_npz_are_told(tmp_path, members, message):
    archive(tmp_path / "a.npz", members)
    assert message in refused(tmp_path / "a.npz")


def test_a_header_of_the_second_version_is_read(tmp_path):
    archive(tmp_path / "a.npz", [("a.npy", header((2,), version=(2, 0), data=b"ab"))])
    assert (read_npz(tmp_path / "a.npz")["a"] == [97, 98]).all()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack_are_refused(tmp_path, method):
    archive(tmp_path / "a.npz", [("a.npy", one)], method)
    assert f"is packed by method {method}; allowed: 0 or 8" in refused(tmp_path / "a.npz")


def test_an_encrypted_array_is_told(tmp_path):
    path = tmp_path / "a.npz"
    archive(path, [("a.npy", one)])
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    assert "array 'a' is encrypted" in refused(path)


def test_a_name_with_an_end_inside_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    archive(path, [("a.npy_b.npy", one)])
    path.write_bytes(path.read_bytes().replace(b"a.npy_b", b"a.npy\0b"))
    assert r"holds 'a.npy\x00b.npy'" in refused(path)


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(2_000_000, np.uint8))
    assert len(read_npz(path)["a"]) == 2_000_000  # as images of nothing may be
    assert refused(path, most=1000).endswith(
        "arrays of 0.002 GB; allowed: at most 1e-06 GB, what is free"
    )
    monkeypatch.setattr("geovq.files.npz.HARMLESS", 1_000_000)
    assert "allowed: at most 800 times as much" in refused(path)
    np.savez(path, a=np.zeros(2_000_000, np.uint8))
    assert len(read_npz(path)["a"]) == 2_000_000


def test_memory_that_is_not_there_is_told(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", a=1)

    def full(*args, **kwargs):
        raise MemoryError

    monkeypatch.setattr("geovq.files.npz._array", full)
    assert refused(tmp_path / "a.npz").endswith("its arrays do not fit into memory")


def test_what_is_free_is_told_by_the_system_or_taken_as_all(monkeypatch):
    from geovq.files.reading import free_memory

    assert 1e6 < free_memory() < 1e15
    monkeypatch.setattr("geovq.files.reading.Path", lambda name: (_ for _ in ()).throw(OSError))
    assert 1e6 < free_memory() < 1e15


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("size", [0, 1, 4096, 10_000, 1_000_000])
def test_checksums_are_compared_however_much_there_is(tmp_path, rng, save, size):
    path = tmp_path / "a.npz"
    save(path, a=rng.integers(256, size=size, dtype=np.uint8))
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\1\2") + 16] ^= 1
    path.write_bytes(data)
    assert "Bad CRC-32 for file 'a.npy'" in refused(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_byte_can_be_changed_or_lost_unnoticed(tmp_path, rng, save):
    """Every array that is read is what was written, whichever byte was flipped or file cut."""
    path = tmp_path / "a.npz"
    before = {"a": rng.random((3, 4)), "b": np.arange(5)}
    save(path, **before)
    whole = path.read_bytes()
    for position in range(len(whole)):
        for data in (
            whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :],
            whole[:position],
        ):
            path.write_bytes(data)
            try:
                after = read_npz(path)
            except InputError:
                continue
            assert after.keys() == before.keys()
            assert all(np.array_equal(after[name], before[name]) for name in before)
