"""The whole pipeline on a few small images, in a checkout of its own: for tests and trials."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from checks.warm import Warm

__all__ = ["IN_ORDER", "Copy", "environment"]

ROOT = Path(__file__).parents[1]
IN_ORDER = [
    "prepare",
    "train_vae",
    "geodesic_quantize",
    "refine@geodesic",
    "refine@euclidean",
    "train_vqvae",
    "train_classifier",
    "train_ar@geodesic",
    "train_ar@euclidean",
    "train_ar@vqvae",
    "pack",
    "evaluate",
    "report",
]
# What a stage imports takes longer than its work on a few images: one process for all of them.
ONE_PROCESS = """
import runpy, sys
for stage in sys.argv[1:]:
    name, *arguments = stage.split("@")
    sys.argv = [name, *arguments]
    runpy.run_module(f"stages.{name}", run_name="__main__")
"""


def environment(**changes: str) -> dict[str, str]:
    """Give the environment of this process, with the commands of its Python on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path} | changes


class Copy:
    """A checkout of its own, with its own cache and small parameters.

    Parameters
    ----------
    folder : Path
        Empty, or not there yet.
    warm : Warm, optional
        What runs DVC and the stages; otherwise each is a process that imports all it needs.
    **changes
        To the environment.
    """

    def __init__(self, folder: Path, warm: Warm | None = None, **changes: str):
        self.folder, self.warm, self.changes = folder, warm, changes
        folder.mkdir(exist_ok=True)
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.check_output(listing, cwd=ROOT, text=True).split("\0")
        # With them what numba compiled, which it knows by the time of the source.
        compiled = map(str, ROOT.glob("geovq/**/__pycache__/*.nb[ci]"))
        for name in (*names, *(os.path.relpath(path, ROOT) for path in compiled)):
            if (ROOT / name).is_file() and not name.startswith(("docs/", "plots/")):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self("git", "init", "-q")
        self.commit("as in the checkout")
        digits = load_digits()
        np.savez(
            folder / "own.npz",
            images=(digits.images[:400] * 15.9).astype(np.uint8),
            labels=digits.target[:400],
        )
        small = {"max_steps": 20, "evaluate_every": 10}
        budget = {"learning_rate": 0.01, "schedule": "cosine", "batch_size": 64}
        budget |= {"patience": 20, "tolerance": 0.001}
        self.change(
            prepare={"dataset": "npz", "file": "own.npz"},
            train_vae={"latent_dim": 6, "hidden": [16], **small},
            geodesic_quantize={"codes": 8, "first_codes": None, "tokens": 2},
            refine={part: {**budget, **small} for part in ("codes", "decoder", "round")},
            train_vqvae={
                **{"codes": 8, "first_codes": None, "tokens": 2, "warmup_steps": 5},
                **small,
            },
            train_classifier=small,
            train_ar={"cell": "mlp", "embed_dim": 4, "hidden_dim": 8, **small},
        )
        self.commit("small")

    def commit(self, message: str) -> None:
        """Commit all there is."""
        self("git", "add", "-A")
        self("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)

    def twin(self, folder: Path) -> "Copy":
        """Another one, in a folder that is not there yet, that is where this one is."""
        other = copy(self)
        other.folder = folder
        shutil.copytree(self.folder, folder)
        return other

    def __call__(self, *command: str, fails: bool = False) -> str:
        """Run a command here; what it said."""
        status, output = self.run(*command)
        assert (status != 0) == fails, output
        return output

    def run(self, *command: str) -> tuple[int, str]:
        """Run a command here; its status, and what it said."""
        if self.warm is not None and self.warm.knows(command):
            return self.warm.run(command, self.folder, environment(**self.changes))
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment(**self.changes),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout

    def change(self, **sections: Mapping[str, Any]) -> None:
        """Change parameters."""
        yaml, path = YAML(), self.folder / "params.yaml"
        tree = yaml.load(path)
        for section, values in sections.items():
            tree[section].update(values)
        yaml.dump(tree, path)

    def repro(self, *arguments: str) -> set[str]:
        """Run what changed; the names of the stages that ran."""
        output = self("dvc", "repro", *arguments)
        return set(re.findall(r"Running stage '([^']+)'", output))

    def without_dvc(self, *through: str) -> None:
        """Run every stage in one process, started by a command `through` if there is one."""
        self(*through, sys.executable, "-c", ONE_PROCESS, *IN_ORDER)

    def written(self) -> Iterator[Path]:
        """All files that stages write."""
        for name in ("data", "metrics", "plots"):
            for path in sorted(self.folder.glob(f"{name}/**/*")):
                if path.is_file() and path.name != ".gitignore":
                    yield path

    def outs(self) -> dict[str, bytes]:
        """Bytes of all that stages write."""
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in self.written()}

    def lock(self) -> str:
        """Text of dvc.lock."""
        return (self.folder / "dvc.lock").read_text()

    def scores(self) -> Any:
        """What the last run scored."""
        return json.loads((self.folder / "metrics" / "evaluate.json").read_text())
