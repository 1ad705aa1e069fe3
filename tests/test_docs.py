"""The examples of README and docs are run, with training cut short."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from sklearn.datasets import load_digits

from geovq.cli.commands import main
from geovq.training import loop

ROOT = Path(__file__).parents[1]
OWN_DATA = ROOT / "docs" / "own_data.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page != OWN_DATA and "```python" in page.read_text()
]


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    whole = loop.fit

    def cut(model, loss, train, validation, budget, **options):
        steps = min(20, budget.max_steps)
        short = budget.model_copy(update={"max_steps": steps})
        return whole(model, loss, train, validation, short, **options)

    monkeypatch.setattr("geovq.training.loop.fit", cut)


@pytest.fixture
def names(rng):
    """What examples speak of without making it."""
    digits = load_digits()
    means, log_variances = rng.standard_normal((2, 400, 6))
    return {
        "images": digits.images / 16,
        "labels": digits.target,
        "means": means,
        "log_variances": log_variances,
        "new_means": means[:5],
        "new_log_variances": log_variances[:5],
        "points": means,
        "unseen": means[:5] + 0.1,
    }


def run(page, names, shell=False):
    """Run a page's Python, and the lines of shell that are ours, in their order."""
    for language, text in BLOCK.findall(page.read_text()):
        if language == "python":
            exec(compile(text, str(page), "exec"), names)
        for line in text.splitlines() if shell and language == "sh" else ():
            if line.startswith("geovq "):
                result = CliRunner().invoke(main, shlex.split(line)[1:])
                assert result.exit_code == 0, (line, result.output)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_run(page, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(page, names)


@pytest.mark.slow
def test_the_walk_through_needs_nothing_and_leaves_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(OWN_DATA, {}, shell=True)
    assert len(list((tmp_path / "decoded").glob("*.png"))) == 1797
    assert len(list((tmp_path / "samples").glob("*.png"))) == 64
    with np.load("tokens.npz") as file:
        assert file["tokens"].shape == (1797, 3)
    named = re.findall(r"^\| `([\w.]+)` \|", OWN_DATA.read_text(), re.MULTILINE)
    assert {path.name for path in (tmp_path / "model").iterdir()} <= set(named)
