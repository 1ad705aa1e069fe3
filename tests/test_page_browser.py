"""The page of a run in Chromium: it fits, and mouse and keyboard reach everything."""

import io

import numpy as np
import pytest
from PIL import Image

from geovq.report.page import render
from tests.page_content import CODES, GRID, SHAPE, TOKENIZERS, TOKENS, draw_content, embedded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["residual", "product", "grid"])
def layout(request):
    return request.param


@pytest.fixture(scope="module")
def content(layout):
    return draw_content(np.random.default_rng(0), layout=layout)


@pytest.fixture(scope="module")
def written(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(content), encoding="utf-8")
    return path


@pytest.fixture
def data(written):
    return embedded(written.read_text(encoding="utf-8"))


@pytest.fixture
def page(open_page, written):
    with open_page(written) as page:
        page.wait_for_selector("html[data-ready]")
        yield page
        assert page.troubles == []


def open_folds(page):
    """Open what is folded, so that it is looked at too."""
    page.evaluate("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, written, width, scheme):
    from axe_playwright_python.sync_playwright import Axe

    with open_page(written, width, scheme) as page:
        page.wait_for_selector("html[data-ready]")
        open_folds(page)
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_the_table_fits_a_telephone_and_sentences_come_first(open_page, written):
    with open_page(written, 400) as page:
        table = page.get_by_role("group", name="Table of results")
        assert table.evaluate("(box) => box.scrollWidth - box.clientWidth") <= 0
        assert len(page.locator(".lead p").all()) == 3
        above = "(lead) => lead.getBoundingClientRect().bottom"
        assert page.locator(".lead").evaluate(above) < table.bounding_box()["y"]


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_everything_has_a_name(open_page, written, tmp_path, width, scheme):
    with open_page(written, width, scheme) as page:
        page.wait_for_selector("html[data-ready]")
        open_folds(page)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert {url.split(":")[0] for url in page.asked} <= {"file", "data"}
        assert sum(url.startswith("file:") for url in page.asked) == 1
        shot = Image.open(io.BytesIO(page.screenshot(path=tmp_path / "page.png", full_page=True)))
        background = shot.convert("L").getpixel((width - 1, 5))
        assert background > 200 if scheme == "light" else background < 50
        unnamed = page.evaluate(
            """[...document.querySelectorAll("canvas, img, svg, button, input, select")].filter(
                (one) => !one.closest("[hidden]") && one.getAttribute("aria-hidden") !== "true"
                    && !one.getAttribute("alt") && !one.getAttribute("aria-label")
                    && !one.closest("label")?.textContent.trim()).length"""
        )
        assert unnamed == 0
        # Text of charts and page stands out from the background.
        ink = page.evaluate(
            "getComputedStyle(document.querySelector('.chart text')).fill.match(/\\d+/g)[0]"
        )
        assert abs(int(ink) - background) > 150
        assert page.troubles == []


def test_a_click_on_a_tile_shows_its_images_neighbours_and_classes(page, data):
    (own, *_), panel = data["tokenizers"], page.get_by_role("region", name="The chosen code")
    codes, tiles = own["views"][0]["codes"], own["books"][0]
    tile = next(i for i, code in enumerate(codes) if len(code["members"]) > 2)
    code = codes[tile]
    page.locator("#tiles button").nth(tile).click()
    assert panel.get_by_role("heading", level=3).inner_text() == f"Code {tiles[tile]['code']}"
    images = f"{code.get('images', code['count'])} test images"
    said = f"{code['count']} cells of {images}" if "images" in code else images
    assert f"{said}, " in panel.inner_text()
    assert panel.get_by_role("img").count() == len(code["members"])
    label, count = code["classes"][0]
    row = panel.get_by_role("row").nth(1).inner_text()
    assert row.startswith(str(label))
    assert f"{100 * count / code['count']:.1f}".removesuffix(".0") in row
    assert page.locator("#tiles .near").count() == len(tiles[tile]["near"])
    near, edges = tiles[tile]["near"][0]
    panel.get_by_role("button", name=f"{edges} edge").first.click()
    other = tiles[near]["code"]
    assert panel.get_by_role("heading", level=3).inner_text() == f"Code {other}"
    assert page.locator("#tiles button").nth(near).get_attribute("aria-pressed") == "true"
    assert page.get_by_role("status").inner_text().startswith(f"code {other}: ")


def test_the_keyboard_chooses_a_position(page, data, layout):
    control = page.get_by_label("Position")
    views = data["tokenizers"][0]["views"]
    if layout == "residual":
        assert control.count() == 1
        assert not control.is_visible()
        return
    page.get_by_role("radio", name="geodesic codes").focus()
    page.keyboard.press("Tab")
    assert control.evaluate("(select) => select === document.activeElement")
    assert control.get_by_role("option").all_inner_texts() == [view["name"] for view in views]
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    assert control.locator(":checked").inner_text() == views[2]["name"]
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    check_code(page, data["tokenizers"][0], 2, CODES - 1)
    # The position is kept from one tokeniser to another, a code from one cell to another.
    page.get_by_role("radio", name="Euclidean codes").check(force=True)
    assert control.locator(":checked").inner_text() == views[2]["name"]
    page.locator("#tiles button").nth(3).click()
    check_code(page, data["tokenizers"][1], 2, 3)
    if layout == "grid":
        control.select_option(label="row 2, column 1")
        check_code(page, data["tokenizers"][1], 4, 3)


def check_code(page, own, position, tile):
    """See that the page shows what a code is at a position."""
    view = own["views"][position]
    code, shown = view["codes"][tile], own["books"][view["book"]][tile]
    panel = page.get_by_role("region", name="The chosen code")
    assert panel.get_by_role("heading", level=3).inner_text() == f"Code {shown['code']}"
    assert panel.locator(".head p").inner_text().startswith(f"{code['count']} test image")
    assert panel.get_by_role("img").count() == len(code["members"])
    assert panel.locator(".row.wide button").count() == len(shown["near"])


def test_cells_that_have_the_code_stand_out(page, content, data, layout):
    if layout != "grid":
        assert (
            page.locator("#about").inner_text()
            == {
                "residual": "Codes of the first token; the others correct what it leaves over.",
                "product": "Each token has dimensions of the latent, and codes, of its own.",
            }[layout]
        )
        return
    own, (rows, columns) = data["tokenizers"][0], GRID
    tile = page.locator("#tiles button").evaluate_all(
        "(tiles) => tiles.findIndex((tile) => tile.ariaPressed === 'true')"
    )
    code = own["views"][0]["codes"][tile]
    row, cells = data["tests"][code["members"][0]], code["cells"][0]
    name = f"test image {row}, class {row % 3}, in {len(cells)} of 6 cells"
    drawn = page.get_by_role("img", name=name).evaluate(
        "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 12, 8).data]"
    )
    grey, opacity = np.reshape(drawn, (*SHAPE, 4))[..., [0, 3]].transpose(2, 0, 1)
    lit = np.isin(np.arange(rows * columns).reshape(GRID), cells)
    lit = lit.repeat(SHAPE[0] // rows, 0).repeat(SHAPE[1] // columns, 1)
    np.testing.assert_array_equal(opacity == 255, lit)
    np.testing.assert_array_equal(grey[lit], content.test_images[row][lit])


def test_the_keyboard_reaches_everything(page, layout):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    chosen = page.locator("#tiles [aria-pressed=true]")
    heading = page.locator("#code h3")
    chosen.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    columns = page.evaluate(
        "getComputedStyle(document.getElementById('tiles')).gridTemplateColumns.split(' ').length"
    )
    focused = page.evaluate(
        "[...document.activeElement.parentNode.children].indexOf(document.activeElement)"
    )
    assert focused == columns + 1
    page.keyboard.press("Enter")
    assert chosen.get_attribute("aria-label").startswith(heading.inner_text().lower())
    assert chosen.evaluate("(tile) => tile === document.activeElement")
    # From the geodesic codes to those of the VQ-VAE, and on to its tiles.
    page.get_by_role("radio", name="geodesic codes").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="VQ-VAE").is_checked()
    assert page.locator("#tiles button").count() == CODES
    page.keyboard.press("Tab")
    if layout != "residual":
        page.keyboard.press("Tab")  # past the choice of a position
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_an_image_is_shown_token_by_token(page, content, data):
    place = data["shown"][7]
    name = f"test image {data['tests'][place]}, class {data['labels'][place]}"
    page.get_by_role("radio", name=name).check(force=True)
    strips = page.locator("#steps .frames")
    assert strips.count() == len(TOKENIZERS)
    for own, strip in zip(data["tokenizers"], strips.all(), strict=True):
        assert strip.locator("figure").count() == 1 + TOKENS
        said = strip.inner_text()
        for nats in own["bce"][7]:
            assert f"{nats:.1f} nats" in said
        last, before = own["bce"][7][-1], own["bce"][7][-2]
        assert f"−{before - last:.1f}" in said
        assert strip.get_by_role("img", name=f"{name}, from {TOKENS} tokens").count() == 1
        # What is drawn is the frame itself.
        drawn = strip.get_by_role("img", name=f"{name}, from 1 token").evaluate(
            "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 12, 8).data]"
        )
        frames = content.steps[own["key"]].frames
        expected = np.round(255 * frames[7, 0]).ravel()
        np.testing.assert_array_equal(drawn[::4], expected)
