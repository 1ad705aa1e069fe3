"""Readers fed with damaged files: `python -m checks.fuzz_readers 5000`.

Valid files of each kind have bytes changed, inserted, removed or repeated, and are read. A reader
may give what was there before, or refuse in an `InputError` of one line; anything else it raises is
a crash, anything longer than the limit a hang. Kinds with checksums must not give another array;
the others may, for nothing in them tells. `damaged` depends on seed and number alone, so that any
execution can be looked at again.
"""

import argparse
import faulthandler
import gzip
import io
import os
import resource
import signal
import struct
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # not in the tests, whose later ones look at progress bars
    os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
from PIL import Image
from tabulate import tabulate

from geovq.data.folders import load_folder
from geovq.data.idx import read_idx
from geovq.errors import InputError
from geovq.files.npz import read_npz

LIMIT = 2.0  # seconds
MEMORY = 4 << 30  # bytes of address space beyond what is in use at the start
OUTCOMES = ("unchanged", "refused", "changed", "crash", "hang")
NUMBERS = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Kind:
    """Valid files of one kind, and how they are read.

    Parameters
    ----------
    name : str
        Of the file.
    data : bytes
    read : callable
        A path's arrays.
    checked : bool
        Whether the format can tell that its content was changed.
    mend : callable
        Makes damaged bytes a file whose checksums are right again.
    """

    name: str
    data: bytes
    read: Callable[[Path], Arrays]
    checked: bool
    mend: Callable[[bytes], bytes] = bytes


class Hang(BaseException):
    """The time is over; no `Exception`, which a reader would take for a fault of the file."""


def _picture(path: Path) -> Arrays:
    images, _ = load_folder(path.parent)
    return {"images": images}


def _idx(path: Path) -> Arrays:
    return {"images": read_idx(path, 3)}


def make_files() -> dict[str, Kind]:
    """Valid files of every kind that is read."""
    random = np.random.default_rng(0)
    kinds = {}
    arrays: dict[str, np.ndarray] = {
        "images": random.integers(0, 256, (3, 8, 8), dtype=np.uint8),
        "means": random.standard_normal((3, 2)),
        "names": np.array(["a", "ä", "b"]),
    }
    for title, save in (("npz", np.savez), ("npz, packed", np.savez_compressed)):
        stream = io.BytesIO()
        save(stream, **arrays)  # type: ignore[arg-type]
        kinds[title] = Kind("a.npz", stream.getvalue(), read_npz, True)
    stream = io.BytesIO()
    np.save(stream, arrays["means"])
    kinds["npy in a whole npz"] = Kind("a.npz", stream.getvalue(), read_npz, False, _zipped)

    grey = Image.fromarray(random.integers(0, 256, (16, 24), dtype=np.uint8))
    bands = [grey, grey.rotate(180), grey.transpose(Image.Transpose.FLIP_TOP_BOTTOM)]
    colour = Image.merge("RGB", bands)
    exif = Image.Exif()
    exif[0x0112] = 6
    for title, image, options in (
        ("png", colour, {}),
        ("png", grey.convert("P"), {"exif": exif}),
        ("jpg", colour, {"exif": exif}),
        ("jpg", grey, {"progressive": True}),
        ("gif", colour.quantize(64), {}),
        ("tif", colour, {"exif": exif}),
        ("tif", grey, {"compression": "tiff_adobe_deflate"}),
        ("tif", grey, {"compression": "tiff_lzw"}),
        ("tif", colour, {"compression": "jpeg"}),
        ("bmp", colour, {}),
        ("bmp", grey, {}),
        ("webp", colour, {"lossless": True, "exif": exif}),
        ("webp", colour, {}),
    ):
        stream = io.BytesIO()
        image.save(stream, {"jpg": "JPEG", "tif": "TIFF"}.get(title, title), **options)
        name, data = f"a.{title}", stream.getvalue()
        number = sum(key.startswith(title) for key in kinds)
        kinds[f"{title} {number + 1}"] = Kind(name, data, _picture, title == "png")
    for title in ("png 1", "png 2"):
        data = kinds[title].data
        kinds[f"{title}, checksums mended"] = Kind("a.png", data, _picture, False, _summed)

    shape = arrays["images"].shape
    data = struct.pack(">4I", 0x0803, *shape) + arrays["images"].tobytes()
    kinds["idx"] = Kind("a", data, _idx, False)
    kinds["idx, packed"] = Kind("a.gz", gzip.compress(data, mtime=0), _idx, True)
    return kinds


def _zipped(data: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", data)
    return stream.getvalue()


def _summed(data: bytes) -> bytes:
    """A PNG with the checksum of each chunk put right, as far as chunks can be told apart."""
    out, at = bytearray(data), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            break
        struct.pack_into(">I", out, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(out)


def damaged(data: bytes, seed: int, number: int) -> bytes:
    """Change a few places of a file."""
    random = np.random.default_rng([seed, number])
    out = bytearray(data)
    for _ in range(random.integers(1, 4)):
        at, length = int(random.integers(len(out))), int(random.integers(1, 17))
        match random.integers(7):
            case 0 | 1:  # one bit
                out[at] ^= 1 << int(random.integers(8))
            case 2:
                out[at : at + length] = random.bytes(length)
            case 3:
                out[at:at] = random.bytes(length)
            case 4:
                del out[at : at + length]
            case 5:  # a number that lengths and sizes are not expected to be
                size, order = 1 << int(random.integers(4)), random.choice(["big", "little"])
                value = NUMBERS[random.integers(len(NUMBERS))] % (1 << 8 * size)
                out[at : at + size] = value.to_bytes(size, order)
            case 6:
                other = int(random.integers(len(out)))
                out[at:at] = out[other : other + 4 * length]
    if random.random() < 0.05:
        del out[int(random.integers(len(out) + 1)) :]
    return bytes(out)


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*args: Any) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(kind: Kind, data: bytes, before: Arrays, folder: Path) -> tuple[str, str]:
    """Read a file of these bytes: one of `OUTCOMES`, and what was raised."""
    path = folder / kind.name
    path.write_bytes(kind.mend(data))
    try:
        with _alarm(LIMIT), warnings.catch_warnings():
            warnings.simplefilter("error")  # a reader must not leave any of others to the user
            after = kind.read(path)
    except InputError as error:
        text = str(error)
        return ("crash" if "\n" in text else "refused"), text
    except Hang:
        return "hang", f"longer than {LIMIT} s"
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"
    same = before.keys() == after.keys() and all(
        np.array_equal(before[name], after[name]) for name in before
    )
    return "unchanged" if same else "changed", ""


def fuzz(executions: int, seed: int = 0) -> tuple[dict[str, Counter[str]], list[str]]:
    """Read so many damaged files, all kinds in turn.

    Returns
    -------
    counts : dict of Counter
        Of outcomes, by kind.
    faults : list of str
        Kind, number and text of each crash, hang, and change that should have been noticed.
    """
    kinds = make_files()
    counts: dict[str, Counter[str]] = {title: Counter() for title in kinds}
    before, faults = {}, []
    with tempfile.TemporaryDirectory() as home:
        folders = {title: Path(home) / title for title in kinds}
        for title, kind in kinds.items():
            folders[title].mkdir()
            (folders[title] / kind.name).write_bytes(kind.mend(kind.data))
            before[title] = kind.read(folders[title] / kind.name)
        for number, title in zip(range(executions), cycle(kinds)):
            kind = kinds[title]
            data = damaged(kind.data, seed, number)
            found, text = outcome(kind, data, before[title], folders[title])
            counts[title][found] += 1
            if found in ("crash", "hang") or (found == "changed" and kind.checked):
                faults.append(f"{title}, seed {seed}, number {number}: {found} {text}")
    return counts, faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("executions", type=int, nargs="?", default=5000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    faulthandler.enable()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
    start = time.perf_counter()
    counts, faults = fuzz(options.executions, options.seed)
    rows = [[title, *(count[name] for name in OUTCOMES)] for title, count in counts.items()]
    total = sum(counts.values(), Counter())
    rows.append(["all", *(total[name] for name in OUTCOMES)])
    print(tabulate(rows, ["kind", *OUTCOMES], tablefmt="github"))
    print(f"{total.total()} executions, {time.perf_counter() - start:.0f} s, {len(faults)} faults")
    print(*faults, sep="\n")


if __name__ == "__main__":
    main()
