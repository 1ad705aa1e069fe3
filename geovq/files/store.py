"""Formats of files: no pickle, the same bytes for the same content, and a hash that is checked.

`geovq.files.writing` puts them on the disk.
"""

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import ZipFile

import numpy as np

from geovq.errors import InputError, WeightsFileError
from geovq.files.marks import file_mark, mark_text, seal
from geovq.files.npz import read_npz
from geovq.files.reading import open_regular
from geovq.files.writing import new_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    Module = TypeVar("Module", bound=nn.Module)

__all__ = [
    "is_ours",
    "load_json",
    "load_module",
    "load_npz",
    "save_figure",
    "save_json",
    "save_module",
    "save_npz",
]

PathLike = str | os.PathLike[str]


def is_ours(path: PathLike) -> bool:
    """Whether an npz or safetensors file has a mark of geovq's, damaged or not."""
    try:
        return file_mark(path, checked=False) is not None
    except InputError:
        return True
    except OSError:
        return False


def save_npz(path: PathLike, kind: str, /, **arrays: Any) -> None:
    """Write named arrays, with a mark.

    Parameters
    ----------
    path : path-like
        Ends in `.npz`. A file that is there is replaced if geovq wrote it.
    kind : str
        What they are, as `load_npz` may want to know.
    **arrays
        Object arrays are refused, for they would be pickled.

    Raises
    ------
    InputError
        The arrays or the path are not as said here, or the path is no place for a file.
    WriteError
        The system refused.
    """
    checked = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in checked.items():
        if array.dtype.hasobject:
            raise InputError(f"{path}: array {name!r} holds Python objects; allowed: plain dtypes")
    with new_file(path, ".npz", is_ours) as stream:
        np.savez(stream, **checked)  # type: ignore[arg-type]
        end = stream.tell()
        with ZipFile(stream, "a") as archive:
            archive.comment = mark_text(kind).encode()
        seal(stream, end)


def load_npz(path: PathLike, *required: str, kind: str | None = None) -> dict[str, np.ndarray]:
    """Read every array of an npz file.

    Parameters
    ----------
    path : path-like
    *required : str
        Arrays that it has to hold.
    kind : str, optional
        What geovq must have written it as. Otherwise it may be anybody's.

    Raises
    ------
    InputError
        The file is absent, truncated, damaged or not an npz, holds pickled objects, is of another
        kind, or lacks an array.
    """
    open_regular(path, ".npz file").close()
    mark = file_mark(path)
    arrays = read_npz(path)
    if kind is not None and (mark is None or mark.kind != kind):
        found = "no file of geovq's" if mark is None else f"geovq {mark.kind}"
        raise InputError(f"{path}: {found}; allowed: geovq {kind}")
    for name in required:
        if name not in arrays:
            raise InputError(f"{path}: no array {name!r}; it holds {', '.join(sorted(arrays))}")
    return arrays


def save_json(path: PathLike, tree: dict[str, Any]) -> None:
    """Write a tree of plain values; NaN and infinity are refused, for JSON has neither."""
    text = json.dumps(tree, indent=2, allow_nan=False)
    with new_file(path, ".json") as stream:
        stream.write(f"{text}\n".encode())


def load_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        The file is absent or is not JSON.
    """
    with open_regular(path, "JSON file") as stream:
        content = stream.read()
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None


def save_module(path: PathLike, module: nn.Module) -> None:
    """Write a module's weights (safetensors) with its class and constructor arguments.

    Parameters
    ----------
    path : path-like
        Ends in `.safetensors`. A file that is there is replaced if geovq wrote it.
    module : torch.nn.Module
        Must have an attribute `config`: the keyword arguments that rebuild it.

    Raises
    ------
    InputError
        The path is no place for such a file.
    WriteError
        The system refused.
    """
    from safetensors.torch import save

    # One key only: the order of several would be random.
    text = mark_text("weights", **{"class": type(module).__name__, "config": module.config})
    weights = {name: tensor.contiguous().cpu() for name, tensor in module.state_dict().items()}
    with new_file(path, ".safetensors", is_ours) as stream:
        stream.write(save(weights, {"architecture": text}))
        seal(stream)


def load_module(path: PathLike, cls: type[Module]) -> Module:
    """Rebuild a module of class `cls` from its file, in evaluation mode, on the CPU.

    Raises
    ------
    WeightsFileError
        The file is absent, truncated, damaged, or not as geovq writes it.
    InputError
        It holds another class.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    from geovq.weights import initial_weights

    try:
        with open_regular(path, "weights file") as stream:
            content = stream.read()
        weights = load(content)
        mark = file_mark(path)
    except InputError as error:
        raise WeightsFileError(str(error)) from None
    except (SafetensorError, OSError) as error:
        raise WeightsFileError(f"{path}: not a whole weights file ({error})") from None
    if mark is None:
        raise WeightsFileError(f"{path}: no weights that geovq wrote")
    if mark.said.get("class") != cls.__name__:
        found = mark.said.get("class", "no architecture")
        raise InputError(f"{path}: holds {found}; allowed here: {cls.__name__}")
    config: Any = mark.said.get("config")
    try:
        # Sizes first, without memory: what is built then is no larger than the file.
        inspect.signature(cls).bind(**config)
        _check_sizes(config, os.path.getsize(path))
        with torch.device("meta"), initial_weights():
            shapes = {name: t.shape for name, t in cls(**config).state_dict().items()}
        if shapes != {name: tensor.shape for name, tensor in weights.items()}:
            raise ValueError("its tensors have other names or sizes")
        if not all(tensor.isfinite().all() for tensor in weights.values()):
            raise ValueError("some are NaN or infinite")
        with initial_weights():  # which are replaced
            module = cls(**config)
        module.load_state_dict(weights)
    except Exception as error:  # of whatever kind: nobody but geovq should have written it
        raise WeightsFileError(f"{path}: not the weights of its {cls.__name__} ({error})") from None
    return module.eval()


def save_figure(path: PathLike, figure: Figure) -> None:
    """Write a figure as PNG without the metadata that would change between versions."""
    with new_file(path, ".png") as stream:
        figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})


def _check_sizes(config: Any, most: int) -> None:
    """Refuse sizes that the weights in a file of `most` bytes cannot have."""
    if isinstance(config, dict):
        config = [size for name, size in config.items() if name != "candidates"]  # no size
    for part in config:
        if isinstance(part, list):
            _check_sizes(part, most)
        elif isinstance(part, int) and abs(part) > most:
            raise ValueError(f"a size of {part}")
