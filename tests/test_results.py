"""The committed pages say what the committed results say."""

import re
from pathlib import Path

import pytest

from geovq.params.reading import load_params
from geovq.report.results import contents, results_pages, summary

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/params.yaml")), ids=lambda p: p.parent.name)
def test_published_parameters_can_be_run_again(path):
    params = load_params(path)
    assert params.geodesic_quantize.vocabulary == params.train_vqvae.vocabulary


def test_the_results_pages_are_made_of_the_results():
    pages = {path.stem: path.read_text() for path in RESULTS.glob("*.md")}
    index = pages.pop("index")
    assert pages == results_pages(RESULTS)
    assert contents(RESULTS) in index
    for study in RESULTS.glob("*/page.md"):
        name = study.parent.name
        text = "\n\n".join(pages[p] for p in sorted(pages) if re.fullmatch(rf"{name}(-\d+)?", p))
        at = -1
        for line in filter(None, study.read_text().splitlines()):
            at = text.index(line, at + 1)  # all of it, in its order


def test_the_findings_show_their_summary():
    assert summary(RESULTS) in (ROOT / "docs" / "findings.md").read_text()


def test_the_readme_shows_four_rows_of_it():
    rows = [row for row in (ROOT / "README.md").read_text().splitlines() if row.startswith("|")]
    found = summary(RESULTS).splitlines()
    begin = found.index(rows[2])
    assert rows == found[:2] + found[begin : begin + 4]
