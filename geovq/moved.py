"""Names as they were before the library had rooms: they are found where they are now, and told."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["install"]

# A module as it was called, and the modules that have its names now. Some are packages today.
MOVED = {
    "arrays": ["data.arrays"],
    "checkpoints": ["training.checkpoints"],
    "cli": ["cli.commands"],
    "codec": ["codec.codec"],
    "data": ["data.sets", "data.splits"],
    "evaluation.distortion": ["models.distortion"],
    "evaluation.examples": ["report.examples"],
    "evaluation.rate": ["quantization.rate"],
    "figures": ["report.figures"],
    "fingerprint": ["files.fingerprint"],
    "fitting": ["codec.fitting"],
    "geodesic_kmeans": ["clustering.geodesic_kmeans"],
    "geometry": ["clustering.geometry"],
    "graph": ["clustering.graph"],
    "idx": ["data.idx"],
    "images": ["data.folders"],
    "k_medoids": ["clustering.k_medoids"],
    "latent_metrics": ["quantization.latent_metrics"],
    "lengths": ["clustering.lengths"],
    "levels": ["quantization.levels"],
    "marks": ["files.marks"],
    "medoids": ["clustering.medoids"],
    "model_files": ["codec.folder"],
    "models": [
        f"models.{name}" for name in ("classifier", "code_decoder", "prior", "vae", "vqvae")
    ],
    "neighbors": ["clustering.neighbors"],
    "npz": ["files.npz"],
    "page": ["report.page"],
    "params": ["params.sections", "params.reading"],
    "paths": ["clustering.paths"],
    "pixels": ["data.pixels"],
    "places": ["files.places"],
    "quantizer": ["quantization.quantizer", "quantization.layout"],
    "recipes": [
        f"training.{name}" for name in ("vae", "vqvae", "classifier", "prior", "refinement")
    ],
    "report": ["report.table"],
    "settings": ["codec.settings"],
    "store": ["files.store"],
    "tokenizer": ["codec.tokenizer"],
    "training": ["training.loop", "batches"],
    "writing": ["files.writing"],
}
RENAMED = {
    "bce": "distortion",
    "least_bce": "least_distortion",
    "mean_image_bce": "mean_image_distortion",
}


def _finding(old: str, homes: Sequence[str]) -> Callable[[str], Any]:
    """A module's `__getattr__` that looks a name up in other modules."""

    def find(name: str) -> Any:
        if not name.startswith("__"):
            for home in homes:
                module = import_module(f"geovq.{home}")
                for known in (name, RENAMED.get(name, name)):
                    if known in vars(module):
                        new = f"{module.__name__}.{known}"
                        message = f"geovq.{old}.{name} is now {new}"
                        warnings.warn(message, DeprecationWarning, stacklevel=2)
                        return vars(module)[known]
        raise AttributeError(f"module 'geovq.{old}' has no attribute {name!r}")

    return find


class _Alias(Loader):
    """A module without anything of its own."""

    def __init__(self, old: str) -> None:
        self.old = old

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        vars(module)["__getattr__"] = _finding(self.old, MOVED[self.old])


class _Package(_Alias):
    """A package of today, which finds too what a module of its name had."""

    def __init__(self, old: str, own: Loader) -> None:
        super().__init__(old)
        self.own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self.own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        self.own.exec_module(module)


class _Finder(MetaPathFinder):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package, _, old = name.partition(".")
        if package != "geovq" or old not in MOVED:
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return ModuleSpec(name, _Alias(old))
        if spec.loader is not None and spec.submodule_search_locations is not None:
            spec.loader = _Package(old, spec.loader)
        return spec


def install() -> None:
    """Let imports of what has moved succeed in this process."""
    sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != _Finder.__name__]
    sys.meta_path.insert(0, _Finder())
