"""What situations of malformed input are made with, and how their refusal is judged."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from geovq.cli.commands import main as command_line
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
    words: tuple[str, ...] = ("allowed",)


def case(family: str, name: str, do: Callable[[], object], *words: str) -> Case:
    """A case; by default its refusal says what is allowed."""
    return Case(family, name, do, words or ("allowed",))


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


def run(words: str) -> Callable[[], None]:
    return lambda: geovq(words)


def with_(array: np.ndarray, at: object, value: float) -> np.ndarray:
    found = array.copy()
    found[at] = value
    return found


def flip(content: bytes, at: int = -30) -> bytes:
    found = bytearray(content)
    found[at] ^= 4
    return bytes(found)


GREY = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
POINTS = np.random.default_rng(0).standard_normal((40, 3))
MASKED = np.ma.masked_array(POINTS, POINTS > 2)


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


def tried(cases: Iterable[Case]) -> Iterator[tuple[Case, str, float]]:
    """Each case, what went wrong with it if anything, and its seconds; in a folder of its own."""
    signal.signal(signal.SIGALRM, _too_long)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        before = snapshot()
        for one in cases:
            yield one, *judge(one, before)
        os.chdir("/")


def _too_long(*_: object) -> None:
    raise TimeoutError("20 seconds were not enough")
