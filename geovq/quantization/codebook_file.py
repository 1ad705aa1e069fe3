"""The file of a fitted `GeodesicQuantizer`: one npz, no pickle."""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from geovq.clustering.geometry import Length
from geovq.clustering.saved import PathLike, SavedArrays, saved_parameters
from geovq.errors import InputError
from geovq.files.store import load_npz, save_npz
from geovq.quantization.latent_metrics import METRICS
from geovq.quantization.levels import LEVELS, Level

__all__ = ["SavedQuantizer"]


class SavedQuantizer:
    """`save` and `load` of `GeodesicQuantizer`."""

    def save(self, path: PathLike) -> None:
        """Write parameters and codebooks to one npz file.

        Parameters and errors are those of `GeodesicKMeans.save`.
        """
        check_is_fitted(self)
        quantizer: Any = self
        named = {
            "parameters": np.array(json.dumps(quantizer.get_params(), default=int)),
            "scale": quantizer.scale_,
        }
        parts = zip(quantizer.levels_, quantizer.chunks_, strict=True)
        for position, (level, chunk) in enumerate(parts):
            named[f"{position}/chunk"] = chunk
            if position > quantizer.layout_.sharing(position).start:
                continue  # the level is there
            for name, array in level.arrays().items():
                named[f"{position}/{type(level).__name__}/{name}"] = array
        save_npz(path, "codebook", **named)

    @classmethod
    def load(cls, path: PathLike) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            The file is absent, truncated, or another kind of file.
        """
        named = load_npz(path, "parameters", "scale", kind="codebook")
        quantizer: Any = cls(**saved_parameters(path, named, cls))
        if quantizer.metric not in METRICS:
            raise InputError(
                f"{path}: metric = {quantizer.metric!r}; allowed: {', '.join(METRICS)}"
            )
        quantizer.scale_ = SavedArrays(path, named).numbers("scale", None)
        try:
            layout = quantizer.layout_
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        quantizer.chunks_, quantizer.levels_ = [], []
        for position in range(quantizer.tokens):
            saved = SavedArrays(path, named, f"{position}/")
            width = len(saved.numbers("chunk", None))
            quantizer.chunks_.append(saved.rows("chunk", width, len(quantizer.scale_)))
            first = layout.sharing(position).start
            if position > first:
                quantizer.levels_.append(quantizer.levels_[first])
            else:
                length = METRICS[quantizer.metric].length
                quantizer.levels_.append(_level(path, named, position, width, length))
        return quantizer


def _level(
    path: PathLike, named: dict[str, np.ndarray], position: int, width: int, length: Length
) -> Level:
    """The level of a position."""
    for kind in LEVELS:
        saved = SavedArrays(path, named, f"{position}/{kind.__name__}/")
        if "vectors" in saved:
            return kind.restore(saved, width, length)
    raise InputError(f"{path}: no codes of position {position}")
