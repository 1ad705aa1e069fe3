"""Post-hoc geodesic vector quantisation: discrete codes from a trained continuous VAE."""

from typing import TYPE_CHECKING

from geovq.moved import install as _find_what_has_moved

if TYPE_CHECKING:
    from geovq.clustering.geodesic_kmeans import GeodesicKMeans
    from geovq.codec.codec import Codec
    from geovq.quantization.quantizer import GeodesicQuantizer

__all__ = ["Codec", "GeodesicKMeans", "GeodesicQuantizer"]

__version__ = "0.1.0"

_find_what_has_moved()

_HOMES = {
    "Codec": "geovq.codec.codec",
    "GeodesicKMeans": "geovq.clustering.geodesic_kmeans",
    "GeodesicQuantizer": "geovq.quantization.quantizer",
}


def __getattr__(name: str) -> object:
    """Import on first use, so that reading parameters does not pay for scikit-learn."""
    from importlib import import_module

    from geovq.errors import not_installed

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(not_installed(error), name=error.name) from error


def __dir__() -> list[str]:
    """Names that completion shows."""
    return sorted([*__all__, "__version__"])
