import numpy as np
import pytest

from geovq.files.store import save_figure
from geovq.report import figures, plots


@pytest.fixture
def drawn(rng):
    images, places, counts = rng.random((12, 8, 10)), rng.random((40, 2)), rng.integers(9, size=12)
    return {
        "rows": lambda: figures.image_rows({"originals": images, "codes": images}, 6),
        "codebooks": lambda: figures.codebooks({"a": images}, {"a": counts}),
        "usage": lambda: figures.usage({"a": np.array([3, 0, 1]), "b": np.array([1, 1])}),
        "curves": lambda: figures.curves({"VAE": {"train": np.array([[1, 2], [5, 4]])}}),
        "map": lambda: figures.latent_map(
            places, {"class": np.arange(40) % 3, "code": np.arange(40)}
        ),
    }


@pytest.mark.parametrize("name", ["rows", "codebooks", "usage", "curves", "map"])
def test_pictures_have_titles_and_stable_bytes(drawn, tmp_path, name):
    for path in ("one.png", "two.png"):
        figure = drawn[name]()
        assert all(axes.get_title(loc="left") for axes in figure.axes)
        save_figure(tmp_path / path, figure)
    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "two.png").read_bytes()
    assert b"Software" not in content


@pytest.mark.parametrize("channels", [(), (3,)])
def test_images_stay_in_order_and_upright(rng, channels):
    images = rng.random((5, 8, 10, *channels))
    sheet = plots.mosaic(images, 3)
    assert sheet.shape == (2 * 9 + 1, 3 * 11 + 1, *channels)
    (axes,) = figures.image_rows({"all": images}, 3).axes
    assert (axes.images[0].get_array() == sheet).all()
    assert (sheet[1:9, 12:22] == images[1]).all()
    assert (sheet[10:18, 1:11] == images[3]).all()


def test_rows_are_titled_in_the_order_given(rng):
    images = rng.random((6, 8, 8))
    figure = figures.image_rows({"first": images, "second": images}, 6)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["first", "second"]


def test_usage_counts_dead_codes():
    (axes,) = figures.usage({"codes": np.array([3, 0, 1])}).axes
    assert axes.get_title(loc="left") == "codes: 2 of 3 used"
    assert sum(bar.get_height() for bar in axes.patches) == pytest.approx(100)


def test_the_map_repeats(rng):
    points = rng.standard_normal((50, 4))
    assert (figures.embed(points, 0) == figures.embed(points, 0)).all()


def test_a_curve_that_leaves_its_panel_says_how_far_it_goes():
    steps = np.arange(20)
    far = np.r_[500.0, np.linspace(20, 10, 19)]
    (axes,) = figures.curves({"VAE": {"train": np.array([steps, far])}}).axes
    assert [text.get_text() for text in axes.texts] == ["↑ up to 500"]
    (axes,) = figures.curves({"VAE": {"train": np.array([steps, 5 + steps // 10])}}).axes
    assert not axes.texts


def test_codes_of_one_hue_lie_apart_on_the_map_and_have_their_numbers(rng):
    middles = rng.random((40, 2))
    hues = plots._hues(middles)
    assert set(hues) == set(range(12))
    away = np.linalg.norm(middles[:, None] - middles, axis=2) + 9 * np.eye(40)
    assert (hues[away.argmin(1)] != hues).all()
    (axes,) = figures.latent_map(middles, {"code": np.arange(40)}).axes
    assert {text.get_text() for text in axes.texts} == {str(i) for i in range(40)}
    (axes,) = figures.latent_map(middles, {"class": np.arange(40) % 10}).axes
    assert not axes.texts
    assert len(axes.get_legend().texts) == 10
