"""What "near" means between latents N(μ, σ²): the metrics of the quantiser.

================ ========================================== =======================================
metric           neighbours, straight lines                 edge of the graph
================ ========================================== =======================================
euclidean        μ                                          ‖μ_i − μ_j‖
precision        μ / σ̄, σ̄_d the average posterior σ of      ‖μ_i/σ̄ − μ_j/σ̄‖
                 dimension d
fisher           μ / σ̄; nearest code: argmin_c              √ Σ_d (μ_i − μ_j)² (1/σ_i² + 1/σ_j²)/2
                 Σ_d (μ − c)²/σ_d²
pullback         μ / σ̄                                      ‖g(μ_i) − g(μ_j)‖, g the decoder's
                                                            expected pixels
================ ========================================== =======================================

`fisher` is the chord of the Fisher-Rao metric of Gaussians at a fixed variance; `pullback` is the
chord of the decoder's pull-back metric (Arvanitidis et al. 2018, https://arxiv.org/abs/1710.11379).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from geovq.clustering.checks import check_range, check_rows
from geovq.clustering.geometry import Length, euclidean_length
from geovq.errors import InputError

__all__ = ["METRICS", "Decode", "LatentMetric", "Latents", "checked_latents"]

LARGEST_MEAN = 1e100  # so that squares of it, and these times a precision, stay within float64
LARGEST_LOG = 80.0  # of a variance: precisions and variances are at most 6e34 then

Decode = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Latents:
    """Posteriors of N images.

    Attributes
    ----------
    means : ndarray of shape (N, D)
    log_variances : ndarray of shape (N, D) or None
    """

    means: np.ndarray
    log_variances: np.ndarray | None = None

    @property
    def variances(self) -> np.ndarray:
        """σ², (N, D)."""
        if self.log_variances is None:
            raise InputError("log_variances = None; this metric or layout needs them, as (N, D)")
        return np.exp(self.log_variances)

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Latents:
        """Both arrays changed alike."""
        spread = self.log_variances
        return Latents(change(self.means), None if spread is None else change(spread))

    @property
    def kl(self) -> np.ndarray:
        """KL to the prior of each dimension, in nats, (N, D)."""
        return 0.5 * (self.means**2 + self.variances - np.log(self.variances) - 1)


def checked_latents(
    means: ArrayLike, log_variances: ArrayLike | None = None, width: int | None = None
) -> Latents:
    """Latents (N, D) as float64, if float64 can square them and what they are divided by.

    Raises
    ------
    InputError
        They are not real and finite, or out of range; not of one shape, or of another width D.
    """
    found = check_rows("means", means, None, width).astype(np.float64)
    check_range("means", found, -LARGEST_MEAN, LARGEST_MEAN)
    if log_variances is None:
        return Latents(found)
    spread = check_rows("log_variances", log_variances, *found.shape).astype(np.float64)
    check_range("log_variances", spread, -LARGEST_LOG, LARGEST_LOG)
    return Latents(found, spread)


EdgePoints = Callable[[Latents, np.ndarray, Decode | None], np.ndarray | None]


@dataclass(frozen=True)
class LatentMetric:
    """One row of the table above.

    Attributes
    ----------
    scaled : bool
        Whether latents are divided by the average posterior σ.
    weighted : bool
        Whether straight distances and cell means weigh dimensions by each latent's own 1/σ².
    edge_points : callable
        (latents, dimensions, decode) → the coordinates edges are measured on; None for the
        (scaled) latents themselves.
    length : callable
        Paired edge points → lengths.
    """

    scaled: bool
    weighted: bool
    edge_points: EdgePoints
    length: Length = euclidean_length

    def scale(self, latents: Latents) -> np.ndarray:
        """What latents are multiplied by, (D,)."""
        if not self.scaled:
            return np.ones(latents.means.shape[1])
        return 1 / np.sqrt(latents.variances).mean(0)


def _latents_themselves(latents: Latents, chunk: np.ndarray, decode: Decode | None) -> None:
    return None


def _with_precisions(latents: Latents, chunk: np.ndarray, decode: Decode | None) -> np.ndarray:
    return np.hstack([latents.means[:, chunk], 1 / latents.variances[:, chunk]])


def _fisher_length(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    mean_a, precision_a = np.hsplit(a, 2)
    mean_b, precision_b = np.hsplit(b, 2)
    return np.sqrt(((mean_a - mean_b) ** 2 * (precision_a + precision_b)).sum(1) / 2)


def _decoded(latents: Latents, chunk: np.ndarray, decode: Decode | None) -> np.ndarray:
    if decode is None:
        raise InputError("decode = None; metric pullback needs the decoder")
    kept = np.zeros_like(latents.means)  # dimensions outside the chunk at the prior's mean
    kept[:, chunk] = latents.means[:, chunk]
    return check_rows("decode(latents)", decode(kept), len(kept))


METRICS = {
    "euclidean": LatentMetric(False, False, _latents_themselves),
    "precision": LatentMetric(True, False, _latents_themselves),
    "fisher": LatentMetric(True, True, _with_precisions, _fisher_length),
    "pullback": LatentMetric(True, False, _decoded),
}
