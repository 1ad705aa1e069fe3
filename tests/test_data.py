import gzip
import hashlib
import io
import urllib.request
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.utils import Bunch

from geovq.data.idx import MIRRORS, read_idx
from geovq.data.sets import held_out, load_images
from geovq.data.splits import Images
from geovq.errors import InputError
from geovq.files.store import save_npz
from geovq.params.reading import load_params
from geovq.training.classifier import train_classifier


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


def test_packed_files_are_read_as_they_are(mnist_root):
    root, raw = mnist_root
    folder = root / "MNIST" / "raw"
    for path in list(folder.iterdir()):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert (load_images("mnist", root=root).test.images == raw["t10k"]).all()
    assert all(path.suffix == ".gz" for path in folder.iterdir())


IMAGES = "t10k-images-idx3-ubyte"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (IMAGES, b"", "(it is empty)"),
        (IMAGES, b"text", "its header is no header of bytes in 3 axes"),
        (IMAGES, idx(np.zeros(9, np.uint8)), "its header is no header of bytes in 3 axes"),
        (IMAGES, idx(np.zeros((2, 3, 3), np.uint8))[:-1], "18 bytes declared, 17 or more there"),
        (IMAGES, idx(np.zeros((2, 3, 3), np.uint8)) + b"a", "18 bytes declared, 19 or more there"),
        (IMAGES, bytes([0, 0, 8, 3]) + b"\xff" * 12, "its header claims 7.92e+19 GB"),
        (IMAGES, idx(np.zeros((0, 3, 3), np.uint8)), "its header claims 0 GB"),
        (IMAGES, bytes([0, 0, 13, 3]) + bytes(12), "no header of bytes"),
        (f"{IMAGES}.gz", b"text", "Not a gzipped file"),
        (
            f"{IMAGES}.gz",
            gzip.compress(idx(np.zeros((2, 3, 3), np.uint8)), mtime=0)[:-9],
            "Compressed file ended before",
        ),
        ("t10k-labels-idx1-ubyte", idx(np.zeros(49, np.uint8)), "49 labels; allowed: 50, for the"),
    ],
)
def test_files_of_a_set_that_are_not_whole_are_told(mnist_root, name, data, message):
    folder = mnist_root[0] / "MNIST" / "raw"
    (folder / name.removesuffix(".gz")).unlink()
    (folder / name).write_bytes(data)
    with pytest.raises(InputError) as error:
        load_images("mnist", root=mnist_root[0])
    assert str(folder / name) in str(error.value)
    assert message in str(error.value)


class Answer(io.BytesIO):
    """What urlopen gives."""

    def __init__(self, data, url):
        super().__init__(data)
        self.url = url


@pytest.fixture
def served(monkeypatch):
    """Files to be downloaded, with their checksums; and what was asked for."""
    files = {}
    for i, part in enumerate(("train", "t10k")):
        images = (np.arange(60 * 64) // 64 + 60 * i).astype(np.uint8).reshape(60, 8, 8)
        for name, array in (("images-idx3", images), ("labels-idx1", np.zeros(60, np.uint8))):
            files[f"{part}-{name}-ubyte.gz"] = gzip.compress(idx(array), mtime=0)
    sums = [(name, hashlib.md5(data).hexdigest()) for name, data in files.items()]
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        return Answer(files[url.rpartition("/")[2]], asked[-1])

    monkeypatch.setattr("torchvision.datasets.KMNIST.resources", sums)
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return files, asked


def test_absent_files_are_downloaded_once_over_https(served, tmp_path):
    files, asked = served
    for _ in range(2):
        images = load_images("kmnist", root=tmp_path)
        assert len(images.test) == 60
    assert sorted(asked) == sorted(f"{MIRRORS['kmnist']}{name}" for name in files)
    assert {path.name: path.read_bytes() for path in (tmp_path / "KMNIST/raw").iterdir()} == files
    assert all(mirror.startswith("https://") for mirror in MIRRORS.values())


def test_a_download_that_is_not_what_was_published_is_not_kept(served, tmp_path, monkeypatch):
    files, _ = served
    files["train-images-idx3-ubyte.gz"] += b"a"
    with pytest.raises(InputError, match="its checksum is not the published one"):
        load_images("kmnist", root=tmp_path)
    plain = "http://elsewhere.org/a.gz"
    monkeypatch.setattr(urllib.request, "urlopen", lambda url, timeout: Answer(b"", plain))
    with pytest.raises(InputError, match=f"it leads to {plain}; allowed: https"):
        load_images("kmnist", root=tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_training_images_that_are_all_test_images_are_told(mnist_root):
    folder = mnist_root[0] / "MNIST" / "raw"
    for name in ("images-idx3", "labels-idx1"):
        data = (folder / f"t10k-{name}-ubyte").read_bytes()
        (folder / f"train-{name}-ubyte").write_bytes(data)
    with pytest.raises(InputError, match="0 items: too few to split"):
        load_images("mnist", root=mnist_root[0])


def test_an_idx_file_is_an_array_that_can_be_written_to(tmp_path, rng):
    array = rng.integers(0, 256, (3, 4, 5), dtype=np.uint8)
    (tmp_path / "a").write_bytes(idx(array))
    found = read_idx(tmp_path / "a", 3)
    assert (found == array).all()
    assert found.flags.writeable


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


@pytest.mark.parametrize("few", [1, 2, 5])
def test_every_class_can_be_learnt_whatever_the_seed(tmp_path, rng, few):
    """And none that stood on both sides before is moved for it."""
    labels = np.append(np.repeat(np.arange(5), 60), [99] * few)
    images = rng.integers(0, 256, (300 + few, 8, 8), dtype=np.uint8)
    file = write(tmp_path, images=images, labels=labels)
    for seed in range(40):
        splits = load_images("npz", file=file, seed=seed)
        assert set(splits.train.labels) == set(range(6))
        assert sum(len(split) for split in vars(splits).values()) == 300 + few
        assert len(splits.test) >= 55
        assert len(splits.validation) >= 20


def test_copies_with_two_labels_stay_together(rng):
    """One image is both of a rare class and of a common one."""
    images = rng.integers(0, 256, (40, 8, 8), dtype=np.uint8)
    images[0] = images[39]
    labels = np.array([1] + [0] * 39)
    for seed in range(20):
        chosen = held_out(images, 0.2, seed, labels)
        assert not chosen[0]
        assert not chosen[39]


def test_labels_that_number_the_images_do_not_empty_a_split(tmp_path, rng):
    file = write(tmp_path, images=rng.random((50, 8, 8)), labels=np.arange(50))
    with pytest.warns(UserWarning, match="50 classes for 50 images, too many to be learnt"):
        images = load_images("npz", file=file)
    assert [len(split) for split in vars(images).values()] == [36, 4, 10]


@pytest.mark.parametrize("where", [0, 1])
def test_a_class_of_one_split_only_does_not_stop_the_classifier(rng, where):
    images = torch.from_numpy(rng.random((10, 8, 8), dtype=np.float32))
    labels = [torch.zeros(10, dtype=torch.int64) for _ in range(2)]
    labels[where][3] = 7
    params = load_params("params.yaml").train_classifier.model_copy(update={"max_steps": 1})
    classifier = train_classifier((images, labels[0]), (images, labels[1]), params, 0)
    assert classifier(images).shape == (10, 8)


def test_text_may_label(tmp_path, rng):
    labels = np.array(["cat", "dog"] * 25)
    images = load_images("npz", file=write(tmp_path, images=rng.random((50, 8, 8)), labels=labels))
    assert set(images.train.labels) == {0, 1}


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
        ({"images": good[:2]}, ["too few", "2 items, 1 of them distinct"]),
        ({"images": good + 255}, ["own.npz: images", "images / 255"]),
        ({"images": good.astype(np.uint8) + 1}, ["own.npz: images", "nearly black"]),
        ({"images": good, "labels": np.eye(20)}, ["own.npz: labels", "labels.argmax(1)"]),
    ],
)
def test_bad_arrays_are_named(tmp_path, arrays, named):
    path = write(tmp_path, **arrays)
    with pytest.raises(InputError) as error:
        load_images("npz", file=path)
    for part in named:
        assert part in str(error.value)


def distinct(count):
    """Images that tell their row."""
    images = np.full((count, 8, 8), 100, np.uint8)
    images[:, 0, 0] = np.arange(count)
    return images


def rows_of(split):
    return split.images[:, 0, 0].tolist()


def test_splits_of_the_file_are_kept_in_their_order(tmp_path):
    labels = np.repeat(["zebra", "cat", "ant"], [40, 10, 10])
    named = {"train": np.arange(30), "test": [59, 31, 58], "validation": np.array([33, 32], "u1")}
    file = write(tmp_path, images=distinct(60), labels=labels, **named)
    with pytest.warns(UserWarning, match="25 of 60 images are in none of train, validation, test"):
        images = load_images("npz", file=file)
    assert rows_of(images.train) == list(range(30))
    assert rows_of(images.validation) == [33, 32]
    assert rows_of(images.test) == [59, 31, 58]
    assert images.test.labels.tolist() == [0, 1, 0]  # there are no cats


@pytest.mark.parametrize("name", ["train", "test"])
def test_one_split_of_the_file_leaves_the_other_the_rest(tmp_path, name):
    file = write(tmp_path, images=distinct(60), **{name: np.arange(0, 60, 2)})
    images = load_images("npz", file=file, validation_fraction=0.2)
    assert len(images.validation) == 6
    other = images.train if name == "test" else images.test
    even = images.test if name == "test" else images.train
    assert {row % 2 for row in rows_of(even)} != {row % 2 for row in rows_of(other)}
    assert sorted(row for split in vars(images).values() for row in rows_of(split)) == [*range(60)]
    if name == "test":
        assert rows_of(images.test) == list(range(0, 60, 2))


def test_what_a_later_split_has_too_is_left_out(tmp_path):
    images = distinct(20)
    images[[0, 1]], images[10] = images[19], images[18]
    named = {"train": np.arange(10), "validation": np.arange(10, 15), "test": np.arange(15, 20)}
    with pytest.warns(UserWarning, match=" images of .* are in a later split too") as told:
        found = load_images("npz", file=write(tmp_path, images=images, **named))
    assert [str(one.message).split(": ")[1][:20] for one in told] == [
        "2 images of train ar",
        "1 images of validati",
    ]
    assert rows_of(found.train) == list(range(2, 10))
    assert rows_of(found.validation) == list(range(11, 15))
    assert rows_of(found.test) == list(range(15, 20))


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"train": [0, 1, 2], "test": [2, 3, 1]}, "2 rows are in both train and test, the first"),
        (
            {"train": [0, 1], "test": [3, 4], "validation": [5, 4]},
            "1 rows are in both validation and test, the first of them 4; allowed: a row in one",
        ),
        ({"test": [3, 4, 20]}, "own.npz: test has rows 3 to 20; allowed: 0 to 19, those of images"),
        ({"test": [-1, 4]}, "test has rows -1 to 4; allowed: 0 to 19"),
        ({"train": [3, 4, 3]}, "own.npz: train has row 3 twice; allowed: once"),
        ({"train": np.arange(20) < 9}, "train of shape (20,), bool; allowed: row numbers; np.flat"),
        ({"train": [0.0, 1.0]}, "train of shape (2,), float64; allowed: row numbers"),
        ({"train": np.zeros((0,), int)}, "train of shape (0,), int64; allowed: row numbers"),
        ({"train": [[0, 1]]}, "train of shape (1, 2), int64; allowed: row numbers"),
        ({"train": np.arange(20)}, "rows for train, but none left for test; allowed: row numbers"),
        ({"validation": [1, 2]}, "rows for validation, but none left for train and test; allowed"),
    ],
)
def test_splits_that_will_not_do_are_named(tmp_path, named, message):
    with pytest.raises(InputError) as error:
        load_images("npz", file=write(tmp_path, images=distinct(20), **named))
    assert message in str(error.value)


def test_a_training_split_of_test_images_only_is_told(tmp_path):
    images = distinct(20)
    images[:10] = images[10:]
    file = write(tmp_path, images=images, train=np.arange(10), test=np.arange(10, 20))
    with (
        pytest.warns(UserWarning, match="10 images of train are in a later split too"),
        pytest.raises(InputError, match="train has no image that is in no later split"),
    ):
        load_images("npz", file=file)


def test_splits_survive_the_file(tmp_path):
    images = load_images("digits")
    save_npz(tmp_path / "images.npz", "images", **images.arrays())
    again = Images.load(tmp_path / "images.npz")
    for before, after in zip(vars(images).values(), vars(again).values(), strict=True):
        assert (before.images == after.images).all()
        assert (before.labels == after.labels).all()
