"""Arrays that are handed in: what can be read in one way is taken, all else is told in one line."""

import re

import numpy as np
import pytest
import torch
from scipy import sparse

from geovq import Codec
from geovq.cli.files import read, setting
from geovq.data.arrays import as_labels, as_latents, as_points
from geovq.data.pixels import as_8_bit
from geovq.errors import InputError


@pytest.fixture
def noise(rng):
    """Images (20, 9, 12) that are what they should be, uint8."""
    return rng.integers(0, 256, (20, 9, 12), dtype=np.uint8)


def test_floats_and_truth_values_become_8_bits(noise):
    assert as_8_bit(noise) is noise
    assert (as_8_bit(noise / 255) == noise).all()
    for dtype in (np.float16, np.float32, np.float64, ">f4", np.longdouble):
        found = as_8_bit((noise / 255).astype(dtype))
        assert found.dtype == np.uint8
        assert (found == noise).all()
    masks = noise > 99
    assert (as_8_bit(masks) == masks * np.uint8(255)).all()
    assert (as_8_bit(torch.from_numpy(noise)) == noise).all()
    assert (as_8_bit((noise / 255).tolist()) == noise).all()
    assert (as_8_bit(np.ma.masked_array(noise, mask=False)) == noise).all()


def array(*shape, dtype="uint8", high=255):
    return (np.arange(np.prod(shape)).reshape(shape) % (high + 1)).astype(dtype)


def normalised(low, high):
    return np.linspace(low, high, 20 * 9 * 12).reshape(20, 9, 12)


grey = array(20, 9, 12)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        # shapes
        (array(20, 9, 12, 1), "images[..., 0] is grey"),
        (array(20, 9, 12, 2), "images[..., 0] is grey"),
        (array(20, 9, 12, 4), "images[..., :3] is without alpha"),
        (array(20, 1, 9, 12), "images[:, 0] is grey"),
        (array(20, 3, 9, 12), "channels come last: np.moveaxis(images[:, :3], 1, -1)"),
        (array(20, 4, 9, 12), "channels come last: np.moveaxis(images[:, :3], 1, -1)"),
        (array(20, 784), "flattened? images.reshape(-1, 28, 28)"),
        (array(20, 192), "flattened? images.reshape(-1, 8, 8, 3)"),
        (array(20, 108), "flattened? images.reshape(-1, H, W); one picture? images[None]"),
        (array(64, 64), "one picture? images[None]"),
        (array(20, 16, 3), "one picture? images[None]"),
        (array(8, 9, 576), "the last axis must be N: np.moveaxis(images, -1, 0)"),
        (array(0, 9, 12), "(0, 9, 12), uint8; allowed: grey (N, H, W)"),
        (array(20, 7, 12), "with H and W at least 8"),
        (array(20, 2, 9, 12, 3), "allowed: grey (N, H, W) or colour (N, H, W, 3)"),
        (np.uint8(3), "of shape (), uint8; allowed: grey"),
        ([[1, 2], [3]], "images: setting an array element with a sequence"),
        # types
        (
            grey.astype(int),
            "uint8, or floats in [0, 1]; values in [0, 255]: images.astype('uint8')",
        ),
        (grey.astype(int) // 128, "values in [0, 1]: images.astype(bool)"),
        (grey.astype("uint16") * 257, "values in [0, 65535]: images / the largest value"),
        (grey.astype("int8"), "int8; allowed: uint8, or floats in [0, 1]; values in [-128, 127]"),
        (grey.astype(complex), "complex128; allowed: uint8, or floats in [0, 1]"),
        (grey.astype(str), "<U3; allowed: uint8"),
        (grey.astype(object), "object; allowed: uint8"),
        (grey.astype("datetime64[D]"), "datetime64[D]; allowed: uint8"),
        (sparse.csr_array(array(9, 12)), "of shape (), object"),
        # values
        (
            grey.astype(float),
            "values in [0, 255]; allowed: floats in [0, 1], or uint8; images / 255",
        ),
        (normalised(0, 16), "images / the largest value there can be"),
        (normalised(0, 65535), "images / the largest value there can be"),
        (normalised(-1, 1), "values in [-1, 1]; allowed: floats in [0, 1], or uint8; (images + 1)"),
        (normalised(-0.01, 1.02), "images.clip(0, 1)"),
        (normalised(-2.1, 2.6), "undo what made them negative"),
        (np.where(normalised(0, 1) > 0.9, np.nan, 0), "216 values are NaN or infinite"),
        (np.where(normalised(0, 1) > 0.9, np.inf, 0), "216 values are NaN or infinite"),
        (grey // 128, "no value above 1 of 255, so nearly black (× 255?); allowed: 255 for white"),
        (normalised(0, 1 / 255), "so nearly black (divided by 255 twice?); allowed: 255 for white"),
        (np.ma.masked_greater(grey, 250), "values are masked; allowed: none: fill them, or leave"),
    ],
)
def test_images_that_are_meant_otherwise_are_refused(images, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        as_8_bit(images)
    assert str(error.value).startswith("images")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("high", [3, 15, 16])
def test_dark_images_are_told(high):
    text = f"no value above {high} of 255, so nearly black"
    with pytest.warns(UserWarning, match=text):
        as_8_bit(array(20, 9, 12, high=high))
    with pytest.warns(UserWarning, match=text):
        as_8_bit(array(20, 9, 12, high=high) / 255)


def test_images_that_may_be_turned_about_are_told():
    with pytest.warns(UserWarning, match=r"read as \(N, H, W\); if the last axis is N"):
        as_8_bit(array(28, 28, 112))


def test_few_images_that_are_encoded_may_be_dark_or_wide():
    assert (as_8_bit(np.zeros((1, 9, 12), np.uint8), fitting=False) == 0).all()
    assert as_8_bit(array(2, 9, 999), fitting=False).shape == (2, 9, 999)
    with pytest.warns(UserWarning, match="no value above 1 of 255"):
        as_8_bit(array(1, 9, 12, high=1), fitting=False)


def test_equal_images_cannot_be_split(noise):
    with pytest.raises(InputError, match="20 items, 1 of them distinct: too few to split"):
        Codec.fit(np.repeat(noise[:1], 20, 0), codes=2, tokens=1)


def test_points_are_taken_as_doubles(rng):
    points = rng.integers(0, 9, (5, 3))
    for dtype in (np.uint8, np.int64, np.float16, np.float32, ">f8", np.longdouble):
        found = as_points(points.astype(dtype))
        assert found.dtype == np.float64
        assert (found == points).all()
    doubles = points.astype(float)
    assert as_points(doubles) is doubles
    assert (as_points(torch.from_numpy(points)) == points).all()


pairs = array(20, 3)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (pairs.astype(bool), "points of dtype bool; allowed: integers or floats"),
        (pairs.astype(complex), "points of dtype complex128; allowed"),
        (pairs.astype(str), "points of dtype <U3; allowed"),
        (pairs.astype(bytes), "points of dtype |S3; allowed"),
        (pairs.astype(object), "points of dtype object; allowed"),
        (pairs.astype("datetime64[s]"), "points of dtype datetime64[s]; allowed"),
        (pairs.astype("timedelta64[s]"), "points of dtype timedelta64[s]; allowed"),
        (np.zeros(3, [("x", float)]), "points of dtype [('x', '<f8')]; allowed"),
        (np.ma.masked_equal(pairs, 7), "points: 1 values are masked; allowed: none"),
        (sparse.csr_array(pairs), "points of dtype object; allowed"),
        ([[1, 2], [3]], "points: setting an array element"),
        (
            torch.zeros(2, 2, requires_grad=True),
            "points: Can't call numpy() on Tensor that requires",
        ),
        (pairs[0], "points of shape (3,); allowed: (N, D)"),
        (
            pairs[None],
            "points of shape (1, 20, 3); allowed: (N, D); points.reshape(len(points), -1)",
        ),
        (pairs[:0], "points of shape (0, 3); allowed: (N, D)"),
        (pairs[:, :0], "points of shape (20, 0); allowed: (N, D)"),
        (
            np.where(pairs > 57, np.nan, pairs),
            "2 values are NaN or infinite, the first in row 19, co",
        ),
        (np.where(pairs > 57, -np.inf, pairs), "the first in row 19, column 1; allowed: finite"),
        (np.full((2, 2), np.longdouble("1e4000")), "4 values are NaN or infinite"),
    ],
)
def test_points_that_are_no_numbers_are_refused(points, message):
    with pytest.raises(InputError, match=re.escape(message)):
        as_points(points)


def test_latents_are_taken_with_and_without_variances(latents):
    means, log_variances = latents
    points, spread = as_latents(means, log_variances)
    assert points is means
    assert spread is log_variances
    assert as_latents(means)[1] is None
    assert (as_latents(means, np.zeros_like(means))[1] == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m, v: (m, np.exp(v) * 1e6), r": variances\? np\.log makes logarithms of them"),
        (lambda m, v: (m, v * 1e3), r"allowed: \[-50, 50\]$"),
        (lambda m, v: (m, v - 60), r"allowed: \[-50, 50\]$"),
        (lambda m, v: (m, v[1:]), r"log_variances of shape \(299, 6\); allowed: \(300, 6\), that"),
        (lambda m, v: (m, v[:, :1]), r"log_variances of shape \(300, 1\); allowed"),
        (lambda m, v: (m, v > 0), "log_variances of dtype bool; allowed"),
        (lambda m, v: (m, np.where(v > 0, np.nan, v)), "log_variances: .* values are NaN"),
        (lambda m, v: (np.ma.masked_greater(m, 1), v), "means: .* values are masked"),
        (lambda m, v: (m.astype(str), v), "means of dtype <U32; allowed"),
    ],
)
def test_latents_that_are_none_are_refused(latents, change, message):
    with pytest.raises(InputError, match=message):
        Codec.fit_latents(*change(*latents))


def test_variances_in_place_of_their_logarithms_are_told(latents):
    means, log_variances = latents
    with pytest.warns(UserWarning, match="all above 0: if they are variances, take np.log"):
        as_latents(means, np.exp(log_variances))
    as_latents(means[:1], np.exp(log_variances[:1]), fitting=False)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (lambda c: c * 1e4, "column 2 are more than 1000 times as wide as the others' median"),
        (lambda c: c * 0 + 1e4, "column 2 reach more than 1000 times as far as the others' median"),
        (lambda c: c + 1e6, "column 2 reach more than 1000 times as far"),
        (lambda c: np.append(c[:-1], 1e36), "column 2 are more than 1000 times as wide"),
    ],
)
def test_a_column_that_hides_the_others_is_told(latents, column, message):
    means = latents[0].copy()
    means[:, 2] = column(means[:, 2])
    with pytest.warns(UserWarning, match=message):
        as_latents(means)
    as_latents(means, fitting=False)
    with pytest.warns(UserWarning, match="column 1 are more than 1000 times as wide"):
        as_latents(latents[0][:, :2] * [1, 1e4])


def test_columns_of_one_scale_are_not_told(latents):
    means = latents[0]
    as_latents(means * 1e6 + 1e9)
    as_latents(means[:, :1] * 1e6)
    as_latents(means * [1, 1, 1e-5, 1e-5, 1e-5, 1e-5])  # dead columns beside live ones
    as_latents(means * [1, 0, 0, 0, 0, 0])


def test_labels_are_renumbered():
    for labels in ([5, -1, 5, 7] * 2, ["b", "a", "b", "c"] * 2, [b"b", b"a", b"b", b"c"] * 2):
        found = as_labels(labels, 8)
        assert found.dtype == np.int64
        assert found.tolist() == [1, 0, 1, 2] * 2
    assert as_labels([True, False, True, True], 4).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.eye(3)[[0, 1, 2, 0]],
            "(4, 3), float64; allowed: (4,) integers or text; one-hot? labels.",
        ),
        (np.eye(3, dtype=int)[[0, 1, 2, 0]], "; one-hot? labels.argmax(1)"),
        (np.eye(3, dtype=bool)[[0, 1, 2, 0]], "; one-hot? labels.argmax(1)"),
        (np.zeros((4, 1), int), "(4, 1), int64; allowed: (4,) integers or text; labels[:, 0]"),
        (np.ones((4, 2)), "(4, 2), float64; allowed: (4,) integers or text"),
        (np.zeros(3, int), "(3,), int64; allowed: (4,) integers"),
        (np.array(1), "of shape (), int64"),
        (np.array([0.0, 1, 0, 1]), "float64; allowed: (4,) integers or text; labels.astype(int)"),
        (np.array([0.0, 1, np.nan, 1]), "; 1 are NaN or infinite"),
        (np.array([0.5, 1, 0, 1]), "float64; allowed: (4,) integers or text"),
        (np.array(["a", 1, "a", "b"], object), "object; allowed: (4,) integers or text; labels.as"),
        (np.zeros(4, complex), "complex128; allowed"),
        (np.zeros(4, "datetime64[D]"), "datetime64[D]; allowed"),
        (np.ma.masked_equal([0, 1, 0, 1], 0), "labels: 2 values are masked"),
    ],
)
def test_labels_that_are_meant_otherwise_are_refused(labels, message):
    with pytest.raises(InputError, match=re.escape(message)):
        as_labels(labels, 4)


def test_labels_that_number_the_images_are_told():
    with pytest.warns(UserWarning, match="labels: 9 classes for 9 images, too many to be learnt"):
        as_labels(np.arange(9), 9)


def test_arrays_of_a_file_that_are_passed_over_are_told(tmp_path, latents, noise):
    means, log_variances = latents
    path = tmp_path / "a.npz"
    np.savez(path, means=means, log_variance=log_variances)
    with pytest.warns(
        UserWarning, match=r"passed over log_variance; read: means and log_variances"
    ):
        read(path)
    np.savez(path, images=noise, labels=np.zeros(20), names=np.array(["a"] * 20))
    assert set(read(path)) == {"images", "labels", "names"}
    np.savez(path, images=noise, pictures=noise)
    with pytest.warns(UserWarning, match=r"passed over pictures; read: images"):
        read(path)


@pytest.mark.parametrize("names", [["a"] * 19, list(range(20)), [["a"]] * 20])
def test_names_of_a_file_are_one_text_for_each_row(tmp_path, noise, names):
    np.savez(tmp_path / "a.npz", images=noise, names=names)
    with pytest.raises(InputError, match=r"a\.npz: names of shape .*; allowed: \(20,\) text"):
        read(tmp_path / "a.npz")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "=1",
        "a",
        "a=[",
        "a=&x *y",
        "a=!!python/object:os.x {}",
        "a=2001-99-99",
        "a=\0",
        "a={b: 1, b: 2}",
    ],
)
def test_settings_that_are_none_are_told(text):
    with pytest.raises(InputError, match="allowed: KEY=VALUE, the value in YAML"):
        setting(text)


def test_settings_are_yaml():
    assert setting("a.b=[1, 2.5, null]") == ("a.b", [1, 2.5, None])
    assert setting("a=b=c") == ("a", "b=c")
