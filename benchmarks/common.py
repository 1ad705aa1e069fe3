"""What the benchmarks of the estimator share: points, and runs in processes of their own."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

K = 64
NEIGHBORS = 10


def load(path: str, count: int) -> np.ndarray:
    """Posterior means, or samples of the posteriors where more are asked for; (count, D)."""
    with np.load(path) as file:
        parts = [(file[f"{s}_means"], file[f"{s}_log_variances"]) for s in ("train", "validation")]
    means, log_variances = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    random = np.random.default_rng(0)
    if count <= len(means):
        return means[random.choice(len(means), count, replace=False)]
    rows = random.integers(len(means), size=count)
    points = random.standard_normal((count, means.shape[1]), dtype=np.float32)
    points *= np.exp(0.5 * log_variances)[rows]
    points += means[rows]
    return points


def unseen(path: str) -> np.ndarray:
    """Posterior means of the test images."""
    with np.load(path) as file:
        return file["test_means"]


def estimator(seed: int, jobs: int) -> Any:
    from geovq import GeodesicKMeans

    return GeodesicKMeans(K, n_neighbors=NEIGHBORS, random_state=seed, n_jobs=jobs)


def timed(function: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Median seconds, and what came out last."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def _memory(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def peak_memory(function: Callable[[], Any]) -> tuple[float, Any]:
    """MB that a call needed at once beyond what was in use before it (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _memory("VmRSS")
    result = function()
    return _memory("VmHWM") - before, result


def in_processes(module: str, arguments: list[list[str]], environment: dict[str, str]) -> Any:
    """Medians of what `python -m module --worker …` prints, one process for each arguments."""
    runs = []
    for each in arguments:
        command = [sys.executable, "-m", module, "--worker", *each]
        runs.append(json.loads(subprocess.check_output(command, text=True, env=environment)))
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
