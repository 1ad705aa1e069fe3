"""Data frames in place of arrays: of pandas and polars if they are there, and of a stand-in."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from geovq import Codec, GeodesicKMeans, GeodesicQuantizer
from geovq.data.arrays import as_latents, as_points
from geovq.errors import InputError


@pytest.fixture
def points(rng):
    return rng.standard_normal((60, 3))


class Frame:
    """What is asked of a data frame, if some columns lack values."""

    def __init__(self, values, kinds):
        self.values = values
        self.dtypes = [SimpleNamespace(kind=kind) for kind in kinds]

    def __array__(self, dtype=None, copy=None):
        return self.values.astype(object)

    def to_numpy(self, dtype, na_value):
        return np.where(self.values == 7, na_value, self.values).astype(dtype)


def test_columns_that_may_lack_values_are_numbers(points):
    assert (as_points(Frame(points, "ffi")) == points).all()
    points[4, 1] = 7
    with pytest.raises(InputError, match="1 values are NaN or infinite, the first in row 4, colu"):
        as_points(Frame(points, "ffi"))
    with pytest.raises(InputError, match=r"edge_points of shape .* holds nan; allowed: finite"):
        GeodesicKMeans(2).fit(points, edge_points=Frame(points, "fff"))
    for kinds in ("fbf", "fOf"):  # truth values and texts are none
        with pytest.raises(InputError, match="points of dtype object; allowed: integers or floats"):
            as_points(Frame(points, kinds))


@pytest.fixture(params=["pandas", "pandas with Float64", "polars"])
def frame(request, points):
    """The points, in columns of one of these."""
    library = pytest.importorskip(request.param.split()[0])
    made = library.DataFrame(dict(zip("abc", points.T, strict=True)))
    return made.convert_dtypes() if "with" in request.param else made


def test_points_and_latents_may_be_frames(frame, points):
    assert (as_points(frame) == points).all()
    means, spread = as_latents(frame, frame)
    assert (means == points).all()
    assert (spread == points).all()
    codec = Codec.fit_latents(frame, frame, codes=4, tokens=2, train_ar=None)
    assert (codec.encode_latents(frame, frame) == codec.encode_latents(points, points)).all()
    quantizer = GeodesicQuantizer(4, 2)
    expected = quantizer.fit(points, points).encode(points, points)
    assert (quantizer.fit(frame, frame).encode(frame, frame) == expected).all()


def test_the_estimator_knows_the_columns_again(frame, points, tmp_path):
    expected = GeodesicKMeans(4, random_state=0).fit(points).labels_
    kmeans = GeodesicKMeans(4, random_state=0).fit(frame)
    kmeans.save(tmp_path / "kmeans.npz")
    for same in (kmeans, GeodesicKMeans.load(tmp_path / "kmeans.npz")):
        assert (same.predict(frame) == expected).all()
        assert same.feature_names_in_.tolist() == ["a", "b", "c"]
        with pytest.raises(ValueError, match=re.escape("The feature names should match")):
            same.predict(frame[["c", "b", "a"]])
