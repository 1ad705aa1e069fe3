import numpy as np
import pytest
from PIL import Image

from geovq.errors import InputError
from geovq.images import load_folder, save_folder


@pytest.fixture
def pictures(tmp_path, rng):
    """Three grey pictures of 12 × 9 pixels, and their folder."""
    images = rng.integers(0, 256, (3, 9, 12), dtype=np.uint8)
    folder = tmp_path / "pictures"
    save_folder(folder, images, ["b", "c", "a"])
    return folder, images


def test_a_folder_is_read_by_name(pictures):
    folder, images = pictures
    (folder / "labels.csv").write_text("a,1")
    found, names = load_folder(folder)
    assert names == ["a", "b", "c"]
    assert found.dtype == np.uint8
    assert (found == images[[2, 0, 1]]).all()


def test_numbers_sort_as_they_count(tmp_path, rng):
    images = rng.integers(0, 256, (11, 8, 8), dtype=np.uint8)
    save_folder(tmp_path / "out", images)
    found, names = load_folder(tmp_path / "out")
    assert names[-1] == "10"
    assert (found == images).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "1"])
def test_grey_may_be_stored_in_other_ways(pictures, mode):
    folder, images = pictures
    grey = images[2] if mode != "1" else np.where(images[2] > 127, 255, 0).astype(np.uint8)
    Image.fromarray(grey).convert(mode).save(folder / "a.png")
    assert (load_folder(folder)[0][0] == grey).all()


def test_one_picture_in_colour_makes_all_colour(pictures, rng):
    folder, images = pictures
    red = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(red).save(folder / "b.png")
    Image.fromarray(red[:, ::-1]).save(folder / "d.png")
    found, names = load_folder(folder)
    assert names == ["a", "b", "c", "d"]
    assert found.shape == (4, 9, 12, 3)
    assert (found[1] == red).all()
    assert (found[3] == red[:, ::-1]).all()
    for place, grey in ((0, images[2]), (2, images[1])):
        assert (found[place] == grey[..., None]).all()
    save_folder(folder.parent / "again", found, names)
    assert (load_folder(folder.parent / "again")[0] == found).all()


def test_jpegs_are_read(pictures):
    folder, images = pictures
    flat = np.full_like(images[0], 77)
    Image.fromarray(flat).save(folder / "0.JPG")
    found, names = load_folder(folder)
    assert names[0] == "0"
    assert (found[0] == 77).all()


def test_names_never_lead_out_of_the_folder(tmp_path, rng):
    images = rng.integers(0, 256, (1, 8, 8), dtype=np.uint8)
    save_folder(tmp_path / "deep" / "out", images, ["../../up"])
    assert {p.name for p in (tmp_path / "deep" / "out").iterdir()} == {"up.png", "geovq.json"}
    assert not (tmp_path / "up.png").exists()


def transparent(folder, images):
    Image.fromarray(np.stack([images[0]] * 4, 2)).save(folder / "b.png")


def deep(folder, images):
    Image.fromarray(images[0].astype(np.uint16) * 256).save(folder / "b.png")


def another_size(folder, images):
    Image.fromarray(images[0][:8]).save(folder / "b.png")


def broken(folder, images):
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])


def no_picture(folder, images):
    (folder / "b.png").write_text("text")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (transparent, "b.png: a picture with transparent pixels"),
        (deep, "b.png: pixels of kind I;16; allowed: 8-bit grey or colour"),
        (another_size, "b.png: 12 × 8 pixels, but a.png has 12 × 9; allowed: one size"),
        (broken, "b.png: not a whole picture"),
        (no_picture, "b.png: not a whole picture"),
    ],
)
def test_a_picture_that_will_not_do_is_named(pictures, change, message):
    change(*pictures)
    with pytest.raises(InputError) as error:
        load_folder(pictures[0])
    assert message in str(error.value)


def test_no_pictures_and_two_of_one_name(pictures, tmp_path):
    folder, images = pictures
    Image.fromarray(images[0]).save(folder / "a.jpg")
    with pytest.raises(InputError, match="2 pictures are called a; allowed: one"):
        load_folder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no picture in it; allowed: files \*\.png, "):
        load_folder(tmp_path / "empty")
