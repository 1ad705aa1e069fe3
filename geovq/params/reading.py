"""Parameter files → `Params`; every mistake is told at once, by the full names of the keys."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
from typing import Any

from pydantic import ValidationError

from geovq.errors import InputError
from geovq.files.npz import npz_shapes
from geovq.params.explain import explain
from geovq.params.sections import Params, Section
from geovq.params.yaml import YAMLTextError, from_yaml
from geovq.quantization.counts import check_counts

__all__ = ["as_params", "load_params"]


def load_params(
    path: str | os.PathLike[str], *, images: str | os.PathLike[str] | None = None
) -> Params:
    """Read and check a parameter file.

    Parameters
    ----------
    path : path-like
        A YAML 1.2 file, as DVC reads it.
    images : path-like, optional
        An npz file with `train_images`: if it is there, codes and neighbours may not be more than
        they are, which is told before anything is trained.

    Returns
    -------
    Params

    Raises
    ------
    InputError
        The file is missing or is not YAML, or a key is unknown, missing, of the wrong type or
        out of range. The message, one line, lists every offending key. Or there are fewer images.
    """
    path = Path(path)
    try:
        if not S_ISREG(path.stat().st_mode):  # a pipe would be waited for
            raise InputError(f"{path}: allowed: a file of parameters, in YAML")
        tree = from_yaml(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; run from the folder that holds it") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except YAMLTextError as error:
        raise InputError(f"{path}: {error}") from None
    params = as_params(tree, path)
    if images is not None and Path(images).exists():
        _check_counts(params, images)
    return params


def _check_counts(params: Params, images: str | os.PathLike[str]) -> None:
    """Refuse what a later stage could not do with so many training images."""
    (count, *_) = npz_shapes(images).get("train_images") or (0,)
    for section in ("geodesic_quantize", "train_vqvae"):
        books = getattr(params, section)
        neighbors = getattr(books, "neighbors", None)
        of = "training images"
        check_counts(count, books.codes, books.first_codes, neighbors, of=of, section=section)


def as_params(tree: Any, name: object = "params") -> Params:
    """Check what a parameter file says; `name` is what messages call it."""
    wrong = [f"{key}: missing" for key in _missing(Params, tree)]
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        wrong += [line for line in explain(error, Params) if not line.endswith(": missing")]
    if wrong:
        raise InputError(f"{name}: {'; '.join(wrong)}")
    return params


def _missing(section: type[Section], tree: Any, prefix: str = "") -> Iterator[str]:
    """Full names of the keys that a tree leaves to their defaults."""
    if not isinstance(tree, dict):
        return
    for name, field in section.model_fields.items():
        if name not in tree:
            yield prefix + name
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from _missing(field.annotation, tree[name], f"{prefix}{name}.")
