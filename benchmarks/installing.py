r"""What an installation costs: MB of a fresh environment, and seconds until it can be used.

    python -m benchmarks.installing
    python -m benchmarks.installing --extra images
    python -m benchmarks.installing --extra images \
        --first "torch torchvision --index-url https://download.pytorch.org/whl/cpu"

Each run makes a virtual environment in a temporary folder and lets pip install this checkout into
it, after what --first names. Seconds are the least of five processes, started one after another;
what cannot run there is left empty.
"""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).parents[1]
PACKAGED = ("geovq", "pyproject.toml", "README.md", "LICENSE")
USES = {
    "python -c pass": ["-c", "pass"],
    "import geovq": ["-c", "import geovq"],
    "from geovq import GeodesicKMeans": ["-c", "from geovq import GeodesicKMeans"],
    "geovq --help": ["-m", "geovq", "--help"],
}


def install(folder: Path, extra: str | None, first: str) -> Path:
    """Install a copy of this checkout, without earlier builds; the Python of the environment."""
    source, home = folder / "source", folder / "environment"
    source.mkdir()
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, source / name)
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    target = f"{source}[{extra}]" if extra else str(source)
    for words in (shlex.split(first), [target]):
        if words:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *words], check=True)
    return python


def megabytes(folder: Path) -> float:
    """What the files of a folder take on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e6


def seconds(command: list[str]) -> float | None:
    """The least of five runs, in a folder that has no geovq; None where it fails."""
    found = []
    with tempfile.TemporaryDirectory() as elsewhere:
        for _ in range(5):
            begin = time.perf_counter()
            done = subprocess.run(command, cwd=elsewhere, env=environment(), capture_output=True)
            found.append(time.perf_counter() - begin)
            if done.returncode:
                return None
    return min(found)


def environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--extra", help="of pyproject.toml")
    parser.add_argument("--first", default="", help="what pip installs before, with its options")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        python = install(Path(folder), options.extra, options.first)
        size = megabytes(python.parents[1])
        rows = [(use, seconds([str(python), *words])) for use, words in USES.items()]
    sys.stdout.write(f"{size:.0f} MB\n{tabulate(rows, ['', 's'], floatfmt='.2f')}\n")


if __name__ == "__main__":
    main()
