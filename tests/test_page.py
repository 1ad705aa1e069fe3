"""The page of a run: it carries everything with it, and in a browser everything can be reached."""

import base64
import io
import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from geovq.errors import InputError
from geovq.evaluation.distortion import bce
from geovq.models import VAE, VQVAE
from geovq.page import Codebook, Content, TokenSteps, Way, render
from geovq.page.explore import choose_pairs, decode_ways, token_by_token
from geovq.page.render import _order
from geovq.page.sprites import COLUMNS, MAX_SIDE, as_bytes, sheet
from geovq.paths import PointGraph

TOKENIZERS = ("geodesic", "euclidean", "vqvae")
CODES, TOKENS, IMAGES, SHAPE = 9, 3, 70, (8, 12)


def scores(labelled=True):
    row = {"bits_per_image": 9.5, "bce": 30.0, "code_length": 5.0, "total": 35.0}
    for key in ("codes_used", "perplexity", "ar_bits_per_token", "marginal_bits_per_token", "psnr"):
        row[key] = 4.0
    for key in ("purity", "recognition", "frechet_reconstructions", "frechet_samples"):
        row[key] = 0.5 if labelled else None
    data = {"dataset": "npz", "test_images": IMAGES, "pixel_entropy": 20.0}
    data |= {"mean_image_bce": 60.0, "frechet_floor": 1.0}
    data["recognition"] = 0.9 if labelled else None
    vae = {key: row[key] for key in ("bce", "total", "psnr", "recognition")} | {"kl": 5.0}
    return {"data": data, "vae": vae} | dict.fromkeys(TOKENIZERS, row)


def draw_content(rng, labelled=True):
    images = rng.integers(256, size=(IMAGES, *SHAPE), dtype=np.uint8)
    shown = np.linspace(0, IMAGES - 1, 12).astype(int)
    books, steps = {}, {}
    for name in TOKENIZERS:
        edges = rng.integers(1, 30, size=(CODES, CODES))
        codes = np.append(np.arange(CODES - 1), rng.integers(CODES - 1, size=IMAGES - CODES + 1))
        books[name] = Codebook(rng.random((CODES, *SHAPE)), codes, edges + edges.T)
        nats = np.sort(rng.uniform(30, 60, (12, TOKENS)))[:, ::-1]
        bits = np.log2(CODES) * np.arange(1, TOKENS + 1)
        steps[name] = TokenSteps(bits, nats.mean(0), rng.random((12, TOKENS, *SHAPE)), nats)
    step = np.arange(1.0, 9.0)
    return Content(
        scores=scores(labelled),
        test_images=images,
        test_labels=np.arange(IMAGES) % 3 if labelled else None,
        reconstructions={"originals": images[shown], "VQ-VAE": rng.random((12, *SHAPE))},
        samples={"VQ-VAE: temperature 1": rng.random((12, *SHAPE))},
        shown=shown,
        codebooks=books,
        steps=steps,
        ways=[
            Way(4, 5, *rng.random((2, 11, *SHAPE)), 1),
            Way(0, 3, *rng.random((2, 11, *SHAPE)), 2),
        ],
        curves={
            name: {"train": (step, 60 / step), "validation": (step, 70 / step)}
            for name in ("VAE", "VQ-VAE", "priors")
        },
        neighbors=10,
    )


@pytest.fixture
def content(rng):
    return draw_content(rng)


def embedded(page):
    return json.loads(re.search(r'<script type="application/json".*?>(.*?)</script>', page)[1])


def test_the_page_loads_nothing_and_repeats(content):
    page = render(content)
    assert page == render(content)
    assert len(page) < 5_000_000
    loaded = re.findall(r'(?:src|href|action|poster)="([^"]*)"|url\(([^)]*)\)', page)
    targets = ["".join(pair).strip("\"'") for pair in loaded]
    assert len(targets) > 20
    assert {target.split(":")[0] for target in targets if target[0] != "#"} == {"data"}
    assert not re.search(r"@import|fetch\(|XMLHttp|import\(", page)
    # Namespaces and references are names, not addresses that a browser asks.
    kept = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"https?://", kept)


def test_ids_are_unique_and_links_inside_lead_somewhere(content):
    page = render(content)
    ids = Counter(re.findall(r'\sid="([^"]+)"', page))
    assert {name for name, count in ids.items() if count > 1} == set()
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)
    assert all(f'id="{name}"' in page for name in ("results", "codebooks", "tokens", "paths"))


def test_the_results_are_those_of_the_run(content):
    page = render(content)
    body = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)[1]
    rows = [re.findall(r">([^<\n]+)<", row) for row in body.split("</tr>")][:-1]
    assert [row[0] for row in rows] == [
        "VAE (continuous)",
        "geodesic codes",
        "Euclidean codes",
        "VQ-VAE",
    ]
    assert rows[1][3:6] == ["30.0", "5.0", "35.0"]
    assert page.count('role="img"') == 4  # charts; what they show is said in words
    assert "VQ-VAE from" in page


def test_what_the_explorer_knows_is_what_the_codes_are(content):
    data = embedded(render(content))
    for own in data["tokenizers"]:
        book = content.codebooks[own["key"]]
        assert sorted(code["code"] for code in own["codes"]) == list(range(CODES))
        for tile, code in enumerate(own["codes"]):
            members = np.flatnonzero(book.codes == code["code"])
            assert code["count"] == len(members)
            assert [data["tests"][place] for place in code["members"]] == members[:20].tolist()
            assert sum(count for _, count in code["classes"]) == len(members)
            assert len(code["near"]) == CODES - 1
            for other, edges in code["near"]:
                assert other != tile
                ends = code["code"], own["codes"][other]["code"]
                assert edges == book.shared_edges[ends]
            shared = [edges for _, edges in code["near"]]
            assert shared == sorted(shared, reverse=True)
    assert dict(data["classes"]) == Counter(content.test_labels.tolist())


def test_images_without_labels(rng):
    page = render(draw_content(rng, labelled=False))
    data = embedded(page)
    assert data["labels"] is data["classes"] is None
    assert all("classes" not in code for own in data["tokenizers"] for code in own["codes"])
    assert "From test image 4, to test image 5;" in page


def test_pages_of_large_data_stay_small(rng):
    content = draw_content(rng)
    noise = rng.integers(256, size=(3000, 40, 90), dtype=np.uint8)  # cannot be compressed
    books = {
        name: replace(book, codes=rng.integers(CODES, size=3000))
        for name, book in content.codebooks.items()
    }
    codes, count = rng.integers(400, size=3000), 400
    edges = rng.integers(5, size=(count, count))
    books["vqvae"] = Codebook(np.zeros((count, *SHAPE)), codes, edges + edges.T)
    page = render(replace(content, test_images=noise, test_labels=None, codebooks=books))
    assert len(page) < 5_000_000
    data = embedded(page)
    assert data["size"] == [28, 64]
    assert [len(own["codes"]) for own in data["tokenizers"]] == [CODES, CODES, 256]
    most = max(len(code["members"]) for own in data["tokenizers"] for code in own["codes"])
    assert most < 20
    assert f"the first {most} are shown" in page
    assert "the 256 codes that most test images have" in page


def test_sheets_hold_every_image_in_its_place(rng):
    images = rng.random((COLUMNS + 5, *SHAPE))
    png = base64.b64decode(sheet(images).removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(io.BytesIO(png)))
    for place in (0, COLUMNS - 1, COLUMNS + 4):
        top, left = place // COLUMNS * SHAPE[0], place % COLUMNS * SHAPE[1]
        cell = pixels[top : top + SHAPE[0], left : left + SHAPE[1]]
        np.testing.assert_array_equal(cell, np.round(255 * images[place]))
    assert as_bytes(np.ones((2, 300, 100))).shape == (2, MAX_SIDE, 21)


def test_tiles_stand_beside_their_neighbours(rng):
    """Codes along a line, in any order of their numbers, are tiles along that line."""
    line = rng.permutation(12)
    edges = np.zeros((12, 12), int)
    edges[line[:-1], line[1:]] = edges[line[1:], line[:-1]] = 5
    order = _order(Codebook(np.zeros((12, *SHAPE)), np.arange(12), edges))
    assert sorted(order) == list(range(12))
    place = np.argsort(order)
    assert np.abs(np.diff(place[line])).mean() < 2


def test_codes_that_are_not_of_the_test_images_are_refused(content):
    book = content.codebooks["vqvae"]
    with pytest.raises(InputError, match=r"codebooks\['vqvae'\]\.codes of shape \(69,\); allowed"):
        replace(content, codebooks={"vqvae": replace(book, codes=book.codes[1:])})
    with pytest.raises(InputError, match=r"test_labels of shape \(3,\); allowed: \(70,\) or None"):
        replace(content, test_labels=np.arange(3))


# --- what it computes of models


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
def test_images_token_by_token(images, layout):
    model = VQVAE((8, 12), 6, [16], (5, 5, 5), layout=layout).eval().requires_grad_(False)
    tokens = model.encode(images)
    rows = [3, 17]
    shown = torch.tensor(rows)
    steps = token_by_token(model, tokens, images, shown)
    np.testing.assert_allclose(steps.bits, np.log2(5) * np.array([1, 2, 3]))
    assert steps.frames.shape == (2, 3, 8, 12)
    for count in (1, 2, 3):
        logits = model.decode(tokens[:, :count])
        assert steps.bce[count - 1] == pytest.approx(bce(logits, images))
        np.testing.assert_allclose(
            steps.frames[:, count - 1], logits[shown].sigmoid(), rtol=1e-5, atol=1e-6
        )
        for i, row in enumerate(rows):
            one = bce(logits[row : row + 1], images[row : row + 1])
            assert steps.frame_bce[i, count - 1] == pytest.approx(one)


def test_ways_begin_and_end_with_the_same_decoded_image(rng):
    vae = VAE(SHAPE, 3, [16]).eval().requires_grad_(False)
    train, means = rng.standard_normal((200, 3)), rng.standard_normal((10, 3))
    scale = np.array([1.0, 2.0, 0.5])
    pairs = np.array([[0, 1], [4, 2]])
    ways = decode_ways(vae, PointGraph.of(train * scale, 8), scale, means, pairs)
    ends = vae.decode(torch.from_numpy(means).float()).sigmoid().numpy()
    for way, pair in zip(ways, pairs, strict=True):
        assert [way.start, way.end] == pair.tolist()
        for frames in (way.straight, way.geodesic):
            np.testing.assert_allclose(frames[[0, -1]], ends[pair], rtol=1e-4)
        assert way.between >= 1
    middle = means[pairs[0]].mean(0)[None]
    expected = vae.decode(torch.from_numpy(middle).float()).sigmoid().numpy()
    np.testing.assert_allclose(ways[0].straight[5], expected[0], rtol=1e-4)


def test_pairs_are_of_two_classes_and_of_one():
    labels = np.arange(50) % 5
    pairs = choose_pairs(labels, 50, seed=0)
    assert (labels[pairs[:, 0]] == labels[pairs[:, 1]]).tolist() == [False] * 3 + [True] * 3
    assert len(choose_pairs(None, 50, seed=0)) == 6
    assert len(choose_pairs(np.zeros(50, int), 50, seed=0)) == 3


# --- in a browser


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(draw_content(np.random.default_rng(0))), encoding="utf-8")
    return path


@pytest.fixture
def page(open_page, written):
    with open_page(written) as page:
        page.wait_for_selector("html[data-ready]")
        yield page
        assert page.troubles == []


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_everything_has_a_name(open_page, written, tmp_path, width, scheme):
    with open_page(written, width, scheme) as page:
        page.wait_for_selector("html[data-ready]")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert {url.split(":")[0] for url in page.asked} <= {"file", "data"}
        assert sum(url.startswith("file:") for url in page.asked) == 1
        shot = Image.open(io.BytesIO(page.screenshot(path=tmp_path / "page.png", full_page=True)))
        background = shot.convert("L").getpixel((width - 1, 5))
        assert background > 200 if scheme == "light" else background < 50
        unnamed = page.evaluate(
            """[...document.querySelectorAll("canvas, img, svg, button, input")].filter(
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


def test_a_click_on_a_tile_shows_its_images_neighbours_and_classes(page, written):
    data = embedded(written.read_text(encoding="utf-8"))
    tile = next(i for i, c in enumerate(data["tokenizers"][0]["codes"]) if 2 < c["count"] < 20)
    code = data["tokenizers"][0]["codes"][tile]
    panel = page.get_by_role("region", name="The chosen code")
    page.locator("#tiles button").nth(tile).click()
    assert panel.get_by_role("heading", level=3).inner_text() == f"Code {code['code']}"
    assert f"{code['count']} test images, " in panel.inner_text()
    assert panel.get_by_role("img").count() == len(code["members"])
    label, count = code["classes"][0]
    row = panel.get_by_role("row").nth(1).inner_text()
    assert row.startswith(str(label))
    assert f"{100 * count / code['count']:.1f}".removesuffix(".0") in row
    assert page.locator("#tiles .near").count() == len(code["near"])
    near, edges = code["near"][0]
    panel.get_by_role("button", name=f"{edges} edge").first.click()
    other = data["tokenizers"][0]["codes"][near]["code"]
    assert panel.get_by_role("heading", level=3).inner_text() == f"Code {other}"
    assert page.locator("#tiles button").nth(near).get_attribute("aria-pressed") == "true"
    assert page.get_by_role("status").inner_text().startswith(f"code {other}: ")


def test_the_keyboard_reaches_everything(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    chosen = page.locator("#tiles [aria-pressed=true]")
    heading = page.locator("#code h3")
    page.get_by_role("radio", name="geodesic codes").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
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
    # From the geodesic codes to those of the VQ-VAE.
    page.get_by_role("radio", name="geodesic codes").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.get_by_role("radio", name="VQ-VAE").is_checked()
    assert page.locator("#tiles button").count() == CODES


def test_an_image_is_shown_token_by_token(page, content, written):
    data = embedded(written.read_text(encoding="utf-8"))
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
        assert strip.get_by_role("img", name=f"{name}, from 3 tokens").count() == 1
        # What is drawn is the frame itself.
        drawn = strip.get_by_role("img", name=f"{name}, from 1 token").evaluate(
            "(canvas) => [...canvas.getContext('2d').getImageData(0, 0, 12, 8).data]"
        )
        frames = draw_content(np.random.default_rng(0)).steps[own["key"]].frames
        expected = np.round(255 * frames[7, 0]).ravel()
        np.testing.assert_array_equal(drawn[::4], expected)
