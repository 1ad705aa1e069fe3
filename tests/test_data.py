import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.utils import Bunch

from geovq.data import Images, load_images
from geovq.errors import InputError
from geovq.store import save_npz


def write(tmp_path, **arrays):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays)
    return path


def keys(split):
    return {image.tobytes() for image in split.images}


def test_digits_need_no_file_and_are_stratified():
    images = load_images("digits")
    sizes = [len(images.train), len(images.validation), len(images.test)]
    assert sum(sizes) == 1797
    assert images.train.images.shape[1:] == (28, 28)
    assert images.train.images.dtype == np.uint8
    assert images.train.images.max() == 255
    whole = np.bincount(np.concatenate([s.labels for s in vars(images).values()])) / 1797
    for split in vars(images).values():
        assert np.abs(np.bincount(split.labels) / len(split) - whole).max() < 0.02


def test_splits_of_photographs_share_no_pixel(monkeypatch):
    """Photographs that number their pixels, so that each patch tells where it is from."""
    rows, columns = np.divmod(np.arange(40 * 320), 320)
    places = np.stack([rows, columns // 256, columns % 256], 1).astype(np.uint8)
    pair = [places.reshape(40, 320, 3)] * 2
    monkeypatch.setattr("sklearn.datasets.load_sample_images", lambda: Bunch(images=pair))
    splits = vars(load_images("photographs"))
    seen = {}
    for name, split in splits.items():
        assert split.images.shape[1:] == (32, 32, 3)
        assert (np.bincount(split.labels) == len(split) / 2).all()
        columns = split.images[..., 1:].astype(int) @ [256, 1]
        assert (np.diff(columns, axis=2) == 1).all()  # a patch is whole and upright
        assert (np.diff(split.images[..., 0].astype(int), axis=1) == 1).all()
        seen[name] = set(columns.ravel())
    assert max(seen["train"]) < min(seen["validation"])
    assert max(seen["validation"]) < min(seen["test"])
    assert max(seen["train"]) < 224
    assert min(seen["test"]) >= 256
    again = vars(load_images("photographs"))
    assert all((split.images == again[name].images).all() for name, split in splits.items())


def test_photographs_need_no_file():
    images = load_images("photographs")
    assert [len(split) for split in vars(images).values()] == [5300, 500, 1300]
    assert not keys(images.train) & keys(images.test)


def test_splits_repeat_with_the_seed_and_differ_without():
    first, again, other = (load_images("digits", seed=s).test.images for s in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()


def test_no_image_is_in_two_splits_even_when_the_file_repeats_it(tmp_path, rng):
    distinct = rng.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    repeated = distinct[rng.integers(60, size=300)]
    images = load_images("npz", file=write(tmp_path, images=repeated))
    train, validation, test = (keys(split) for split in vars(images).values())
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert sum(len(split) for split in vars(images).values()) == 300


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


@pytest.fixture
def mnist_root(tmp_path, rng):
    """MNIST's own files in small, with one test image repeated in the training set."""
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    images = {n: rng.integers(0, 256, (c, 28, 28), dtype=np.uint8) for n, c in
              (("train", 200), ("t10k", 50))}  # fmt: skip
    images["train"][7] = images["t10k"][3]
    for name, array in images.items():
        (folder / f"{name}-images-idx3-ubyte").write_bytes(idx(array))
        labels = (np.arange(len(array)) % 10).astype(np.uint8)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(idx(labels))
    return tmp_path, images


def test_mnist_keeps_its_own_test_set(mnist_root):
    root, raw = mnist_root
    images = load_images("mnist", root=root)
    assert (images.test.images == raw["t10k"]).all()
    assert len(images.train) + len(images.validation) == 199  # without the repeated one
    assert not keys(images.test) & (keys(images.train) | keys(images.validation))


def test_offline_and_absent_says_where_and_what(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(InputError) as error:
        load_images("kmnist", root=tmp_path / "nowhere")
    message = str(error.value)
    assert str(tmp_path / "nowhere" / "KMNIST" / "raw") in message
    assert "t10k-images-idx3-ubyte" in message
    assert "digits" in message


@pytest.mark.parametrize("channels", [(), (3,)])
def test_own_floats_become_8_bits(tmp_path, rng, channels):
    pixels = rng.random((50, 9, 10, *channels))
    labels = rng.integers(5, 7, 50)
    images = load_images("npz", file=write(tmp_path, images=pixels, labels=labels))
    assert images.train.images.dtype == np.uint8
    assert images.train.images.shape[1:] == (9, 10, *channels)
    assert set(images.train.labels) == {0, 1}
    seen = np.concatenate([s.images for s in vars(images).values()])
    assert sorted(seen.ravel()) == sorted(np.rint(pixels * 255).astype(np.uint8).ravel())


def test_rare_classes_do_not_stop_the_split(tmp_path, rng):
    labels = np.zeros(50, dtype=int)
    labels[0] = 1
    file = write(tmp_path, images=rng.random((50, 8, 8)), labels=labels)
    assert sum(len(split) for split in vars(load_images("npz", file=file)).values()) == 50


good = np.zeros((20, 8, 8))


@pytest.mark.parametrize(
    ("arrays", "named"),
    [
        ({"images": np.full((20, 8, 8), np.nan)}, ["NaN", "1280"]),
        ({"images": good + 1.5}, ["[1.5, 1.5]", "[0, 1]"]),
        ({"images": good - 0.5}, ["[-0.5, -0.5]", "[0, 1]"]),
        ({"images": good.astype(np.int32)}, ["int32", "uint8"]),
        ({"images": good[0]}, ["(8, 8)", "(N, H, W)"]),
        ({"images": np.zeros((20, 8, 8, 4))}, ["(20, 8, 8, 4)", "(N, H, W, 3)"]),
        ({"images": np.zeros((20, 3, 8, 8))}, ["(20, 3, 8, 8)", "(N, H, W, 3)"]),
        ({"images": np.zeros((20, 8, 3))}, ["(20, 8, 3)", "at least 8"]),
        ({"images": good, "labels": np.zeros(19, int)}, ["(19,)", "(20,) integers"]),
        ({"images": good, "labels": np.zeros(20)}, ["float64", "integers"]),
        ({"pictures": good}, ["images", "pictures"]),
        ({"images": np.array([{}] * 20)}, ["pickled", "numbers"]),
        ({"images": good[:2]}, ["too few"]),
    ],
)
def test_bad_arrays_are_named(tmp_path, arrays, named):
    path = write(tmp_path, **arrays)
    with pytest.raises(InputError) as error:
        load_images("npz", file=path)
    for part in named:
        assert part in str(error.value)


def test_splits_survive_the_file(tmp_path):
    images = load_images("digits")
    save_npz(tmp_path / "images.npz", "images", **images.arrays())
    again = Images.load(tmp_path / "images.npz")
    for before, after in zip(vars(images).values(), vars(again).values(), strict=True):
        assert (before.images == after.images).all()
        assert (before.labels == after.labels).all()
