"""Malformed input of every kind, and what has to be said of it.

    python -m tests.malformed

tries each on the library and the command line, and prints how many were refused in one line that
names what is wrong, how long the slowest took, and what went otherwise.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image
from scipy import sparse

from geovq import Codec, GeodesicKMeans, GeodesicQuantizer
from geovq.cli import main as command_line
from geovq.errors import InputError

SMALL = (
    "--codes 4 --tokens 2 --latent-dim 4 --steps 4 -S train_vae.hidden=[8] "
    "-S train_ar.hidden_dim=4 -S train_ar.embed_dim=4"
)


class RefusedError(Exception):
    """What the command line said, and how it ended."""


@dataclass
class Case:
    """Something to do in a folder of `prepare`, and words of which the refusal has to have one."""

    family: str
    name: str
    do: Callable[[], object]
    words: tuple[str, ...]


def prepare(folder: Path) -> None:
    """A folder with pictures, latents, a model of either, and tokens."""
    random = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for i in range(40):
        Image.fromarray(random.integers(0, 256, (8, 8), dtype=np.uint8)).save(
            folder / "pictures" / f"p{i:02}.png"
        )
    np.savez(folder / "latents.npz", means=random.standard_normal((60, 4)))
    os.chdir(folder)
    for words in (
        f"fit pictures model {SMALL}",
        "fit latents.npz quantized --codes 4 --tokens 2 --no-prior",
        "encode model pictures tokens.npz",
    ):
        geovq(words)


def geovq(words: str) -> None:
    """Run a command; a refusal of it is raised, in one line, and anything else as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        done = CliRunner().invoke(command_line, words.split())
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        said = [line for line in lines if line.startswith("error: ")]
        if "Traceback" in done.stderr or len(said) != 1 or lines[-1] != said[0]:
            raise RuntimeError(f"not one line: {done.stderr!r}")
        raise RefusedError(said[0])


# ---------------------------------------------------------------- what is handed in, malformed


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


def run(words: str) -> Callable[[], None]:
    return lambda: geovq(words)


def set_to(change: str) -> Callable[[], None]:
    return lambda: geovq(f"fit pictures new {SMALL} -S {change}")


def archive(change: Callable[[zipfile.ZipFile], None]) -> Callable[[], None]:
    def do() -> None:
        with zipfile.ZipFile("bad.npz", "w") as file:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                change(file)
        geovq(f"fit bad.npz new {SMALL}")

    return do


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    text = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


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


def tokens(**arrays: object) -> Callable[[], None]:
    def do() -> None:
        good = {"tokens": np.zeros((3, 2), int), "vocabulary": np.array([4, 4])}
        found = {name: a for name, a in (good | arrays).items() if a is not None}
        np.savez("bad.npz", **found)
        geovq("decode model bad.npz new.npz")

    return do


POINTS = np.random.default_rng(0).standard_normal((40, 3))
MASKED = np.ma.masked_array(POINTS, POINTS > 2)
CHAIN = sparse.diags([np.ones(9), np.ones(9)], [1, -1]).tocsr()


def kmeans(points: object = POINTS, weights: object = None, **options: object):
    return lambda: GeodesicKMeans(**{"n_clusters": 3, **options}).fit(points, sample_weight=weights)


def fitted(call: Callable[[GeodesicKMeans], object]):
    return lambda: call(GeodesicKMeans(3, random_state=0).fit(POINTS))


def quantizer(means: object = POINTS, log_variances: object = None, **options: object):
    chosen = {"codes": 4, "tokens": 1, "metric": "euclidean", "neighbors": 5, **options}
    return lambda: GeodesicQuantizer(**chosen).fit(means, log_variances)


def coded(call: Callable[[GeodesicQuantizer], object]):
    made = {"codes": 4, "tokens": 2, "metric": "euclidean", "neighbors": 5}
    return lambda: call(GeodesicQuantizer(**made).fit(POINTS))


def codec(**options: object):
    return lambda: Codec.fit_latents(
        POINTS, **{"codes": 4, "tokens": 2, "train_ar": None, **options}
    )


def with_(array: np.ndarray, at: object, value: float) -> np.ndarray:
    found = array.copy()
    found[at] = value
    return found


def flip(content: bytes, at: int = -30) -> bytes:
    found = bytearray(content)
    found[at] ^= 4
    return bytes(found)


GREY = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
KEYS = "train_vae.learning_rate train_vae.kl_weight geodesic_quantize.edge_power refine.rate_weight"
WORDS = {"nan": "nan", "inf": ".inf", "minus inf": "-.inf", "1e308": "1.0e+308"}
COUNTS = (
    "train_vae.max_steps train_vae.latent_dim train_vae.batch_size geodesic_quantize.codes "
    "geodesic_quantize.neighbors geodesic_quantize.smoothing train_ar.hidden_dim train_ar.layers "
    "refine.candidates seed"
)


def cases() -> list[Case]:
    """All of them."""
    found: list[Case] = []

    def add(family: str, name: str, do: Callable[[], object], *words: str) -> None:
        found.append(Case(family, name, do, words or ("allowed",)))

    for key in KEYS.split():
        for name, value in WORDS.items():
            add("parameters", f"{key} = {name}", set_to(f"{key}={value}"), key)
    for key in COUNTS.split():
        for value in ("-1", "100000000000000000000", "2.5", "true", "many", "null", "[1]"):
            add("parameters", f"{key} = {value}", set_to(f"{key}={value}"), key)
    for change, word in (
        ("train_vae.hidden=[]", "hidden"),
        ("train_vae.hidden=[0]", "hidden"),
        ("train_vae.hidden=8", "hidden"),
        ("train_vae.architecture=odd", "architecture"),
        ("train_vae.odd=1", "train_vae.odd"),
        ("odd.key=1", "odd"),
        ("train_vae=3", "train_vae"),
        ("geodesic_quantize.metric=odd", "metric"),
        ("geodesic_quantize.layout=odd", "layout"),
        ("validation_fraction=0", "validation_fraction"),
        ("validation_fraction=0.9", "validation_fraction"),
        ("train_ar.context=1", "context"),
        ("=3", "KEY=VALUE"),
        ("train_vae.hidden=[", "KEY=VALUE"),
        ("train_vae.hidden={a:", "KEY=VALUE"),
    ):
        add("parameters", change, set_to(change), word)
    for option in ("--codes 1", "--codes 41", "--tokens 0", "--neighbors 0", "--neighbors 400",
                   "--latent-dim 0", "--steps 0", "--seed -1", "--layout grid --tokens 3",
                   "--first-codes 1", "--layout product --tokens 3", "--smoothing -1"):  # fmt: skip
        words = option.split()[0][2:].replace("-", "_"), "tokens", "grid", "steps"
        add("parameters", option, run(f"fit pictures new {SMALL} {option}"), *words)

    add("npz", "a text file", written(b"hello"), "bad.npz")
    add("npz", "an empty file", written(b""), "bad.npz")
    add("npz", "zeros", written(bytes(100)), "bad.npz")
    add("npz", "an empty archive", archive(lambda z: None), "bad.npz")
    add(
        "npz",
        "half of it",
        lambda: (npz(images=GREY), written(Path("bad.npz").read_bytes()[:900])())[1],
        "bad.npz",
    )
    add("npz", "no array", archive(lambda z: z.writestr("notes.txt", "hello")), "bad.npz")
    add(
        "npz",
        "two of a name",
        archive(
            lambda z: (
                [z.writestr("images.npy", header((1, 8, 8)) + bytes(64))] * 2
                + [z.writestr("images.npy", header((1, 8, 8)) + bytes(64))]
            )
        ),
        "images",
    )
    add(
        "npz",
        "931 GB declared",
        archive(lambda z: z.writestr("images.npy", header((10**9, 1000, 1)) + bytes(64))),
        "images",
    )
    add(
        "npz",
        "shape overflows",
        archive(lambda z: z.writestr("images.npy", header((2**40, 2**40, 8)) + bytes(64))),
        "images",
    )
    add(
        "npz",
        "a negative side",
        archive(lambda z: z.writestr("images.npy", header((-1, 8, 8)) + bytes(64))),
        "images",
    )
    add(
        "npz",
        "less than declared",
        archive(lambda z: z.writestr("images.npy", header((9, 8, 8)) + bytes(64))),
        "images",
    )
    add(
        "npz",
        "no header",
        archive(lambda z: z.writestr("images.npy", b"\x93NUMPY")),
        "images",
        "bad.npz",
    )
    add(
        "npz",
        "a header of code",
        archive(
            lambda z: z.writestr(
                "images.npy", b"\x93NUMPY\x01\x00\x20\x00" + b"__import__('os').getcwd()       "
            )
        ),
        "images",
        "bad.npz",
    )
    add(
        "npz",
        "objects",
        lambda: (npz(images=np.array([{}, 1], object)), geovq(f"fit bad.npz new {SMALL}")),
        "pickle",
        "objects",
    )
    add(
        "npz",
        "a single array",
        lambda: (
            np.save("bad.npy", GREY),
            Path("bad.npy").rename("bad.npz"),
            geovq(f"fit bad.npz new {SMALL}"),
        ),
        "bad.npz",
    )
    add(
        "npz",
        "a pipe",
        lambda: (os.mkfifo("bad.npz"), geovq(f"fit bad.npz new {SMALL}")),
        "bad.npz",
    )
    add(
        "npz",
        "a folder called so",
        lambda: (Path("bad.npz").mkdir(), geovq(f"fit bad.npz new {SMALL}")),
        "bad.npz",
    )
    add(
        "npz",
        "a link to nowhere",
        lambda: (Path("bad.npz").symlink_to("nowhere"), geovq(f"fit bad.npz new {SMALL}")),
        "bad.npz",
    )
    add(
        "npz",
        "a device",
        lambda: (Path("bad.npz").symlink_to("/dev/zero"), geovq(f"fit bad.npz new {SMALL}")),
        "bad.npz",
    )
    add(
        "npz",
        "a loop of links",
        lambda: (Path("bad.npz").symlink_to("bad.npz"), geovq(f"fit bad.npz new {SMALL}")),
        "bad.npz",
    )
    add("npz", "neither images nor means", fit_npz(odd=[1]), "images")
    add("npz", "both", fit_npz(images=GREY, means=POINTS), "images")

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
        add("images", name, fit_npz(images=images), "images", "distinct")
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
        add("latents", name, fit_latents(means=means), "means", "distinct", "latents", "codes")
    for name, spread in {
        "another shape": POINTS[:30],
        "NaN": with_(POINTS, (3, 1), np.nan),
        "huge": POINTS + 1e6,
        "tiny": POINTS - 1e6,
        "strings": POINTS.astype(str),
        "one axis": POINTS[:, 0],
    }.items():
        add(
            "latents",
            f"log-variances: {name}",
            fit_latents(means=POINTS, log_variances=spread),
            "log_variances",
        )

    add("pictures", "no folder", run(f"fit bad new {SMALL}"), "bad: no such")
    add("pictures", "an empty folder", picture(lambda f: None, 0), "no picture")
    add("pictures", "text in a png", picture(lambda f: (f / "x.png").write_text("hello")), "x.png")
    add("pictures", "an empty png", picture(lambda f: (f / "x.png").write_bytes(b"")), "x.png")
    for suffix in (".png", ".jpg", ".gif", ".bmp", ".tif", ".webp"):

        def half(folder: Path, suffix: str = suffix) -> None:
            path = folder / f"x{suffix}"
            Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)).save(
                path
            )
            path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])

        add("pictures", f"half of a {suffix}", picture(half), f"x{suffix}")
    add("pictures", "a pipe", picture(lambda f: os.mkfifo(f / "x.png")), "x.png")
    add("pictures", "a device", picture(lambda f: (f / "x.png").symlink_to("/dev/zero")), "x.png")
    add(
        "pictures",
        "a link to nowhere",
        picture(lambda f: (f / "x.png").symlink_to("nowhere")),
        "x.png",
    )
    add("pictures", "another size", mode("L", size=(9, 8)), "x.png")
    add(
        "pictures",
        "two of a name",
        picture(lambda f: Image.new("L", (8, 8)).save(f / "good0.bmp")),
        "good0",
    )
    for kind in ("I", "I;16", "RGBA", "LA"):
        add("pictures", f"pixels of kind {kind}", mode(kind), "x.png")
    add("pictures", "CMYK", mode("CMYK", ".jpg"), "x.jpg")
    add("pictures", "floats", mode("F", ".tif"), "x.tif")

    def key_colour(folder: Path) -> None:
        Image.new("P", (8, 8)).save(folder / "x.png", transparency=0)

    add("pictures", "a transparent colour", picture(key_colour), "x.png")

    def animated(folder: Path) -> None:
        frames = [Image.fromarray(np.full((8, 8), 80 * i, np.uint8)) for i in range(3)]
        frames[0].save(folder / "x.gif", save_all=True, append_images=frames[1:])

    add("pictures", "an animation", picture(animated), "x.gif")

    def bomb(folder: Path) -> None:
        import struct
        import zlib

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

    add("pictures", "a bomb", picture(bomb), "x.png")

    def deeper(folder: Path) -> None:
        (folder / "cat").mkdir()
        for i in range(50):
            Image.new("L", (8, 8), i).save(folder / "cat" / f"{i}.png")

    add("pictures", "most in sub-folders", picture(deeper), "cat", "folder")
    add("pictures", "all in sub-folders", picture(deeper, 0), "cat", "folder", "no picture")
    add("pictures", "a picture, not a folder", run(f"fit pictures/p00.png new {SMALL}"), "p00.png")

    for name in (
        "vae.safetensors",
        "codebook.npz",
        "decoder.safetensors",
        "prior.safetensors",
        "info.json",
    ):
        add("model folders", f"a bit of {name} flipped", changed(name, flip), name)
        add("model folders", f"half of {name}", changed(name, lambda c: c[: len(c) // 2]), name)
        add("model folders", f"{name} empty", changed(name, lambda c: b""), name)
        add("model folders", f"no {name}", model(lambda f, name=name: (f / name).unlink()), name)
        add(
            "model folders",
            f"{name} a folder",
            model(lambda f, name=name: ((f / name).unlink(), (f / name).mkdir())),
            name,
        )
    add("model folders", "no mark", model(lambda f: (f / "geovq.json").unlink()), "geovq.json")
    add("model folders", "a mark of nothing", changed("geovq.json", lambda c: b"{}"), "geovq.json")
    add(
        "model folders",
        "a mark of another",
        changed("geovq.json", lambda c: c.replace(b"model", b"other")),
        "geovq.json",
    )
    add("model folders", "not there", run("encode absent pictures new.npz"), "absent")
    add(
        "model folders", "a folder of pictures", run("encode pictures pictures new.npz"), "pictures"
    )
    add("model folders", "a file", run("encode tokens.npz pictures new.npz"), "tokens.npz")
    add(
        "model folders",
        "of latents, for images",
        run("encode quantized pictures new.npz"),
        "images",
    )
    add(
        "model folders",
        "of latents, for pictures",
        lambda: (
            geovq("encode quantized latents.npz bad.npz"),
            geovq("decode quantized bad.npz new"),
        ),
        "npz",
    )
    add("model folders", "without a prior", run("sample quantized new.npz"), "prior")

    for words in ("-n 0", "-n -3", "--temperature 0", "--temperature nan", "--temperature inf", "--temperature -1",
                  "--seed -1", "--seed 100000000000000000000", "-n 100000000000000000000"):  # fmt: skip
        add("sampling", words, run(f"sample model new.npz {words}"), "count", "temperature", "seed")

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
        add("tokens", name, tokens(**change), "tokens", "vocabulary", "bad.npz")
        if name not in ("too many positions", "another vocabulary", "another model's"):

            def said(change: dict[str, object] = change) -> None:
                good = {"tokens": np.zeros((3, 2), int), "vocabulary": np.array([4, 4])}
                np.savez("bad.npz", **{n: a for n, a in (good | change).items() if a is not None})
                geovq("info bad.npz")

            add("tokens", f"info, {name}", said, "tokens", "vocabulary", "bad.npz")
    for name, names in {
        "too few names": np.array(["a"]),
        "two of a name": np.array(["a", "a", "b"]),
        "empty names": np.array(["a", "", "b"]),
        "names of numbers": np.arange(3),
    }.items():

        def decode(names: np.ndarray = names) -> None:
            np.savez("bad.npz", tokens=np.zeros((3, 2), int), vocabulary=[4, 4], names=names)
            geovq("decode model bad.npz new")

        add("tokens", name, decode, "names")

    for name, value in (("n_clusters", 0), ("n_clusters", 41), ("n_clusters", 2.5), ("n_clusters", True),
                        ("n_clusters", "8"), ("n_clusters", None), ("n_neighbors", 0), ("n_neighbors", True), ("n_neighbors", -3),
                        ("smoothing", -1), ("smoothing", 1.5), ("smoothing", True), ("n_init", 0), ("max_iter", -1), ("max_iter", "a"),
                        ("edge_power", 0), ("edge_power", -1), ("edge_power", np.nan), ("edge_power", np.inf), ("edge_power", "2"),
                        ("edge_power", None), ("edge_power", 1e9), ("metric", "odd"), ("metric", None), ("metric", 3), ("whiten", "yes"),
                        ("random_state", "a"), ("random_state", -1), ("random_state", 1.5), ("n_jobs", 0), ("n_jobs", "all")):  # fmt: skip
        add("estimator", f"{name} = {value!r}", kmeans(**{name: value}), name)
    for name, points in {
        "NaN": with_(POINTS, (3, 1), np.nan),
        "infinite": with_(POINTS, (3, 1), np.inf),
        "strings": POINTS.astype(str),
        "complex": POINTS.astype(complex),
        "dates": np.zeros((40, 3), "datetime64[s]"),
        "objects": np.full((40, 3), None),
        "masked": MASKED,
        "one axis": POINTS[:, 0],
        "three axes": POINTS[None],
        "none": POINTS[:0],
        "no columns": POINTS[:, :0],
        "sparse": sparse.csr_matrix(POINTS),
        "a word": "points",
        "nothing": None,
    }.items():
        add("estimator", f"X: {name}", kmeans(points), "")
    for name, weights in {
        "too few": np.ones(3),
        "negative": with_(np.ones(40), 3, -1),
        "NaN": with_(np.ones(40), 3, np.nan),
        "infinite": with_(np.ones(40), 3, np.inf),
        "all zero": np.zeros(40),
        "strings": np.full(40, "a"),
        "two axes": np.ones((40, 2)),
    }.items():
        add("estimator", f"sample_weight: {name}", kmeans(weights=weights), "")
    for name, metric in {
        "of one pair": lambda a, b: float(np.abs(a - b).sum()),
        "of another shape": lambda a, b: np.ones((len(a), 2)),
        "too few": lambda a, b: np.ones(3),
        "negative": lambda a, b: -np.ones(len(a)),
        "NaN": lambda a, b: np.full(len(a), np.nan),
        "infinite": lambda a, b: np.full(len(a), np.inf),
        "complex": lambda a, b: np.ones(len(a)) * 1j,
        "words": lambda a, b: np.full(len(a), "far"),
        "nothing": lambda a, b: None,
    }.items():
        add("estimator", f"a metric: {name}", kmeans(metric=metric), "metric")
    for name, call in {
        "path of a negative": lambda k: k.path(-1, 3),
        "path beyond": lambda k: k.path(0, 9999),
        "path of a half": lambda k: k.path(0, 1.5),
        "path of a bool": lambda k: k.path(True, 3),
        "path of a word": lambda k: k.path("a", 3),
        "predict other columns": lambda k: k.predict(POINTS[:, :2]),
        "predict NaN": lambda k: k.predict(with_(POINTS, (0, 0), np.nan)),
        "predict nothing": lambda k: k.predict(POINTS[:0]),
        "transform other columns": lambda k: k.transform(POINTS[:, :2]),
        "load of a model": lambda k: GeodesicKMeans.load("model"),
        "load of nothing": lambda k: GeodesicKMeans.load("absent.npz"),
        "load of tokens": lambda k: GeodesicKMeans.load("tokens.npz"),
        "load of a codebook": lambda k: GeodesicKMeans.load("model/codebook.npz"),
        "save to a folder": lambda k: k.save("pictures"),
        "save without a suffix": lambda k: k.save("results"),
        "save over latents": lambda k: k.save("latents.npz"),
    }.items():
        add("estimator", name, fitted(call), "")
    for name, graph in {
        "not square": CHAIN[:, :5],
        "negative": -CHAIN,
        "NaN": CHAIN * np.nan,
        "infinite": CHAIN * np.inf,
        "two components": sparse.block_diag([CHAIN, CHAIN]).tocsr(),
        "no edge": sparse.csr_matrix((10, 10)),
        "complex": CHAIN.astype(complex),
        "a word": "graph",
        "points": POINTS,
    }.items():
        add("graphs", name, kmeans(graph, metric="precomputed"), "")
    add("graphs", "smoothed", kmeans(CHAIN, metric="precomputed", smoothing=3), "smoothing")
    for name, change in {
        "an index beyond": lambda g: g.indices.__setitem__(0, 99),
        "a negative index": lambda g: g.indices.__setitem__(0, -1),
        "rows out of order": lambda g: g.indptr.__setitem__(1, 99),
    }.items():

        def broken(change: Callable[[sparse.csr_matrix], None] = change) -> None:
            graph = CHAIN.copy()
            change(graph)
            kmeans(graph, metric="precomputed")()

        add("graphs", name, broken, "")

    for name, value in (("codes", 1), ("codes", 41), ("codes", 2.5), ("codes", True), ("codes", "8"), ("tokens", 0), ("tokens", 1.5),
                        ("tokens", True), ("first_codes", 1), ("layout", "odd"), ("metric", "odd"), ("metric", "precision"), ("neighbors", 0),
                        ("neighbors", 40), ("neighbors", True), ("smoothing", -1), ("smoothing", 1.5), ("edge_power", 0), ("edge_power", np.inf),
                        ("edge_power", np.nan), ("assignment", "odd"), ("clustering", "odd"), ("random_state", -1), ("random_state", "a"),
                        ("whiten", "yes")):  # fmt: skip
        add("quantiser", f"{name} = {value!r}", quantizer(**{name: value}), name, "log_variances")
    for name, means in {
        "NaN": with_(POINTS, (3, 1), np.nan),
        "infinite": with_(POINTS, (3, 1), np.inf),
        "strings": POINTS.astype(str),
        "complex": POINTS.astype(complex),
        "bool": POINTS > 0,
        "masked": MASKED,
        "one axis": POINTS[:, 0],
        "none": POINTS[:0],
        "a word": "means",
        "nothing": None,
    }.items():
        add("quantiser", f"means: {name}", quantizer(means), "means", "latents", "codes")
    for name, spread in {
        "another shape": POINTS[:30],
        "NaN": with_(POINTS, (3, 1), np.nan),
        "huge": POINTS + 1e6,
        "tiny": POINTS - 1e6,
        "a word": "spread",
    }.items():
        add(
            "quantiser",
            f"log_variances: {name}",
            quantizer(POINTS, spread, metric="precision"),
            "log_variances",
        )
    for name, call in {
        "decode too large": lambda q: q.decode(np.full((3, 2), 4)),
        "decode negative": lambda q: q.decode(np.full((3, 2), -1)),
        "decode floats": lambda q: q.decode(np.zeros((3, 2))),
        "decode another shape": lambda q: q.decode(np.zeros((3, 3), int)),
        "decode one axis": lambda q: q.decode(np.zeros(3, int)),
        "encode other columns": lambda q: q.encode(POINTS[:, :2]),
        "encode NaN": lambda q: q.encode(with_(POINTS, (0, 0), np.nan)),
        "load of an estimator": lambda q: GeodesicQuantizer.load("tokens.npz"),
        "load of weights": lambda q: GeodesicQuantizer.load("model/vae.safetensors"),
        "save to a folder": lambda q: q.save("model"),
        "save over latents": lambda q: q.save("latents.npz"),
    }.items():
        add("quantiser", name, coded(call), "")
    for name, options in {
        "an unknown option": {"odd": 1},
        "a section that is not there": {"train_vae": {}},
        "codes of words": {"codes": "many"},
        "a section of words": {"train_ar": "big"},
        "seed": {"seed": -1},
        "more codes than latents": {"codes": 64},
    }.items():
        add("codec", name, codec(**options), "")

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
        add("outputs", name, run(words), "")
    return found


def snapshot() -> dict[str, bytes | None]:
    """All there is, but what a case itself has made: whatever is called bad."""
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in sorted(Path().rglob("*"))
        if not path.parts[0].startswith("bad")
    }


def clear() -> None:
    """Take away what a case has made."""
    for path in list(Path().glob("bad*")):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def judge(case: Case, before: dict[str, bytes | None]) -> tuple[str, float]:
    """What was wrong with the refusal, if anything, and how many seconds it took."""
    start, trouble = time.perf_counter(), ""
    signal.alarm(20)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case.do()
        trouble = "accepted"
    except (InputError, RefusedError, ValueError, TypeError) as error:
        said = str(error)
        ours = isinstance(error, InputError | RefusedError)
        if "\n" in said and ours:
            trouble = f"several lines: {said!r}"
        elif not any(word in said for word in case.words):
            trouble = f"does not name it: {said!r}"
        elif not ours and case.family not in ("estimator", "graphs", "codec"):
            trouble = f"{type(error).__name__}: {said!r}"
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    signal.alarm(0)
    seconds = time.perf_counter() - start
    clear()
    if snapshot() != before:
        trouble += "; something changed"
    return trouble, seconds


def _too_long(*_: object) -> None:
    raise TimeoutError("20 seconds were not enough")


def main() -> int:
    """Try all cases and print what came of them."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        before, listed = snapshot(), cases()
        signal.signal(signal.SIGALRM, _too_long)
        refused, slowest, wrong = Counter(), (0.0, ""), []
        for case in listed:
            trouble, seconds = judge(case, before)
            slowest = max(slowest, (seconds, f"{case.family}: {case.name}"))
            if trouble:
                wrong.append(f"{case.family}: {case.name}: {trouble}")
            else:
                refused[case.family] += 1
        os.chdir("/")
    for family, count in refused.items():
        print(f"{family:14} {count:4} refused in one line")
    print(
        f"{len(listed)} inputs, {len(wrong)} otherwise; slowest {slowest[0]:.2f} s ({slowest[1]})"
    )
    print("\n".join(wrong))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
