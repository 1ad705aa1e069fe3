"""What the command line reads, and where it writes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geovq.errors import InputError
from geovq.images import SUFFIXES, load_folder, save_folder
from geovq.store import check_folder, load_npz, save_npz

if TYPE_CHECKING:
    from geovq.codec import Codec

__all__ = ["check_output", "check_target", "read", "setting", "table", "write"]


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
    """Read `images` and `names` of a folder, or the `images` or `means` of an .npz file.

    Other arrays of the file are passed over, and told, but for labels.
    """
    if path.is_dir():
        images, files = load_folder(path)
        return {"images": images, "names": np.array(files)}
    if path.exists() and path.suffix != ".npz":
        raise InputError(f"{path}: allowed: a folder of pictures, or an .npz file")
    arrays = load_npz(path)
    if ("images" in arrays) == ("means" in arrays):
        raise InputError(
            f"{path}: holds {', '.join(arrays)}; allowed: either images, or means and log_variances"
        )
    known = ("images",) if "images" in arrays else ("means", "log_variances")
    unknown = arrays.keys() - {*known, "names", "labels"}
    if unknown:
        warnings.warn(
            f"{path}: passed over {', '.join(sorted(unknown))}; read: {' and '.join(known)}",
            stacklevel=2,
        )
    names, rows = arrays.get("names"), arrays[known[0]].shape[:1]
    if names is not None and (names.shape != rows or names.dtype.kind != "U"):
        raise InputError(
            f"{path}: names of shape {names.shape}, {names.dtype}; allowed: {rows} text"
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
    from ruamel.yaml import YAML, YAMLError

    key, equals, value = text.partition("=")
    try:
        if key and equals:
            return key, YAML(typ="safe").load(value)
    except (YAMLError, ValueError, RecursionError):  # a date of no calendar, a thousand brackets
        pass
    raise InputError(f"--set {text}: allowed: KEY=VALUE, the value in YAML")


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
