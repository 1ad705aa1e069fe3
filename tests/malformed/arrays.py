"""Files of arrays that are not as they should be: npz files, images, latents, tokens."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from tests.malformed.kit import GREY, POINTS, SMALL, Case, case, geovq, with_


def npz(**arrays: object) -> None:
    np.savez("bad.npz", **arrays)


def fit_npz(**arrays: object) -> Callable[[], None]:
    def do() -> None:
        np.savez("bad.npz", **{name: np.asarray(a) for name, a in arrays.items()})
        geovq(f"fit bad.npz new {SMALL}")

    return do


def fit_latents(**arrays: object) -> Callable[[], None]:
    def do() -> None:
        np.savez("bad.npz", **{name: np.asarray(a) for name, a in arrays.items()})
        geovq("fit bad.npz new --codes 4 --tokens 2 --no-prior")

    return do


def written(content: bytes, name: str = "bad.npz", words: str = "") -> Callable[[], None]:
    def do() -> None:
        Path(name).write_bytes(content)
        geovq(words or f"fit {name} new {SMALL}")

    return do


def archive(change: Callable[[zipfile.ZipFile], None]) -> Callable[[], None]:
    def do() -> None:
        with zipfile.ZipFile("bad.npz", "w") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            change(file)
        geovq(f"fit bad.npz new {SMALL}")

    return do


def member(content: bytes) -> Callable[[], None]:
    """An archive whose array `images` is this."""
    return archive(lambda file: file.writestr("images.npy", content))


def placed(make: Callable[[Path], object]) -> Callable[[], None]:
    """Something else in the place of an npz file."""

    def do() -> None:
        make(Path("bad.npz"))
        geovq(f"fit bad.npz new {SMALL}")

    return do


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def tokens(**arrays: object) -> Callable[[], None]:
    def do() -> None:
        good = {"tokens": np.zeros((3, 2), int), "vocabulary": np.array([4, 4])}
        found = {name: a for name, a in (good | arrays).items() if a is not None}
        np.savez("bad.npz", **found)
        geovq("decode model bad.npz new.npz")

    return do


def half_an_npz(path: Path) -> None:
    np.savez(path, images=GREY)
    path.write_bytes(path.read_bytes()[:900])


def two_of_a_name(file: zipfile.ZipFile) -> None:
    for _ in range(2):
        file.writestr("images.npy", header((1, 8, 8)) + bytes(64))


def cases() -> Iterable[Case]:
    """All of them."""
    yield case("npz", "a text file", written(b"hello"), "bad.npz")
    yield case("npz", "an empty file", written(b""), "bad.npz")
    yield case("npz", "zeros", written(bytes(100)), "bad.npz")
    yield case("npz", "an empty archive", archive(lambda z: None), "bad.npz")
    yield case("npz", "half of it", placed(half_an_npz), "bad.npz")
    yield case("npz", "no array", archive(lambda z: z.writestr("notes.txt", "hello")), "bad.npz")
    yield case("npz", "two of a name", archive(two_of_a_name), "images")
    yield case("npz", "931 GB declared", member(header((10**9, 1000, 1)) + bytes(64)), "images")
    yield case("npz", "shape overflows", member(header((2**40, 2**40, 8)) + bytes(64)), "images")
    yield case("npz", "a negative side", member(header((-1, 8, 8)) + bytes(64)), "images")
    yield case("npz", "less than declared", member(header((9, 8, 8)) + bytes(64)), "images")
    yield case("npz", "no header", member(b"\x93NUMPY"), "images", "bad.npz")
    code = b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').getcwd()       "
    yield case("npz", "a header of code", member(code), "images", "bad.npz")
    yield case("npz", "objects", fit_npz(images=np.array([{}, 1], object)), "pickle", "objects")
    yield case(
        "npz", "a single array", placed(lambda path: path.write_bytes(header((2,)) + b"ab")), "bad"
    )
    yield case("npz", "a pipe", placed(os.mkfifo), "bad.npz")
    yield case("npz", "a folder called so", placed(Path.mkdir), "bad.npz")
    yield case(
        "npz", "a link to nowhere", placed(lambda path: path.symlink_to("nowhere")), "bad.npz"
    )
    yield case("npz", "a device", placed(lambda path: path.symlink_to("/dev/zero")), "bad.npz")
    yield case("npz", "a loop of links", placed(lambda path: path.symlink_to(path)), "bad.npz")
    yield case("npz", "neither images nor means", fit_npz(odd=[1]), "images")
    yield case("npz", "both", fit_npz(images=GREY, means=POINTS), "images")

    for name, images in {
        "flat": GREY.reshape(30, 64),
        "channels first": np.stack([GREY] * 3, 1),
        "one channel last": GREY[..., None],
        "four channels": np.stack([GREY] * 4, 3),
        "floats to 255": GREY.astype(float),
        "floats from -1": GREY / 127.5 - 1,
        "zeros and ones": GREY % 2,
        "integers": GREY.astype(np.int64),
        "16 bits": GREY.astype(np.uint16) * 256,
        "complex": GREY.astype(complex),
        "strings": GREY.astype(str),
        "dates": GREY.astype("datetime64[s]"),
        "NaN": with_(GREY / 255, (3, 1, 1), np.nan),
        "infinite": with_(GREY / 255, (3, 1, 1), np.inf),
        "too small": GREY[:, :4, :4],
        "none": GREY[:0],
        "one": GREY[:1],
        "copies of one": np.repeat(GREY[:1], 30, 0),
        "a number": np.float64(3),
        "five axes": GREY[:, None, :, None],
    }.items():
        yield case("images", name, fit_npz(images=images), "images", "distinct")
    for name, means in {
        "strings": POINTS.astype(str),
        "complex": POINTS.astype(complex),
        "bool": POINTS > 0,
        "dates": np.zeros((40, 3), "datetime64[s]"),
        "NaN": with_(POINTS, (3, 1), np.nan),
        "infinite": with_(POINTS, (3, 1), -np.inf),
        "one axis": POINTS[:, 0],
        "three axes": POINTS[None],
        "none": POINTS[:0],
        "no columns": POINTS[:, :0],
        "one": POINTS[:1],
        "copies of one": np.repeat(POINTS[:1], 40, 0),
        "records": np.zeros(40, [("a", float)]),
    }.items():
        yield case(
            "latents", name, fit_latents(means=means), "means", "distinct", "latents", "codes"
        )
    for name, spread in {
        "another shape": POINTS[:30],
        "NaN": with_(POINTS, (3, 1), np.nan),
        "huge": POINTS + 1e6,
        "tiny": POINTS - 1e6,
        "strings": POINTS.astype(str),
        "one axis": POINTS[:, 0],
    }.items():
        yield case(
            "latents",
            f"log-variances: {name}",
            fit_latents(means=POINTS, log_variances=spread),
            "log_variances",
        )

    for name, change in {
        "no tokens": {"tokens": None},
        "no vocabulary": {"vocabulary": None},
        "too large": {"tokens": np.full((3, 2), 4)},
        "negative": {"tokens": np.full((3, 2), -1)},
        "floats": {"tokens": np.zeros((3, 2))},
        "one axis": {"tokens": np.zeros(3, int)},
        "too many positions": {"tokens": np.zeros((3, 3), int)},
        "none": {"tokens": np.zeros((0, 2), int)},
        "bool": {"tokens": np.zeros((3, 2), bool)},
        "another vocabulary": {"vocabulary": np.array([4, 5])},
        "a vocabulary of words": {"vocabulary": np.array(["4", "4"])},
        "a vocabulary of two axes": {"vocabulary": np.array([[4, 4]])},
        "a number for a vocabulary": {"vocabulary": np.array(4)},
        "another model's": {"codebook": np.array("0123456789abcdef")},
    }.items():
        yield case("tokens", name, tokens(**change), "tokens", "vocabulary", "bad.npz")
        if name not in ("too many positions", "another vocabulary", "another model's"):

            def said(change: dict[str, object] = change) -> None:
                good = {"tokens": np.zeros((3, 2), int), "vocabulary": np.array([4, 4])}
                np.savez("bad.npz", **{n: a for n, a in (good | change).items() if a is not None})
                geovq("info bad.npz")

            yield case("tokens", f"info, {name}", said, "tokens", "vocabulary", "bad.npz")
    for name, names in {
        "too few names": np.array(["a"]),
        "two of a name": np.array(["a", "a", "b"]),
        "empty names": np.array(["a", "", "b"]),
        "names of numbers": np.arange(3),
    }.items():

        def decode(names: np.ndarray = names) -> None:
            np.savez("bad.npz", tokens=np.zeros((3, 2), int), vocabulary=[4, 4], names=names)
            geovq("decode model bad.npz new")

        yield case("tokens", name, decode, "names")
