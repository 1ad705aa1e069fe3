"""Run the pipeline in fresh checkouts, each elsewhere and in another environment; compare all outs.

    python -m checks.twice                    # a few small images
    python -m checks.twice --default          # the parameters of params.yaml

Every run begins with empty caches, in a folder of its own, in one process. Printed for each: how
many outs there are (weights, arrays, metrics, pictures, the page), how many of them have other
bytes than those of the first run, the first few of those, and how many numbers of
metrics/evaluate.json differ as the table prints them, with one digit after the point.
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tabulate import tabulate

from checks.small import Copy

# Whatever has nothing to do with the results; the threads, which have, come last.
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "first": {},
    "again, elsewhere": {},
    "PYTHONHASHSEED=1": {"PYTHONHASHSEED": "1"},
    "LC_ALL=C, TZ=Asia/Kathmandu": {"LC_ALL": "C", "TZ": "Asia/Kathmandu"},
    "OMP_NUM_THREADS=1": {"OMP_NUM_THREADS": "1"},
    "OMP_NUM_THREADS=2": {"OMP_NUM_THREADS": "2"},
    "OMP_NUM_THREADS=3": {"OMP_NUM_THREADS": "3"},
}


def numbers(tree: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a tree, by its path."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from numbers(value, f"{name}/{key}")
    elif isinstance(tree, int | float):
        yield name, tree


def run(folder: Path, default: bool, changes: dict[str, str]) -> dict[str, bytes]:
    """Outs of a run in an empty folder, by name."""
    copy = Copy(folder, None, **changes)
    for path in folder.rglob("__pycache__"):
        shutil.rmtree(path)
    for path in copy.written():
        path.unlink()
    if default:
        copy("git", "checkout", "-q", "HEAD~1", "--", "params.yaml")
    copy.without_dvc()
    return copy.outs()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--default", action="store_true", help="parameters as in params.yaml")
    options = parser.parse_args()
    rows: list[list[Any]] = []
    first: dict[str, bytes] = {}
    for name, changes in ENVIRONMENTS.items():
        with tempfile.TemporaryDirectory() as folder:
            outs = run(Path(folder), options.default, changes)
        first = first or outs
        other = sorted(key for key in outs | first if outs.get(key) != first.get(key))
        scores, expected = (
            dict(numbers(json.loads(each["metrics/evaluate.json"]))) for each in (outs, first)
        )
        printed = sum(f"{scores[key]:.1f}" != f"{expected[key]:.1f}" for key in expected)
        rows.append(
            [name, len(outs), len(other), f"{printed} of {len(expected)}", ", ".join(other[:3])]
        )
        sys.stderr.write(f"{name}: {len(other)} of {len(outs)} outs differ\n")
    sys.stdout.write(tabulate(rows, ["", "outs", "other bytes", "printed otherwise", ""]) + "\n")


if __name__ == "__main__":
    main()
