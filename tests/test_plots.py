"""Plots on axes of one's own."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from geovq import Codec, GeodesicKMeans
from geovq.errors import InputError
from geovq.report.plots import (
    plot_clusters,
    plot_codebook,
    plot_path,
    plot_rate_distortion,
)


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def points(rng):
    return rng.standard_normal((60, 2))


def test_each_draws_on_the_axes_it_is_given_and_gives_them_back(ax, points, rng):
    assert plot_codebook(rng.random((5, 8, 10)), ax=ax) is ax
    assert plot_clusters(points, np.arange(60) % 3, ax=ax) is ax
    assert plot_path(points, [0, 4, 2], ax=ax) is ax
    assert plot_rate_distortion({"a": ([4, 8], [90, 80])}, ax=ax) is ax


def test_without_axes_they_are_pyplots(points):
    matplotlib.use("Agg")
    from matplotlib import pyplot

    try:
        axes = plot_clusters(points, np.zeros(60, int))
        assert axes is pyplot.gca()
        assert plot_path(points, [0, 1]) is axes  # onto the same
    finally:
        pyplot.close("all")


def test_the_most_used_code_is_the_first(ax):
    codes = np.arange(4)[:, None, None] / 4 * np.ones((1, 2, 2))
    plot_codebook(codes, np.array([1, 0, 7, 7], np.uint8), ax=ax, title="codes")
    sheet = ax.images[0].get_array()
    assert sheet.shape == (7, 7)
    assert [sheet[1, 1], sheet[1, 4], sheet[4, 1], sheet[4, 4]] == [0.5, 0.75, 0, 0.25]
    assert ax.get_title(loc="left") == "codes"


def test_a_codec_shows_its_codes(rng, ax):
    images = rng.integers(256, size=(60, 8, 8), dtype=np.uint8)
    small = {"codes": 4, "tokens": 2, "steps": 2, "latent_dim": 4, "train_ar": None}
    codec = Codec.fit(images, **small, train_vae={"hidden": [8]})
    found = codec.prototypes(1)
    assert found.shape == (4, 8, 8)
    assert found.dtype == np.float32
    assert 0 <= found.min() < found.max() <= 1
    plot_codebook(found, ax=ax)
    for bad in (2, -1, True, 0.0):
        with pytest.raises(InputError, match=r"^position = .*; allowed: an integer, 0 to 1"):
            codec.prototypes(bad)


def test_clusters_and_ways_are_those_of_the_estimator(points, ax):
    kmeans = GeodesicKMeans(3, random_state=0).fit(points)
    plot_clusters(points, kmeans.labels_, centers=kmeans.cluster_centers_, ax=ax)
    path = kmeans.path(0, 1)
    plot_path(points, path, label="geodesic", ax=ax, color="red")
    dots, stars = ax.collections
    assert (dots.get_offsets() == points).all()
    assert (stars.get_offsets() == kmeans.cluster_centers_).all()
    (line,) = ax.lines
    assert (line.get_xydata() == points[path]).all()
    assert (line.get_color(), line.get_marker(), line.get_label()) == ("red", "o", "geodesic")


def test_many_clusters_have_no_legend(points, ax):
    plot_clusters(points, np.arange(60), ax=ax)
    assert ax.get_legend() is None


def test_curves_and_lines_have_names(ax):
    curves = {f"method {i}": ([4, 8], [90 - i, 80 - i]) for i in range(9)}  # more than colours
    plot_rate_distortion(curves, {"VAE": 60.0}, ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(curves)
    assert [text.get_text() for text in ax.texts] == ["VAE"]
    assert ax.get_xlim() == pytest.approx((0, 8.16))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: plot_codebook(p), r"prototypes of shape \(60, 2\); allowed: \(K, H, W\)"),
        (lambda p: plot_codebook(np.zeros((3, 8, 8)), [1]), r"counts of shape \(1,\); .* \(3,\)"),
        (lambda p: plot_clusters(p.T, []), r"points of shape \(2, 60\); allowed: \(N, 2\)"),
        (lambda p: plot_clusters(p, [0]), r"labels of shape \(1,\); allowed: \(60,\)"),
        (lambda p: plot_clusters(p, p[:, 0], centers=[0, 0]), r"centers of shape \(2,\)"),
        (lambda p: plot_path(p, [0, 60]), r"path of shape \(2,\), int64; allowed: .* 0 to 59"),
        (lambda p: plot_path(p, [-1]), "path of shape"),
        (lambda p: plot_path(p, [0.5]), "path of shape"),
        (lambda p: plot_path(p, []), "path of shape"),
        (lambda p: plot_rate_distortion({}), "curves = {}; allowed: one at least"),
        (lambda p: plot_rate_distortion({"a": ([1], [1, 2])}), r"curves\['a'\] of shapes"),
    ],
)
def test_what_will_not_do_is_named(points, call, message):
    with pytest.raises(InputError, match=message):
        call(points)
