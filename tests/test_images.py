import io
import os
import re
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from geovq.data.folders import load_folder, load_pictures, save_folder
from geovq.errors import InputError


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
    with pytest.warns(UserWarning, match="3 pictures read; passed over 1 of other kinds"):
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


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "TIFF", "webp", "gif"])
@pytest.mark.parametrize("colour", [False, True])
def test_formats_without_loss_are_read(tmp_path, rng, suffix, colour):
    pixels = rng.integers(0, 256, (9, 12), dtype=np.uint8)
    if colour:  # 100 colours, for a palette has 256
        pixels = rng.integers(0, 256, (100, 3), dtype=np.uint8)[rng.integers(100, size=(9, 12))]
    Image.fromarray(pixels).save(tmp_path / f"a.{suffix}", lossless=True)
    found, names = load_folder(tmp_path)
    assert names == ["a"]
    assert (found == pixels).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_viewers_turn_them(tmp_path, suffix, orientation):
    """Upright is the first row black, the first column grey, all else white."""
    upright = np.full((16, 24), 255, np.uint8)
    upright[:, :8] = 128
    upright[:8] = 0
    mirrored = upright[:, ::-1] if orientation in (2, 4, 5, 7) else upright
    # What has to be turned by a quarter, a half or three is stored turned back.
    stored = np.rot90(mirrored, {3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}.get(orientation, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(
        tmp_path / f"turned.{suffix}", exif=exif, lossless=True, quality=95
    )
    Image.fromarray(upright).save(tmp_path / "as_it_is.png")
    found, _ = load_folder(tmp_path)
    assert found.shape == (2, 16, 24)
    assert np.abs(found[1].astype(int) - upright).max() < 40


def test_a_turn_that_makes_another_size_is_told(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (12, 9)).save(tmp_path / "a.png")
    Image.new("L", (12, 9)).save(tmp_path / "b.jpg", exif=exif)
    with pytest.raises(InputError, match=r"b\.jpg: 9 × 12 pixels, but a\.png has 12 × 9"):
        load_folder(tmp_path)


def test_a_photograph_that_brings_its_thumbnail_is_one_picture(tmp_path, rng):
    whole, small = (Image.fromarray(np.full((16, 16), level, np.uint8)) for level in (200, 10))
    whole.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[small])
    assert (load_folder(tmp_path)[0] == 200).all()


def test_what_systems_leave_behind_is_passed_over_in_silence(pictures):
    folder, _ = pictures
    for name in (".DS_Store", "._a.png", ".hidden.png", "Thumbs.db", "desktop.ini", "geovq.json"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "a.png").touch()
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._a.png").touch()
    (folder / "notes").mkdir()
    assert load_folder(folder)[1] == ["a", "b", "c"]


def test_what_else_is_passed_over_is_told_by_kind(pictures):
    folder, _ = pictures
    for name in ("a.txt", "b.txt", "README", "c.heic"):
        (folder / name).touch()
    (folder / "cat" / "deep").mkdir(parents=True)
    (folder / "cat" / "deep" / "1.JPG").touch()
    (folder / "cat" / "deep" / "1.txt").touch()
    text = (
        f"{folder}: 3 pictures read; passed over 1 in sub-folders (cat) and 4 of other kinds "
        "(.txt, no suffix, .heic); only files *.png, "
    )
    with pytest.warns(UserWarning, match=re.escape(text)) as told:
        load_folder(folder)
    assert len(told) == 1


def test_many_sub_folders_are_not_all_named(pictures):
    folder, _ = pictures
    images = np.zeros((30, 9, 12), np.uint8)
    save_folder(folder.parent / "more", images)
    for i in range(7):
        (folder.parent / "more" / f"class{i}").mkdir()
        (folder.parent / "more" / f"class{i}" / "a.png").touch()
    with pytest.warns(UserWarning, match=r"7 in sub-folders \(class0, .*class4, 2 more\); "):
        load_folder(folder.parent / "more")


def below(folder):
    for kind in ("cat", "dog"):
        (folder / kind).mkdir()
        for i in range(2):
            (folder / kind / f"{i}.png").touch()


def deeper(folder):
    (folder / "train").mkdir()
    return folder / "train"


def other_formats(folder):
    for i in range(4):
        (folder / f"{i}.heic").touch()


@pytest.mark.parametrize(
    ("fill", "text"),
    [
        (below, r"4 in sub-folders \(cat, dog\)"),
        (other_formats, r"4 of other kinds \(\.heic\)"),
    ],
)
def test_a_folder_most_of_which_would_be_passed_over_is_refused(pictures, tmp_path, fill, text):
    folder, _ = pictures
    fill(folder)
    with pytest.raises(InputError, match=f"pictures: 3 pictures to read, but {text}; allowed: a "):
        load_folder(folder)


@pytest.mark.parametrize(
    ("fill", "text"),
    [
        (lambda folder: below(deeper(folder)), r"4 in sub-folders \(train/cat, train/dog\)"),
        (other_formats, r"4 of other kinds \(\.heic\)"),
    ],
)
def test_a_folder_all_of_which_would_be_passed_over_is_refused(tmp_path, fill, text):
    (tmp_path / "none").mkdir()
    fill(tmp_path / "none")
    with pytest.raises(InputError, match=f"none: 0 pictures to read, but {text}; allowed: "):
        load_folder(tmp_path / "none")


@pytest.fixture
def classes(tmp_path, rng):
    """Pictures of 8 × 8 pixels: cat/a, cat/b, cat/deep/c, dog/a."""
    images = rng.integers(0, 256, (4, 8, 8), dtype=np.uint8)
    for name, image in zip(("dog/a", "cat/deep/c", "cat/b", "cat/a"), images, strict=True):
        path = tmp_path / "classes" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    (tmp_path / "classes" / "notes").mkdir()
    return tmp_path / "classes", images[::-1]


def test_sub_folders_are_classes(classes):
    """Sorted by name and numbered from 0, as torchvision's ImageFolder has them."""
    folder, images = classes
    text = "3 pictures read; passed over 1 in sub-folders (cat/deep); only files "
    with pytest.warns(UserWarning, match=re.escape(text)) as told:
        found = load_pictures(folder)
    assert "in its sub-folders are read; --recursive (in Python recursive=True) reads" in str(
        told[0].message
    )
    assert told[0].filename == __file__
    assert found.names == ["cat/a", "cat/b", "dog/a"]
    assert found.classes == ["cat", "dog"]
    assert found.labels.tolist() == [0, 0, 1]
    assert found.labels.dtype == np.int64
    assert (found.images == images[[0, 1, 3]]).all()


def test_all_sub_folders_are_walked_on_request(classes):
    torchvision = pytest.importorskip("torchvision.datasets")
    folder, images = classes
    (folder / "cat" / "up").symlink_to(folder)
    (folder / "cat" / "deep" / "loop").symlink_to(folder / "cat")
    found = load_pictures(folder, recursive=True)
    assert found.names == ["cat/a", "cat/b", "cat/deep/c", "dog/a"]
    assert (found.images == images).all()
    (folder / "cat" / "up").unlink()
    (folder / "cat" / "deep" / "loop").unlink()
    (folder / "notes").rmdir()  # ImageFolder wants a picture in every class
    rival = torchvision.ImageFolder(folder)
    assert found.labels.tolist() == rival.targets
    assert found.classes == rival.classes
    Image.fromarray(images[0]).save(folder / "z.png")
    found = load_pictures(folder, recursive=True)
    assert found.names == ["z", "cat/a", "cat/b", "cat/deep/c", "dog/a"]
    assert found.labels is None
    assert found.classes == []
    assert load_folder(folder, recursive=True)[1] == found.names


def test_pictures_are_brought_to_a_size(tmp_path, rng):
    """Width first, as Pillow has it; what has the size is not touched."""
    tall = np.zeros((40, 10, 3), np.uint8)
    tall[15:25] = [200, 0, 0]  # the middle
    exact = rng.integers(0, 256, (8, 12), dtype=np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(tall).save(tmp_path / "a.png")
    Image.fromarray(exact).save(tmp_path / "b.png")
    Image.fromarray(np.ascontiguousarray(np.rot90(exact))).save(tmp_path / "c.png", exif=turned)
    with pytest.raises(InputError, match=r"8 × 12 .*; allowed: one size|--size WIDTHxHEIGHT"):
        load_folder(tmp_path)
    images, _ = load_folder(tmp_path, size=(12, 8))
    assert images.shape == (3, 8, 12, 3)
    assert (images[0] == [200, 0, 0]).all()
    assert (images[1] == exact[..., None]).all()
    assert (images[2] == exact[..., None]).all()
    assert load_folder(tmp_path, size=9)[0].shape == (3, 9, 9, 3)
    (tmp_path / "a.png").unlink()
    assert load_folder(tmp_path, size=9)[0].shape == (2, 9, 9)


@pytest.mark.parametrize("size", [7, (8, 7), (8, 8, 8), 8.5, "64", True, (8, 8.0), 10_001])
def test_a_size_that_is_none_is_told(pictures, size):
    text = f"size = {size!r}; allowed: a side, or width and height, of 8 to 10,000 pixels"
    with pytest.raises(InputError, match=re.escape(text)):
        load_folder(pictures[0], size=size)


def test_memory_is_that_of_the_size(pictures, monkeypatch):
    monkeypatch.setattr("geovq.data.folders.free_memory", lambda: 900)
    assert load_folder(pictures[0], size=8)[0].shape == (3, 8, 8)
    with pytest.raises(InputError, match="3 pictures of 20 × 10 pixels take"):
        load_folder(pictures[0], size=(20, 10))


def test_as_many_may_be_passed_over_as_are_read(pictures):
    folder, _ = pictures
    for i in range(3):
        (folder / f"{i}.heic").touch()
    with pytest.warns(UserWarning, match="3 pictures read; passed over 3 of other kinds"):
        assert load_folder(folder)[1] == ["a", "b", "c"]


@pytest.mark.parametrize("names", [["a", "b", "a"], ["a", "b", "x/a"], ["a", "b"], ["a", "b", ""]])
def test_as_many_names_as_images_are_asked_for(tmp_path, names):
    with pytest.raises(InputError, match=r"names = 2 different; allowed: 3|names = 3 different"):
        save_folder(tmp_path / "out", np.zeros((3, 8, 8), np.uint8), names)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_none_is_told(tmp_path):
    (tmp_path / "file").touch()
    for name in ("absent", "file"):
        with pytest.raises(InputError, match=f"{name}: no folder that can be read"):
            load_folder(tmp_path / name)


def pipe(path):
    os.mkfifo(path)


def endless(path):
    path.symlink_to("/dev/zero")


def nowhere(path):
    path.symlink_to("nothing")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (pipe, "b.png: not a whole picture (it is a pipe)"),
        (endless, "b.png: not a whole picture (it is a device)"),
        (nowhere, "b.png: no such file"),
        (os.mkdir, "b.png: not a whole picture (it is a folder)"),
        (lambda path: path.touch(), "b.png: not a whole picture (it is empty)"),
    ],
)
def test_only_regular_files_are_opened(pictures, make, message):
    folder, _ = pictures
    (folder / "b.png").unlink()
    make(folder / "b.png")
    with pytest.raises(InputError, match=re.escape(message)):
        load_folder(folder)


def test_pipes_of_other_names_are_passed_over(pictures):
    os.mkfifo(pictures[0] / "pipe")
    with pytest.warns(UserWarning, match=r"passed over 1 of other kinds \(no suffix\)"):
        load_folder(pictures[0])


def test_a_link_to_a_picture_is_a_picture(pictures):
    (pictures[0] / "d.png").symlink_to(pictures[0] / "a.png")
    images, names = load_folder(pictures[0])
    assert names[-1] == "d"
    assert (images[0] == images[3]).all()


def test_names_never_lead_out_of_the_folder(tmp_path, rng):
    images = rng.integers(0, 256, (1, 8, 8), dtype=np.uint8)
    save_folder(tmp_path / "deep" / "out", images, ["../../up"])
    assert {p.name for p in (tmp_path / "deep" / "out").iterdir()} == {"up.png", "geovq.json"}
    assert not (tmp_path / "up.png").exists()


def transparent(folder, images):
    Image.fromarray(np.stack([images[0]] * 4, 2)).save(folder / "b.png")


def deep(folder, images):
    Image.fromarray(images[0].astype(np.uint16) * 256).save(folder / "b.png")


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks):
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*parts) for parts in (*chunks, (b"IEND", b"")))


def ihdr(width, height, depth=8, colour=0):
    return b"IHDR", struct.pack(">2I5B", width, height, depth, colour, 0, 0, 0)


def written(data, folder, images):
    (folder / "b.png").write_bytes(data)


rows = zlib.compress(bytes(9 * 13))
bomb = partial(written, png(ihdr(60_000, 60_000), (b"IDAT", rows)))
large = partial(written, png(ihdr(10_000, 10_000), (b"IDAT", rows)))
thin = partial(written, png(ihdr(24, 2_000_000), (b"IDAT", rows)))
deep_colour = partial(written, png(ihdr(12, 9, 16, 2), (b"IDAT", zlib.compress(bytes(9 * 73)))))
four_bits = png(ihdr(12, 9, 4), (b"tRNS", b"\0\7"), (b"IDAT", zlib.compress(bytes(9 * 7))))
key = partial(written, four_bits)
short = partial(written, png(ihdr(12, 9), (b"IDAT", zlib.compress(bytes(9 * 12)))))
no_end = partial(written, png(ihdr(12, 9), (b"IDAT", rows))[:-12])
no_rows = partial(written, png(ihdr(12, 9)))


def blown_up(kind, folder, images):
    """A size in the header that the rest of the file cannot fill: such took seconds and memory."""
    stream = io.BytesIO()
    Image.fromarray(images[0]).save(stream, kind)
    data = bytearray(stream.getvalue())
    if kind == "BMP":
        data[18:26] = struct.pack("<2I", 2_000_000, 24)
    if kind == "WEBP":
        data[26:30] = struct.pack("<2H", 9000, 9000)
    if kind == "TIFF":
        first = data.index(struct.pack("<HHII", 256, 4, 1, 12))
        data[first : first + 12] = struct.pack("<HHII", 256, 4, 1, 6_000_000)
    (folder / "b.png").write_bytes(data)


def changed(folder, images):
    data = bytearray((folder / "b.png").read_bytes())
    data[60] ^= 1
    (folder / "b.png").write_bytes(data)


def saved(kind, mode, folder, images):
    grey = Image.fromarray(images[0])
    (folder / "b.png").unlink()
    (grey.convert(mode) if mode else grey).save(folder / f"b.{kind}")


def animated(kind, folder, images):
    first, *others = map(Image.fromarray, images)
    (folder / "b.png").unlink()
    first.save(folder / f"b.{kind}", save_all=True, append_images=others)


def key_colour(mode, folder, images):
    colour = 7 if mode in ("L", "P") else (7, 7, 7)
    images[0][0, 0] = 7
    Image.fromarray(images[0]).convert(mode).save(folder / "b.png", transparency=colour)


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
        (no_picture, "b.png: not a whole picture (nothing in it begins a PNG, JPEG, "),
        (bomb, "b.png: more pixels than can be meant; allowed: 89,478,485"),
        (large, "b.png: more pixels than can be meant; allowed: 89,478,485"),
        (thin, "b.png: 24 × 2000000 pixels in 69 bytes; allowed: 2000 a byte"),
        (partial(blown_up, "BMP"), "b.png: 2000000 × 24 pixels in "),
        (partial(blown_up, "WEBP"), "b.png: 9000 × 9000 pixels in "),
        (partial(blown_up, "TIFF"), "b.png: 6000000 × 9 pixels in "),
        (deep_colour, "b.png: 16 bits a channel; allowed: 8-bit grey or colour"),
        (key, "b.png: a picture with a transparent colour; allowed: without"),
        (short, "b.png: not a whole picture (image file is truncated"),
        (no_end, "b.png: not a whole picture (truncated PNG file"),
        (no_rows, "b.png: not a whole picture"),
        (changed, "b.png: not a whole picture (broken PNG file (bad header checksum in b'IDAT'))"),
        (partial(key_colour, "L"), "b.png: a picture with a transparent colour"),
        (partial(key_colour, "RGB"), "b.png: a picture with a transparent colour"),
        (partial(key_colour, "P"), "b.png: a picture with transparent pixels"),
        (partial(animated, "png"), "b.png: a picture of several frames; allowed: one"),
        (partial(animated, "gif"), "b.gif: a picture of several frames; allowed: one"),
        (partial(animated, "webp"), "b.webp: a picture of several frames; allowed: one"),
        (partial(animated, "tif"), "b.tif: a picture of several frames; allowed: one"),
        (partial(saved, "jpg", "CMYK"), "b.jpg: pixels of kind CMYK; allowed: 8-bit"),
        (partial(saved, "tif", "F"), "b.tif: pixels of kind F; allowed: 8-bit"),
        (partial(saved, "tif", "I"), "b.tif: pixels of kind I; allowed: 8-bit"),
        (partial(saved, "tif", "LAB"), "b.tif: pixels of kind LAB; allowed: 8-bit"),
    ],
)
def test_a_picture_that_will_not_do_is_named(pictures, change, message):
    change(*pictures)
    with pytest.raises(InputError) as error:
        load_folder(pictures[0])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_all_pictures_are_looked_at_before_one_is_decoded(pictures, monkeypatch):
    transparent(*pictures)
    Image.new("CMYK", (12, 9)).save(pictures[0] / "z.jpg")
    with pytest.raises(InputError, match=r"z\.jpg: pixels of kind CMYK"):
        load_folder(pictures[0])


@pytest.mark.parametrize("suffix", ["jpg", "gif", "tif", "webp", "bmp"])
def test_half_a_picture_is_refused(tmp_path, rng, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=f"a.{suffix}: not a whole picture"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    "error", [struct.error, SyntaxError, EOFError, OverflowError, MemoryError, zlib.error, KeyError]
)
def test_whatever_a_decoder_raises_names_the_file(pictures, monkeypatch, error):
    def fail(*args, **kwargs):
        raise error("two\nlines")

    monkeypatch.setattr("PIL.ImageOps.exif_transpose", fail)
    with pytest.raises(InputError, match=r"a\.png: not a whole picture \(.?two.*lines.?\)"):
        load_folder(pictures[0])


def test_pictures_that_do_not_fit_into_memory_are_not_decoded(pictures, monkeypatch):
    monkeypatch.setattr("geovq.data.folders.free_memory", lambda: 900)
    with pytest.raises(InputError, match=r"3 pictures of 12 × 9 pixels take .* GB; allowed: at "):
        load_folder(pictures[0])


def test_no_pictures_and_two_of_one_name(pictures, tmp_path):
    folder, images = pictures
    Image.fromarray(images[0]).save(folder / "a.jpg")
    with pytest.raises(InputError, match="2 pictures are called a; allowed: one"):
        load_folder(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: no picture in it; allowed: files \*\.png, "):
        load_folder(tmp_path / "empty")
