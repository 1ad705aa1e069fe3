"""The committed pages say what the committed results say."""

from pathlib import Path

import pytest

from geovq.params.reading import load_params
from geovq.report.results import results_page, summary

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/params.yaml")), ids=lambda p: p.parent.name)
def test_published_parameters_can_be_run_again(path):
    params = load_params(path)
    assert params.geodesic_quantize.vocabulary == params.train_vqvae.vocabulary


def test_the_results_page_is_made_of_the_results():
    page = (ROOT / "docs" / "results.md").read_text()
    assert page == results_page(RESULTS)
    for study in RESULTS.glob("*/page.md"):
        assert study.read_text().strip() in page


def test_the_findings_show_their_summary():
    assert summary(RESULTS) in (ROOT / "docs" / "findings.md").read_text()


def test_the_readme_shows_four_rows_of_it():
    rows = [row for row in (ROOT / "README.md").read_text().splitlines() if row.startswith("|")]
    found = summary(RESULTS).splitlines()
    begin = found.index(rows[2])
    assert rows == found[:2] + found[begin : begin + 4]
