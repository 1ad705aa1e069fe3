"""Folders that are not as they should be: of pictures, of models; and outputs in bad places."""

from __future__ import annotations

import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.malformed.kit import SMALL, Case, case, flip, geovq, run


def picture(change: Callable[[Path], object], others: int = 3) -> Callable[[], None]:
    """A folder of good pictures and a bad one."""

    def do() -> None:
        folder = Path("bad")
        folder.mkdir()
        for i in range(others):
            Image.fromarray(np.full((8, 8), 60 * i, np.uint8)).save(folder / f"good{i}.png")
        change(folder)
        geovq(f"fit bad new {SMALL}")

    return do


def mode(kind: str, suffix: str = ".png", size: tuple[int, int] = (8, 8)) -> Callable[[], None]:
    return picture(lambda folder: Image.new(kind, size).save(folder / f"x{suffix}"))


def changed(
    name: str, change: Callable[[bytes], bytes], words: str = "encode model pictures new.npz"
):
    """A file of the model, changed."""

    def do() -> None:
        shutil.copytree("model", "bad")
        path = Path("bad") / name
        path.write_bytes(change(path.read_bytes()))
        geovq(words.replace("model", "bad"))

    return do


def model(change: Callable[[Path], object], words: str = "encode bad pictures new.npz"):
    """The model's folder, changed."""

    def do() -> None:
        shutil.copytree("model", "bad")
        change(Path("bad"))
        geovq(words)

    return do


pictures, models = partial(case, "pictures"), partial(case, "model folders")


def cases() -> Iterable[Case]:
    """All of them."""
    yield pictures("no folder", run(f"fit bad new {SMALL}"), "bad: no such")
    yield pictures("an empty folder", picture(lambda f: None, 0), "no picture")
    yield pictures("text in a png", picture(lambda f: (f / "x.png").write_text("hello")), "x.png")
    yield pictures("an empty png", picture(lambda f: (f / "x.png").write_bytes(b"")), "x.png")
    for suffix in (".png", ".jpg", ".gif", ".bmp", ".tif", ".webp"):

        def half(folder: Path, suffix: str = suffix) -> None:
            path = folder / f"x{suffix}"
            Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)).save(
                path
            )
            path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])

        yield pictures(f"half of a {suffix}", picture(half), f"x{suffix}")
    yield pictures("a pipe", picture(lambda f: os.mkfifo(f / "x.png")), "x.png")
    yield pictures("a device", picture(lambda f: (f / "x.png").symlink_to("/dev/zero")), "x.png")
    yield pictures(
        "a link to nowhere",
        picture(lambda f: (f / "x.png").symlink_to("nowhere")),
        "x.png",
    )
    yield pictures("another size", mode("L", size=(9, 8)), "x.png")
    yield pictures(
        "two of a name",
        picture(lambda f: Image.new("L", (8, 8)).save(f / "good0.bmp")),
        "good0",
    )
    for kind in ("I;16", "RGBA", "LA"):
        yield pictures(f"pixels of kind {kind}", mode(kind), "x.png")
    yield pictures("CMYK", mode("CMYK", ".jpg"), "x.jpg")
    yield pictures("floats", mode("F", ".tif"), "x.tif")

    def key_colour(folder: Path) -> None:
        Image.new("P", (8, 8)).save(folder / "x.png", transparency=0)

    yield pictures("a transparent colour", picture(key_colour), "x.png")

    def animated(folder: Path) -> None:
        frames = [Image.fromarray(np.full((8, 8), 80 * i, np.uint8)) for i in range(3)]
        frames[0].save(folder / "x.gif", save_all=True, append_images=frames[1:])

    yield pictures("an animation", picture(animated), "x.gif")

    def bomb(folder: Path) -> None:

        def chunk(kind: bytes, data: bytes) -> bytes:
            return (
                struct.pack(">I", len(data))
                + kind
                + data
                + struct.pack(">I", zlib.crc32(kind + data))
            )

        head = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
        (folder / "x.png").write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", head)
            + chunk(b"IDAT", zlib.compress(bytes(99)))
            + chunk(b"IEND", b"")
        )

    yield pictures("a bomb", picture(bomb), "x.png")

    def deeper(folder: Path) -> None:
        (folder / "cat").mkdir()
        for i in range(50):
            Image.new("L", (8, 8), i).save(folder / "cat" / f"{i}.png")

    yield pictures("most in sub-folders", picture(deeper), "cat", "folder")

    def deepest(folder: Path) -> None:
        (folder / "train").mkdir()
        deeper(folder / "train")

    yield pictures("all in sub-folders", picture(deepest, 0), "cat", "folder", "no picture")
    yield pictures("a picture, not a folder", run(f"fit pictures/p00.png new {SMALL}"), "p00.png")

    for name in (
        "vae.safetensors",
        "codebook.npz",
        "decoder.safetensors",
        "prior.safetensors",
        "info.json",
    ):
        yield models(f"a bit of {name} flipped", changed(name, flip), name)
        yield models(f"half of {name}", changed(name, lambda c: c[: len(c) // 2]), name)
        yield models(f"{name} empty", changed(name, lambda c: b""), name)
        yield models(f"no {name}", model(lambda f, name=name: (f / name).unlink()), name)
        yield models(
            f"{name} a folder",
            model(lambda f, name=name: ((f / name).unlink(), (f / name).mkdir())),
            name,
        )
    yield models("no mark", model(lambda f: (f / "geovq.json").unlink()), "geovq.json")
    yield models("a mark of nothing", changed("geovq.json", lambda c: b"{}"), "geovq.json")
    yield models(
        "a mark of another",
        changed("geovq.json", lambda c: c.replace(b"model", b"other")),
        "geovq.json",
    )
    yield models("not there", run("encode absent pictures new.npz"), "absent")
    yield models("a folder of pictures", run("encode pictures pictures new.npz"), "pictures")
    yield models("a file", run("encode tokens.npz pictures new.npz"), "tokens.npz")
    yield models(
        "of latents, for images",
        run("encode quantized pictures new.npz"),
        "images",
    )
    yield models(
        "of latents, for pictures",
        lambda: (
            geovq("encode quantized latents.npz bad.npz"),
            geovq("decode quantized bad.npz new"),
        ),
        "npz",
    )
    yield models("without a prior", run("sample quantized new.npz"), "prior")

    for name, words in {
        "a folder of the user's": "sample model pictures --force",
        "a file of the user's": "encode model pictures latents.npz --force",
        "the input": "encode model tokens.npz tokens.npz --force",
        "in the input": "encode model pictures pictures/new.npz",
        "the model": "sample model model --force",
        "another suffix": "encode model pictures new.txt",
        "a picture": "sample model new.png",
        "under a file": "encode model pictures tokens.npz/new.npz",
        "home": "encode model pictures ~/new.npz",
        "here": "sample model . --force",
        "root": "sample model / --force",
        "something that is there": "encode model pictures tokens.npz",
    }.items():
        yield case("outputs", name, run(words), "")
