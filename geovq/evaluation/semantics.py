"""Semantics: how much of an image's class its first token carries. No label is used in fitting."""

from __future__ import annotations

import numpy as np

__all__ = ["nmi", "purity"]


def purity(codes: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose label is the majority label of their code; both (N,)."""
    from sklearn.metrics.cluster import contingency_matrix

    return float(contingency_matrix(labels, codes).max(0).sum() / len(labels))


def nmi(codes: np.ndarray, labels: np.ndarray) -> float:
    """Mutual information of codes and labels over the mean of their entropies."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(labels, codes))
