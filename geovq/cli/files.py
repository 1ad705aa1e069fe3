"""What the command line reads, and where it writes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from geovq.codec.settings import Settings, settings
from geovq.data.folders import KIND, load_pictures, save_folder
from geovq.data.pixels import channels_last
from geovq.data.sets import SPLITS, rows_of_splits
from geovq.data.survey import SUFFIXES, survey
from geovq.errors import InputError, TrainingError
from geovq.files.npz import npz_shapes
from geovq.files.places import check_apart, check_file, check_folder
from geovq.files.store import is_ours, load_npz, save_npz
from geovq.params.yaml import YAMLTextError, from_yaml
from geovq.quantization.counts import check_counts
from geovq.training.checkpoints import checked_folder, discard

if TYPE_CHECKING:
    from geovq.codec.codec import Codec

__all__ = [
    "check_count",
    "check_device",
    "check_options",
    "check_output",
    "check_target",
    "labels_of",
    "only",
    "read",
    "read_tokens",
    "setting",
    "table",
    "unfinished",
    "write",
]

MANY = 1000  # pictures or rows
ITEMS = ("images", "means", "log_variances")  # of an .npz file


def check_target(
    path: Path, force: bool, kind: str | None = None, inputs: Sequence[Path] = ()
) -> None:
    """See that `path` may be written, before any work is done.

    Parameters
    ----------
    path : Path
    force : bool
        Whether what is there may be replaced, if geovq wrote it.
    kind : str, optional
        Of the folder that will be written, as in `geovq.files.places.check_folder`; an .npz file by
        default.
    inputs : sequence of Path
        What the command reads; the output may be none of it, nor in it or around it.

    Raises
    ------
    InputError
        There is something, or it is of another kind.
    """
    check_apart(path, *inputs)
    if kind is None:
        check_file(path, ".npz", is_ours)
    else:
        check_folder(path, kind)
    if not force and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: is there already; --force replaces it")


def check_output(path: Path, force: bool, inputs: Sequence[Path] = ()) -> None:
    """As `check_target`, for a folder of pictures or an .npz file, by the suffix."""
    if path.suffix.lower() in SUFFIXES:
        raise InputError(f"{path}: allowed: a folder, or an .npz file")
    check_target(path, force, None if path.suffix == ".npz" else KIND, inputs)


def read(
    path: Path,
    *,
    size: int | tuple[int, int] | None = None,
    recursive: bool = False,
    channels: str | None = None,
) -> dict[str, np.ndarray]:
    """Read `images` and `names` of a folder, or the `images` or `means` of an .npz file.

    Sub-folders of a folder that are classes give `labels` and `classes` too. Other arrays of a file
    are passed over, and told, but for labels and the row numbers of its splits.

    Parameters
    ----------
    path : Path
    size, recursive
        As in `geovq.data.folders.load_pictures`.
    channels : {'last', 'first'}, optional
        As in `geovq.data.pixels.channels_last`, of the images of a file.
    """
    if path.is_dir():
        if channels is not None:
            raise InputError(f"--channels {channels}: allowed with images of an .npz file only")
        return _read_folder(path, size, recursive)
    if path.exists() and path.suffix != ".npz":
        raise InputError(f"{path}: allowed: a folder of pictures, or an .npz file")
    if path.exists() and (size is not None or recursive):
        said = "--recursive" if size is None else "--size"
        raise InputError(f"{said}: {path} is a file; allowed with a folder of pictures")
    arrays = load_npz(path)
    if ("images" in arrays) == ("means" in arrays):
        raise InputError(
            f"{path}: holds {', '.join(arrays)}; allowed: either images, or means and log_variances"
        )
    if channels is not None:
        if "images" not in arrays:
            raise InputError(f"--channels {channels}: {path} has latents; allowed with images")
        arrays["images"] = channels_last(arrays["images"], f"{path}: images", channels)
    known = ("images",) if "images" in arrays else ("means", "log_variances")
    unknown = arrays.keys() - {*known, "names", "labels", *SPLITS}
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


def only(arrays: dict[str, np.ndarray], path: Path, *splits: str) -> dict[str, np.ndarray]:
    """Of arrays that have splits of their own, the rows of some of these; else all."""
    items = arrays["images" if "images" in arrays else "means"]
    if path.is_dir() or items.ndim < 2:  # of which whoever takes them says what is wrong
        return arrays
    rows = rows_of_splits(path, arrays, items)
    if not rows:
        return arrays
    mine = [name for name in arrays if name in (*ITEMS, "names", "labels")]
    for name in mine:  # one that is as long as what is chosen would pass for it
        if arrays[name].shape[:1] != items.shape[:1]:
            raise InputError(
                f"{path}: {name} of shape {arrays[name].shape}; allowed with splits: a row for "
                f"each of {len(items):,}"
            )
    named = [name for name in splits if name in rows]
    chosen = np.concatenate([rows[name] for name in named])
    said = f"{path}: {len(chosen):,} of {len(items):,} rows, those of {' and '.join(named)}"
    click.echo(said, err=True)
    return {name: arrays[name][chosen] for name in mine}


def _read_folder(
    path: Path, size: int | tuple[int, int] | None, recursive: bool
) -> dict[str, np.ndarray]:
    """The arrays of a folder; how many pictures there are is told."""
    found = load_pictures(path, size=size, recursive=recursive)
    count, height, width, *colour = found.images.shape
    said = f"{path}: {count} pictures, {'colour' if colour else 'grey'}, {width} × {height} pixels"
    if size is not None:
        said += " by --size"
    arrays = {"images": found.images, "names": np.array(found.names)}
    if found.labels is not None:
        said += f", in {len(found.classes)} sub-folders, their classes"
        arrays |= {"labels": found.labels, "classes": np.array(found.classes)}
    click.echo(said, err=True)
    return arrays


def labels_of(path: Path, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Labels (N,) beside images or means, if there are any."""
    labels = arrays.get("labels")
    rows = len(arrays["images" if "images" in arrays else "means"])
    if labels is not None and (labels.shape != (rows,) or labels.dtype.kind not in "iuU"):
        raise InputError(
            f"{path}: labels of shape {labels.shape}, {labels.dtype}; allowed: ({rows},) integers "
            "or text"
        )
    return labels


def read_tokens(path: Path) -> tuple[np.ndarray, list[int], dict[str, np.ndarray]]:
    """Tokens (N, T), the number of codes at each position, and whatever else a file holds."""
    arrays = load_npz(path, "tokens", "vocabulary")
    tokens, vocabulary = arrays.pop("tokens"), arrays.pop("vocabulary")
    for name, array, axes in (("tokens", tokens, 2), ("vocabulary", vocabulary, 1)):
        if array.ndim != axes or array.dtype.kind not in "iu" or not array.size:
            raise InputError(
                f"{path}: {name} of shape {array.shape}, {array.dtype}; allowed: "
                f"{'(N, T)' if axes == 2 else '(T,)'} integers"
            )
    if len(vocabulary) != tokens.shape[1] or vocabulary.min() < 1:
        raise InputError(
            f"{path}: vocabulary {vocabulary.tolist()}; allowed: the number of codes at each of "
            f"{tokens.shape[1]} positions"
        )
    low, high = tokens.min(0), tokens.max(0)
    if (low < 0).any() or (high >= vocabulary).any():
        raise InputError(
            f"{path}: tokens from {low.tolist()} to {high.tolist()}; allowed: from 0 to below the "
            f"vocabulary, {vocabulary.tolist()}"
        )
    names = arrays.get("names")
    if names is not None and (names.dtype.kind != "U" or names.shape != tokens.shape[:1]):
        raise InputError(
            f"{path}: names of shape {names.shape}, {names.dtype}; allowed: ({len(tokens)},) text"
        )
    return tokens, vocabulary.tolist(), arrays


def write(path: Path, codec: Codec, tokens: np.ndarray, names: np.ndarray | None = None) -> None:
    """Decode tokens into a folder of pictures or an .npz file."""
    coded = {
        "tokens": tokens,
        "vocabulary": codec.vocabulary,
        "codebook": codec.fingerprint,
    }
    if codec.tokenizer is None:
        if path.suffix != ".npz":
            raise InputError(f"{path}: this model decodes to latents; allowed: an .npz file")
        save_npz(path, "latents", latents=codec.decode_latents(tokens), **coded)
        return
    images = np.rint(codec.decode(tokens, progress=True) * 255).astype(np.uint8)
    if path.suffix == ".npz":
        save_npz(path, "images", images=images, **coded)
    else:
        save_folder(path, images, None if names is None else flat(names.tolist()))


def flat(names: Sequence[str]) -> list[str]:
    """Names of pictures in sub-folders as those of files in one: `cat/a` as `cat_a`."""
    return [name if name.startswith(("/", ".")) else name.replace("/", "_") for name in names]


def setting(text: str) -> tuple[str, Any]:
    """Take `KEY=VALUE` apart; the value is YAML, as in params.yaml."""
    key, equals, value = text.partition("=")
    try:
        if key and equals:
            return key, from_yaml(value)
    except YAMLTextError:
        pass
    raise InputError(f"--set {shorten(text, 80)}: allowed: KEY=VALUE, the value in YAML")


def check_options(options: Mapping[str, Any], source: Path) -> Settings:
    """Name a mistake in options of a fit before `source`, which may be large, is read.

    They have to suit images; or latents, unless the source is a folder.
    """
    try:
        return settings(options)
    except InputError as error:
        if source.is_dir():
            raise
        try:
            return settings(options, absent=["train_vae", "refine"])
        except InputError:
            raise error from None


def check_count(chosen: Settings, source: Path, recursive: bool) -> None:
    """Name a mistake that the number of pictures or rows shows, before they are read.

    Few are soon read, and what is wrong with them is said first.
    """
    if source.is_dir():
        count, of = len(survey(source, recursive).files), f"pictures in {source}"
    elif source.is_file() and source.suffix == ".npz":
        shapes = npz_shapes(source)
        shape, of = shapes.get("images") or shapes.get("means") or (), f"rows in {source}"
        count = max(shape[:1], default=0)
    else:
        return
    if count >= MANY:
        known = chosen.geodesic_quantize
        check_counts(count, known.codes, known.first_codes, known.neighbors, of=of)


def check_device(device: str | None) -> None:
    """See that a device that was asked for is there, before any work is done."""
    if device is not None:  # which PyTorch has to be asked for
        from geovq.batches import checked_device

        checked_device(device)


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
