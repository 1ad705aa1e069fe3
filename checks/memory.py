"""Peak memory of each stage of a run: the most that its process held at once.

    python -m checks.memory
    python -m checks.memory -S prepare.dataset=mnist -S prepare.root=../shared/data --steps 50

The stages run one after another in a temporary copy of this checkout, each in a process of its own.
`--steps` cuts every training short, which changes the time and not the memory.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tabulate import tabulate

from geovq.cli.files import setting
from geovq.errors import InputError

STAGES = (
    "prepare",
    "train_vae",
    "geodesic_quantize",
    "refine geodesic",
    "refine euclidean",
    "train_vqvae",
    "train_classifier",
    "train_ar geodesic",
    "train_ar euclidean",
    "train_ar vqvae",
    "pack",
    "evaluate",
    "report",
)


def copy(folder: Path) -> None:
    """Code and parameters of this checkout, as they stand."""
    for name in ("geovq", "stages"):
        shutil.copytree(name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy("params.yaml", folder)


def change(path: Path, changes: list[str], steps: int | None) -> None:
    """Set parameters by their full names, and all budgets to so many steps at most."""
    yaml = YAML()
    tree = yaml.load(path)
    for text in changes:
        key, value = setting(text)
        *sections, name = key.split(".")
        node: Any = tree
        for section in sections:
            node = node[section]
        node[name] = value
    root, refine = tree["prepare"], tree["refine"]
    root["root"] = str(Path(root["root"]).resolve())
    root["file"] = root["file"] and str(Path(root["file"]).resolve())
    trained = ("train_vae", "train_vqvae", "train_classifier", "train_ar")
    for budget in (
        *(tree[name] for name in trained),
        refine["codes"],
        refine["decoder"],
        refine["round"],
    ):
        budget["max_steps"] = min(budget["max_steps"], steps or budget["max_steps"])
    vqvae = tree["train_vqvae"]
    vqvae["warmup_steps"] = min(vqvae["warmup_steps"], max(1, vqvae["max_steps"] // 2))
    yaml.dump(tree, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-S", "--set-param", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, help="of each training, at most")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        try:
            change(folder / "params.yaml", options.set_param, options.steps)
        except (InputError, KeyError) as error:
            sys.exit(f"error: {error}")
        environment = os.environ | {"PYTHONPATH": name}
        for stage in STAGES:
            command, start = [sys.executable, "-m", *f"stages.{stage}".split()], time.perf_counter()
            process = subprocess.Popen(command, cwd=folder, env=environment)
            _, status, used = os.wait4(process.pid, 0)
            if status:
                sys.exit(f"error: {stage} failed")
            rows.append([stage, used.ru_maxrss / 1024, time.perf_counter() - start])
    print(tabulate(rows, ["stage", "peak MB", "s"], floatfmt=".0f"))


if __name__ == "__main__":
    main()
