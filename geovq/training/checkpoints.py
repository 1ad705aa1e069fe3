"""What a training has come to, in a file, so that after an interruption it goes on from there.

Nothing is pickled. A checkpoint carries a fingerprint of all that decides what a training comes to,
and a digest of its own content: one of another training, or a damaged one, is passed over.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geovq.errors import TrainingWarning
from geovq.files import writing
from geovq.files.marks import folder_mark
from geovq.files.places import check_growing
from geovq.files.writing import new_file, new_folder

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Checkpoint", "checked_folder", "discard", "fingerprint"]

SECONDS = 10.0  # between two checkpoints of a training, at least; and what one takes is
SHARE = 0.02  # of the time since the last, at most
KIND = "folder of checkpoints"  # in its mark

State = tuple[dict[str, "Tensor"], dict[str, Any]]  # tensors, and plain values


class Checkpoint:
    """The file of one training.

    Parameters
    ----------
    path : Path
    fingerprint : str
        Of the training, as `fingerprint` makes it.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path, self.fingerprint = path, fingerprint
        self._last, self._cost, self._usable = time.monotonic(), 0.0, True

    def due(self) -> bool:
        """Whether the last one is old enough for another."""
        return time.monotonic() - self._last >= max(SECONDS, self._cost / SHARE)

    def save(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Write a checkpoint in place of the last; if that fails, warn and go on without."""
        start = time.monotonic()
        if self._usable:
            try:
                save(self.path, tensors, {**values, "fingerprint": self.fingerprint})
            except OSError as error:
                self._usable = False
                warnings.warn(
                    f"{self.path}: no checkpoint ({error.strerror or error}); interrupted, this "
                    "training would start anew",
                    TrainingWarning,
                    stacklevel=3,
                )
        self._last = time.monotonic()
        self._cost = self._last - start

    def load(self) -> State | None:
        """Tensors and values of the last checkpoint; None if there is none of this training."""
        found = load(self.path)
        if found is None or found[1].pop("fingerprint", None) != self.fingerprint:
            return None
        return found


def fingerprint(facts: Mapping[str, Any], tensors: Iterable[Tensor]) -> str:
    """Digest of plain values and of tensors; of geovq itself, and of the machine's arithmetic."""
    import torch

    from geovq.batches import best_device

    device = best_device()
    names = {"cuda": torch.cuda.get_device_name, "cpu": torch.backends.cpu.get_cpu_capability}
    machine = {
        "torch": torch.__version__,
        "device": names.get(device.type, lambda: device.type)(),
        "threads": torch.get_num_threads(),  # sums are rounded by their parts
        "geovq": _sources(),
    }
    return _digest({**facts, **machine}, tensors)


@cache
def _sources() -> str:
    """Digest of the library's code."""
    digest = blake2b(digest_size=16)
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _digest(values: Mapping[str, Any], tensors: Iterable[Tensor]) -> str:
    digest = blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16)
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def save(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write tensors and plain values to one safetensors file, whole or not at all."""
    from safetensors.torch import save as serialized

    named = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    about = json.dumps({"values": values, "digest": _digest(values, named.values())})
    if folder_mark(path.parent) is None:
        with new_folder(path.parent, KIND):
            pass
    with new_file(path, ".safetensors") as stream:
        stream.write(serialized(named, {"checkpoint": about}))


def load(path: Path) -> State | None:
    """Read what `save` wrote; None if there is no such file, or not a whole one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["checkpoint"])
            # Copies, for the file may be replaced while its tensors are in use.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
        values = about["values"]
        whole = about["digest"] == _digest(values, tensors.values())
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    return (tensors, values) if whole else None


def checked_folder(folder: Path) -> Path:
    """See that a folder is one of checkpoints, or new: the first checkpoint makes it.

    Raises
    ------
    InputError
        There is something else of that name.
    """
    return check_growing(folder, KIND)


def discard(folder: Path) -> None:
    """Remove a folder of checkpoints; another is left alone, and so is what else is in it."""
    writing.discard(folder, KIND, ".safetensors")
