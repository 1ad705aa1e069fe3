"""Files that are whole or absent, hold no pickle, and have the same bytes for the same content.

Every writer writes to a temporary name beside the target and renames it when complete.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zipfile import BadZipFile

import numpy as np

from geovq.errors import InputError, WeightsFileError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    Module = TypeVar("Module", bound=nn.Module)

__all__ = [
    "check_folder",
    "load_json",
    "load_module",
    "load_npz",
    "replacing",
    "save_figure",
    "save_json",
    "save_module",
    "save_npz",
]

PathLike = str | os.PathLike[str]


def check_folder(path: PathLike, contents: Sequence[str]) -> None:
    """Refuse to replace what is no folder of ours.

    Parameters
    ----------
    path : path-like
    contents : sequence of str
        Patterns of the names that our own folder would hold.

    Raises
    ------
    InputError
        `path` is a file, the current folder, or a folder that holds something else.
    """
    path = Path(path)
    if path.resolve() == Path.cwd() or (path.exists() and not path.is_dir()):
        raise InputError(f"{path}: allowed: a new folder")
    for entry in sorted(path.iterdir()) if path.is_dir() else ():
        if not any(fnmatch(entry.name, pattern) for pattern in contents):
            raise InputError(
                f"{path}: a folder that holds {entry.name}; allowed: a new folder, or one with "
                f"nothing but {', '.join(contents)}, to be replaced"
            )


@contextmanager
def replacing(path: PathLike, contents: Sequence[str] = ()) -> Iterator[Path]:
    """Give a temporary path that takes the place of `path` when the block ends without error.

    The block makes a file there, or with `contents`, as in `check_folder`, a folder.
    """
    path = Path(path)
    if contents:
        check_folder(path, contents)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        partial = Path(folder) / path.name
        yield partial
        if path.is_dir():  # a folder that is not empty cannot be renamed over
            os.replace(path, Path(folder) / "before")
        os.replace(partial, path)


def save_npz(path: PathLike, **arrays: Any) -> None:
    """Write named arrays; object arrays are refused, for they would be pickled."""
    checked = {name: np.asarray(array) for name, array in arrays.items()}
    for name, array in checked.items():
        if array.dtype.hasobject:
            raise InputError(f"{path}: array {name!r} holds Python objects; allowed: plain dtypes")
    with replacing(path) as partial:
        np.savez(partial, **checked)  # type: ignore[arg-type]


def load_npz(path: PathLike, *required: str) -> dict[str, np.ndarray]:
    """Read every array of an npz file.

    Raises
    ------
    InputError
        The file is absent, truncated or not an npz, holds pickled objects, or lacks an array
        named in `required`.
    """
    try:
        with open(path, "rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(f"{path}: a single array; allowed: an .npz of named arrays")
            arrays = {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except InputError:
        raise
    except (ValueError, BadZipFile, EOFError, OSError) as error:
        if "pickle" in str(error):
            raise InputError(
                f"{path}: holds pickled Python objects, which are never loaded; "
                "allowed: arrays of numbers"
            ) from None
        raise InputError(f"{path}: not a whole .npz file ({error})") from None
    for name in required:
        if name not in arrays:
            raise InputError(f"{path}: no array {name!r}; it holds {', '.join(sorted(arrays))}")
    return arrays


def save_json(path: PathLike, tree: dict[str, Any]) -> None:
    """Write a tree of plain values; NaN and infinity are refused, for JSON has neither."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(tree, indent=2, allow_nan=False) + "\n")


def load_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises
    ------
    InputError
        The file is absent or is not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: not a JSON file ({error})") from None


def save_module(path: PathLike, module: nn.Module) -> None:
    """Write a module's weights (safetensors) with its class and constructor arguments.

    Parameters
    ----------
    path : path-like
    module : torch.nn.Module
        Must have an attribute `config`: the keyword arguments that rebuild it.
    """
    from safetensors.torch import save_file

    architecture = {"class": type(module).__name__, "config": module.config}
    weights = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    with replacing(path) as partial:
        # One key only: the order of several would be random.
        save_file(weights, partial, {"architecture": json.dumps(architecture, sort_keys=True)})


def load_module(path: PathLike, cls: type[Module]) -> Module:
    """Rebuild a module of class `cls` from its file, in evaluation mode, on the CPU.

    Raises
    ------
    WeightsFileError
        The file is absent or truncated.
    InputError
        It holds another class.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise WeightsFileError(f"{path}: no such weights file") from None
    except (SafetensorError, OSError) as error:
        raise WeightsFileError(f"{path}: not a whole weights file ({error})") from None
    architecture = json.loads(metadata.get("architecture", "{}"))
    if architecture.get("class") != cls.__name__:
        found = architecture.get("class", "no architecture")
        raise InputError(f"{path}: holds {found}; allowed here: {cls.__name__}")
    module = cls(**architecture["config"])
    module.load_state_dict(weights)
    return module.eval()


def save_figure(path: PathLike, figure: Figure) -> None:
    """Write a figure as PNG without the metadata that would change between versions."""
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})
