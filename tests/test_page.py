"""The page of a run: what is on it, what it is computed from, and how large it gets."""

import base64
import io
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from geovq.clustering.graph import build_graph
from geovq.clustering.paths import PointGraph
from geovq.codec.tokenizer import PostHocTokenizer
from geovq.errors import InputError
from geovq.models.distortion import distortion
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.report.page import Codebook, render
from geovq.report.page.codebooks import Quantized, codebooks
from geovq.report.page.explore import choose_pairs, decode_ways, token_by_token
from geovq.report.page.sprites import COLUMNS, GAP, MAX_SIDE, as_bytes, sheet, strip
from geovq.report.page.tiles import order
from tests.page_content import (
    CODES,
    GRID,
    IMAGES,
    SHAPE,
    TOKENS,
    draw_codebook,
    draw_content,
    embedded,
)

LAYOUTS = ("residual", "product", "grid")


def picture(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.removeprefix("data:image/png;base64,"))))


@pytest.fixture
def content(rng):
    return draw_content(rng)


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
    assert rows[1][2:5] == ["30.0", "5.0", "35.0"]
    assert len(rows[1]) == 7  # what fits a telephone
    others = re.findall(r"<thead>(.*?)</thead>", page, re.DOTALL)[1]
    assert "Fréchet rec." in others
    assert page.count('role="img"') == 4  # charts; what they show is said in words
    assert "VQ-VAE from" in page


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_the_explorer_knows_is_what_the_codes_are(rng, layout):
    content = draw_content(rng, layout=layout)
    data = embedded(render(content))
    for own in data["tokenizers"]:
        books = content.codebooks[own["key"]]
        for book, tiles in zip(books, own["books"], strict=True):
            assert sorted(tile["code"] for tile in tiles) == list(range(CODES))
            for i, tile in enumerate(tiles):
                assert len(tile["near"]) == CODES - 1
                for other, edges in tile["near"]:
                    assert other != i
                    assert edges == book.shared_edges[tile["code"], tiles[other]["code"]]
                shared = [edges for _, edges in tile["near"]]
                assert shared == sorted(shared, reverse=True)
        for view in own["views"]:
            tokens = books[view["book"]].codes
            tokens = tokens if view["cell"] is None else tokens[:, [view["cell"]]]
            assert view["positions"] == tokens.shape[1]
            for tile, code in zip(own["books"][view["book"]], view["codes"], strict=True):
                uses = (tokens == tile["code"]).sum(1)
                assert code["count"] == uses.sum()
                rows = [data["tests"][place] for place in code["members"]]
                first = np.lexsort((np.arange(IMAGES), -uses))[: np.count_nonzero(uses)]
                assert rows == first[:20].tolist()
                of_class = np.bincount(content.test_labels, uses)
                assert dict(code["classes"]) == {i: n for i, n in enumerate(of_class) if n}
                if view["positions"] > 1:
                    assert code["images"] == np.count_nonzero(uses)
                    for row, cells in zip(rows, code["cells"], strict=True):
                        assert cells == np.flatnonzero(tokens[row] == tile["code"]).tolist()
    assert dict(data["classes"]) == Counter(content.test_labels.tolist())


def test_every_position_of_a_layout_without_a_first_one_can_be_chosen(rng):
    def named(layout, **changes):
        content = draw_content(rng, layout=layout)
        books = {k: [replace(b, **changes) for b in v] for k, v in content.codebooks.items()}
        own = embedded(render(replace(content, codebooks=books)))["tokenizers"][0]
        return [(view["name"], view["book"], view["cell"]) for view in own["views"]]

    assert named("residual") == [("token 1", 0, None)]
    assert named("product") == [(f"token {t + 1}", t, None) for t in range(TOKENS)]
    columns = GRID[1]
    assert named("grid") == [
        ("any cell", 0, None),
        *((f"row {c // columns + 1}, column {c % columns + 1}", 0, c) for c in range(TOKENS)),
    ]
    assert named("grid", grid=None)[6] == ("cell 6", 0, 5)


def test_images_without_labels(rng):
    page = render(draw_content(rng, labelled=False))
    data = embedded(page)
    assert data["labels"] is data["classes"] is None
    views = [view for own in data["tokenizers"] for view in own["views"]]
    assert all("classes" not in code for view in views for code in view["codes"])
    assert "From test image 4, to test image 5;" in page


def test_images_in_colour(rng):
    page = render(draw_content(rng, shape=(*SHAPE, 3)))
    assert embedded(page)["size"] == list(SHAPE)
    assert "--image-width: 12; --image-height: 8" in page
    kinds = {picture(uri).mode for uri in re.findall(r'src="(data:image/png[^"]+)"', page)}
    assert kinds == {"RGB", "RGBA"}  # sheets and strips


def test_pages_of_large_data_stay_small(rng):
    content = draw_content(rng)
    noise = rng.integers(256, size=(3000, 40, 90), dtype=np.uint8)  # cannot be compressed
    books = {name: [draw_codebook(rng, images=3000)] for name in content.codebooks}
    books["vqvae"] = [draw_codebook(rng, codes=400, images=3000)]
    page = render(replace(content, test_images=noise, test_labels=None, codebooks=books))
    assert len(page) < 5_000_000
    data = embedded(page)
    assert data["size"] == [28, 64]
    assert [len(own["books"][0]) for own in data["tokenizers"]] == [CODES, CODES, 256]
    codes = [code for own in data["tokenizers"] for code in own["views"][0]["codes"]]
    most = max(len(code["members"]) for code in codes)
    assert most < 20
    assert f"the first {most} are shown" in page
    assert "the 256 codes that most test images have" in page


@pytest.mark.parametrize(("layout", "side"), [("product", 5), ("grid", 7)])
def test_pages_of_many_positions_stay_small(rng, layout, side):
    content = draw_content(rng)
    images = rng.integers(256, size=(1000, 28, 28), dtype=np.uint8)
    if layout == "grid":
        made = [draw_codebook(rng, side**2, (side, side), 128, 1000)]
    else:
        made = [draw_codebook(rng, codes=128, images=1000) for _ in range(side**2)]
    books = dict.fromkeys(content.codebooks, made)
    labels = rng.integers(10, size=1000)
    page = render(replace(content, test_images=images, test_labels=labels, codebooks=books))
    assert len(page) < 5_000_000
    views = [view for own in embedded(page)["tokenizers"] for view in own["views"]]
    assert len(views) == 3 * (side**2 + (layout == "grid"))
    assert {len(view["codes"]) for view in views} == {4096 // len(views)}


@pytest.mark.parametrize("channels", [(), (3,)])
def test_sheets_and_strips_hold_every_image_in_its_place(rng, channels):
    images = rng.random((COLUMNS + 5, *SHAPE, *channels))
    pixels = np.asarray(picture(sheet(images)))
    for place in (0, COLUMNS - 1, COLUMNS + 4):
        top, left = place // COLUMNS * SHAPE[0], place % COLUMNS * SHAPE[1]
        cell = pixels[top : top + SHAPE[0], left : left + SHAPE[1]]
        np.testing.assert_array_equal(cell, np.round(255 * images[place]))
    pixels = np.asarray(picture(strip(images)))
    for place in (0, 7):
        left = place * (SHAPE[1] + GAP)
        cell = pixels[:, left : left + SHAPE[1]]
        seen = cell[..., :-1] if channels else cell[..., 0]
        np.testing.assert_array_equal(seen, np.round(255 * images[place]))
        assert (cell[..., -1] == 255).all()
        assert (pixels[:, left + SHAPE[1] : left + SHAPE[1] + GAP] == 0).all()
    large = as_bytes(np.ones((2, 300, 100, *channels)))
    assert large.shape == (2, MAX_SIDE, 21, *channels)


def test_tiles_stand_beside_their_neighbours(rng):
    """Codes along a line, in any order of their numbers, are tiles along that line."""
    line = rng.permutation(12)
    edges = np.zeros((12, 12), int)
    edges[line[:-1], line[1:]] = edges[line[1:], line[:-1]] = 5
    tiles = order(Codebook(np.zeros((12, *SHAPE)), np.arange(12)[:, None], edges))
    assert sorted(tiles) == list(range(12))
    place = np.argsort(tiles)
    assert np.abs(np.diff(place[line])).mean() < 2


def test_codes_that_are_not_of_the_test_images_are_refused(content):
    (book,) = content.codebooks["vqvae"]
    with pytest.raises(InputError, match=r"'\]\[0\]\.codes of shape \(69, 1\); allowed: \(70"):
        replace(content, codebooks={"vqvae": [replace(book, codes=book.codes[1:])]})
    with pytest.raises(InputError, match=r"test_labels of shape \(3,\); allowed: \(70,\) or None"):
        replace(content, test_labels=np.arange(3))


# --- what it computes of models


@pytest.mark.filterwarnings("ignore:the 4-NN graph had")
@pytest.mark.parametrize("metric", ["precision", "fisher"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_neighbours_are_those_of_the_graph_that_codes_were_made_of(latents, images, layout, metric):
    """Edges between codes, counted on the graphs that `GeodesicKMeans` made of the same latents."""
    vae = VAE((8, 12), 6, [16]).eval().requires_grad_(False)
    options = {"layout": layout, "metric": metric, "neighbors": 4, "assignment": "geodesic"}
    quantizer = GeodesicQuantizer(5, 3, **options).fit(*latents)
    train = quantizer.encode(*latents)
    found = codebooks(
        {"one": PostHocTokenizer(vae, quantizer)},
        Quantized.by_quantizer(quantizer, vae, latents[0]),
        {"one": {"train": train, "test": train[:7]}},
        neighbors=4,
        seed=0,
    )["one"]
    assert len(found) == (3 if layout == "product" else 1)
    for t, book in enumerate(found):
        level = quantizer.levels_[t]
        matrix = build_graph(level.geometry).matrix
        codes = level.labels
        rows, columns = matrix.nonzero()
        table = np.zeros((5, 5), int)
        np.add.at(table, (codes[rows], codes[columns]), 1)
        np.testing.assert_array_equal(book.shared_edges, table - np.diag(np.diag(table)) // 2)
        np.testing.assert_array_equal(book.codes, train[:7, t:][:, : 3 if layout == "grid" else 1])
        assert book.prototypes.shape == (5, 8, 12)
        assert book.grid is None  # the latents of a perceptron are no cells


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_vqvae_has_the_graph_of_its_own_latents(rng, images, layout):
    shape = {"architecture": "conv", "hidden": [4, 4], "latent_dim": 12}
    model = VQVAE((8, 12), vocabulary=(5,) * 6, layout=layout, **shape).eval()
    tokens = {"vqvae": dict.fromkeys(("train", "test"), model.encode(images).numpy())}
    quantized = Quantized.by_network(model, images)
    found = codebooks({"vqvae": model}, quantized, tokens, neighbors=4, seed=0)["vqvae"]
    assert [book.codes.shape[1] for book in found] == {
        "residual": [1],
        "product": [1] * 6,
        "grid": [6],
    }[layout]
    assert found[0].grid == ((2, 3) if layout == "grid" else None)
    latents = model.encoder(images).detach().numpy()
    part = {"residual": latents, "product": latents[:, -2:], "grid": latents.reshape(-1, 2)}[layout]
    graph = PointGraph.of(part, 4)
    codes = found[-1].codes.reshape(-1)
    np.testing.assert_array_equal(found[-1].shared_edges, graph.shared_edges(codes, 5))


@pytest.mark.parametrize("layout", LAYOUTS)
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
        assert steps.bce[count - 1] == pytest.approx(distortion(logits, images, model.likelihood))
        np.testing.assert_allclose(
            steps.frames[:, count - 1], logits[shown].sigmoid(), rtol=1e-5, atol=1e-6
        )
        for i, row in enumerate(rows):
            one = distortion(logits[row : row + 1], images[row : row + 1], model.likelihood)
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


class Parsed(HTMLParser):
    """Every element of a page, with the names of its attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, [name for name, _ in attributes]))

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "</script>--><b>&amp;", "\" onload=\"alert(1)' x='"]
)
def test_what_it_shows_cannot_become_a_part_of_it(content, name):
    plain = Parsed(render(content))
    content.scores["data"]["dataset"] = name
    labels = np.array([name, "other"])[content.test_labels % 2]
    for titles in (content.reconstructions, content.samples, content.curves):
        key = next(iter(titles))
        renamed = {name if title == key else title: shown for title, shown in titles.items()}
        titles.clear()
        titles.update(renamed)
    page = Parsed(render(replace(content, test_labels=labels)))
    assert page.tags == plain.tags
    assert page.text.count(f"geovq on {name}") == 2
    assert f"class {name}" in page.text
