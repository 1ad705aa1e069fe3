"""Small data that every test file shares."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def images(rng):
    """(40, 8, 12): not square, so that a swapped axis shows."""
    return torch.from_numpy(rng.random((40, 8, 12), dtype=np.float32))


@pytest.fixture
def latents(rng):
    """Means and log-variances of 300 posteriors in four clusters, D = 6."""
    centers = 1.2 * rng.standard_normal((4, 6))
    means = centers[rng.integers(4, size=300)] + rng.standard_normal((300, 6))
    return means, rng.normal(-1, 0.5, (300, 6))


@pytest.fixture(autouse=True)
def _same_start():
    torch.manual_seed(0)
