"""What the command line reads, and where it writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from geovq._yaml import YAMLTextError, from_yaml
from geovq.checkpoints import checked_folder, discard
from geovq.errors import InputError, TrainingError
from geovq.images import SUFFIXES, load_folder, save_folder
from geovq.settings import settings
from geovq.store import check_folder, load_npz, save_npz

if TYPE_CHECKING:
    from geovq.codec import Codec

__all__ = [
    "check_options",
    "check_output",
    "check_target",
    "read",
    "setting",
    "table",
    "unfinished",
    "write",
]


def check_target(path: Path, force: bool, contents: Sequence[str] = ()) -> None:
    """See that `path` may be written, before any work is done.

    Parameters
    ----------
    path : Path
    force : bool
        Whether what is there may be replaced.
    contents : sequence of str
        Of the folder that will be written, as in `geovq.store.check_folder`; none for an .npz file.

    Raises
    ------
    InputError
        There is something, or it is of another kind.
    """
    if contents:
        check_folder(path, contents)
    elif path.suffix != ".npz" or path.is_dir():
        raise InputError(f"{path}: allowed: an .npz file")
    if not force and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is there already; --force replaces it")


def check_output(path: Path, force: bool) -> None:
    """As `check_target`, for a folder of pictures or an .npz file, by the suffix."""
    if path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path}: allowed: a folder, or an .npz file")
    check_target(path, force, () if path.suffix == ".npz" else ["*.png"])


def read(path: Path) -> dict[str, np.ndarray]:
    """Read `images` and `names` of a folder, or the `images` or `means` of an .npz file."""
    if path.is_dir():
        images, names = load_folder(path)
        return {"images": images, "names": np.array(names)}
    if path.exists() and path.suffix != ".npz":
        raise InputError(f"{path}: allowed: a folder of pictures, or an .npz file")
    arrays = load_npz(path)
    if ("images" in arrays) == ("means" in arrays):
        raise InputError(
            f"{path}: holds {', '.join(arrays)}; allowed: either images, or means and log_variances"
        )
    return arrays


def write(path: Path, codec: Codec, tokens: np.ndarray, names: np.ndarray | None = None) -> None:
    """Decode tokens into a folder of pictures or an .npz file."""
    coded = {"tokens": tokens, "vocabulary": codec.quantizer.vocabulary}
    if codec.tokenizer is None:
        if path.suffix != ".npz":
            raise InputError(f"{path}: this model decodes to latents; allowed: an .npz file")
        save_npz(path, latents=codec.decode_latents(tokens), **coded)
        return
    images = np.rint(codec.decode(tokens, progress=True) * 255).astype(np.uint8)
    if path.suffix == ".npz":
        save_npz(path, images=images, **coded)
    else:
        save_folder(path, images, None if names is None else names.tolist())


def setting(text: str) -> tuple[str, Any]:
    """Take `KEY=VALUE` apart; the value is YAML, as in params.yaml."""
    key, equals, value = text.partition("=")
    try:
        if key and equals:
            return key, from_yaml(value)
    except YAMLTextError:
        pass
    raise InputError(f"--set {shorten(text, 80)}: allowed: KEY=VALUE, the value in YAML")


def check_options(options: Mapping[str, Any], source: Path) -> None:
    """Name a mistake in options of a fit before `source`, which may be large, is read.

    They have to suit images; or latents, unless the source is a folder.
    """
    try:
        settings(options)
    except InputError as error:
        if source.is_dir():
            raise
        try:
            settings(options, absent=["train_vae", "refine"])
        except InputError:
            raise error from None


@contextmanager
def unfinished(model: Path) -> Iterator[Path]:
    """Give a folder beside a model for its checkpoints.

    It stays when the block is interrupted, or the training diverges. Input that will not do leaves
    things as they were.
    """
    folder = checked_folder(model.with_name(f".{model.name[:50]}.unfinished"))
    there = folder.exists()
    try:
        yield folder
    except InputError as error:
        if not there and not isinstance(error, TrainingError):
            discard(folder)
        raise
    discard(folder)


def table(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Lines of `info`: names and values, without the settings."""
    rows = []
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows += table(value, f"{key}.") if key != "settings" else []
        elif isinstance(value, list):
            rows.append((prefix + key, " ".join(map(str, value))))
        elif value is not None:
            rows.append((prefix + key, f"{value:.4g}" if isinstance(value, float) else str(value)))
    return rows
