"""The committed pages say what the committed results say."""

from pathlib import Path

from geovq.report import results_page, summary

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"


def test_the_results_page_is_made_of_the_results():
    page = (ROOT / "docs" / "results.md").read_text()
    assert page == results_page(RESULTS)
    for study in RESULTS.glob("*/page.md"):
        assert study.read_text().strip() in page


def test_the_readme_shows_their_summary():
    assert summary(RESULTS) in (ROOT / "README.md").read_text()
