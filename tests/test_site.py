"""The documentation: examples run, links lead somewhere, the picture shows the pipeline."""

import re
import runpy
from pathlib import Path
from urllib.parse import unquote

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("**/*.md"))]
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
QUICK = [path for path in EXAMPLES if "train_vae" not in path.read_text()]


def slugs(page):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in slugs(path), f"{page.name} links to {target}"


def test_the_picture_of_the_data_flow_is_current():
    drawn = runpy.run_path(str(ROOT / "docs" / "data_flow.py"))
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert set(drawn["BOXES"]) == set(stages)
    picture = (ROOT / "docs" / "pictures" / "data_flow.svg").read_text()
    assert drawn["draw"]() == picture, "run python docs/data_flow.py"


def test_faults_of_the_theme_are_mended_once():
    accessible = runpy.run_path(str(ROOT / "docs" / "accessible.py"))["accessible"]
    html = """<aside class="sidebar-drawer"><p class="caption" role="heading">Read</p></aside>
<aside class="toc-drawer no-toc"></aside><div class="table-wrapper colwidths-auto container">
<th class="head text-left"><p></p></th><th class="head"><p>a</p></th></div>
<dl>\n<dd>x</dd></dl><div class="math-wrapper"></div>
<pre><a class="reference internal" href="x.html"><span class="doc">X</span></a></pre>"""
    mended = accessible("gallery/index", html)
    for part in (
        'role="heading" aria-level="2"',
        '<aside class="sidebar-drawer" aria-label="Site">',
        '<aside class="toc-drawer no-toc" aria-label="This page">',
        '<div class="table-wrapper colwidths-auto container" tabindex="0">',
        '<td class="head text-left"></td><th class="head"><p>a</p></th>',
        '<pre tabindex="0">',
        '<dl role="presentation">',
        '<div class="math-wrapper" tabindex="0">',
        'aria-label="X"',
    ):
        assert part in mended
    assert accessible("gallery/index", mended) == mended
    search = accessible("search", '<div id="search-results"></div>')
    assert search == '<h1>Search</h1><div id="search-results"></div>'
    assert accessible("search", search) == search
    assert accessible("index", html).count("aria-label") == 2


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_short(script):
    code = script.read_text().split('"""')[2].strip().splitlines()
    assert len(code) <= 40
    assert max(map(len, code)) <= 100


@pytest.mark.parametrize("script", QUICK, ids=lambda path: path.stem)
def test_examples_draw(script, monkeypatch):
    """Those that train a network are run by `make docs` only."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(pyplot.gcf()))
    runpy.run_path(str(script))
    assert len(shown) == 1
    assert shown[0].axes
    pyplot.close("all")
