"""The command line in this process, on 8 × 8 digits and a few optimiser steps."""

import json
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from sklearn.datasets import load_digits

from geovq import Codec
from geovq.cli.commands import main
from geovq.data.folders import load_folder, save_folder
from geovq.evaluation.semantics import purity

SMALL = "--codes 8 --tokens 2 --steps 20 --latent-dim 4"


def geovq(command, status=0):
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == status, (result.output, result.exception)
    return result


def refused(command):
    """The one line that says why."""
    result = geovq(command, status=2)
    assert "Traceback" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.stderr.splitlines()[-1:] == lines
    return lines[0]


@pytest.fixture(scope="module")
def images():
    return (load_digits().images[:300] * 15.9).astype(np.uint8)


@pytest.fixture(scope="module")
def home(tmp_path_factory, images):
    """A folder with pictures and a model of them."""
    folder = tmp_path_factory.mktemp("home")
    save_folder(folder / "pictures", images, [f"digit{i:03}" for i in range(300)])
    geovq(f"fit {folder}/pictures {folder}/model {SMALL}")
    return folder


@pytest.fixture
def work(home, tmp_path, monkeypatch):
    """The same, to write into."""
    (tmp_path / "pictures").symlink_to(home / "pictures")
    shutil.copytree(home / "model", tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_pictures_become_tokens_and_pictures_again(work, images):
    geovq("encode model pictures tokens.npz")
    with np.load("tokens.npz") as file:
        assert set(file) == {"tokens", "vocabulary", "names", "codebook"}
        assert (file["tokens"] == Codec.load("model").encode(images)).all()
        tokens = file["tokens"]
    geovq("decode model tokens.npz decoded")
    decoded, names = load_folder("decoded")
    assert names[0] == "digit000"
    geovq("decode model tokens.npz decoded.npz")
    with np.load("decoded.npz") as file:
        assert (file["images"] == decoded).all()
        assert (file["tokens"] == tokens).all()
    expected = Codec.load("model").decode(tokens) * 255
    assert np.abs(decoded - expected).max() <= 0.5


def test_an_npz_of_images_is_as_good_as_a_folder(work, images):
    np.savez("images.npz", images=images / 255)
    for source in ("pictures", "images.npz"):
        geovq(f"encode model {source} tokens.npz --force")
        with np.load("tokens.npz") as file:
            found = file["tokens"]
        assert (found == Codec.load("model").encode(images)).all()
    geovq(f"fit images.npz again {SMALL}")
    assert json.loads(geovq("info again --json").stdout) == Codec.load("model").info


def test_colour_pictures_become_tokens_and_colour_pictures_again(work, images):
    tinted = (images[:100, ..., None] * np.array([1.0, 0.6, 0.2])).astype(np.uint8)
    save_folder("tinted", tinted)
    geovq(f"fit tinted coloured {SMALL} --likelihood logistic -S train_vae.hidden=[8]")
    found = json.loads(geovq("info coloured --json").stdout)
    assert found["image_size"] == [8, 8, 3]
    assert found["settings"]["train_vae"]["likelihood"] == "logistic"
    geovq("encode coloured tinted tokens.npz")
    geovq("decode coloured tokens.npz decoded")
    decoded, names = load_folder("decoded")
    assert decoded.shape == tinted.shape
    assert names[0] == "00"
    mean = decoded.mean((0, 1, 2))
    assert mean[0] > mean[1] > mean[2]
    geovq("sample coloured samples.npz -n 5")
    with np.load("samples.npz") as file:
        assert file["images"].shape == (5, 8, 8, 3)


def test_samples_repeat_with_their_seed(work):
    geovq("sample model samples -n 12 --temperature 0.8 --seed 3")
    geovq("sample model samples.npz -n 12 --temperature 0.8 --seed 3")
    drawn, names = load_folder("samples")
    assert names == [f"{i:02}" for i in range(12)]
    assert "perplexity" in geovq("info samples.npz").stdout  # its tokens are as any
    with np.load("samples.npz") as file:
        assert (file["images"] == drawn).all()
        assert (file["tokens"] == Codec.load("model").sample(12, temperature=0.8, seed=3)).all()


def test_info_of_a_model_and_of_tokens(work):
    found = json.loads(geovq("info model --json").stdout)
    assert found["bits_per_image"] == 6
    assert found["image_size"] == [8, 8]
    assert found["settings"]["geodesic_quantize"]["codes"] == 8
    lines = dict(line.split(maxsplit=1) for line in geovq("info model").stdout.splitlines())
    assert lines["vocabulary"] == "8 8"
    assert float(lines["validation.bce"]) == pytest.approx(found["validation"]["bce"], rel=1e-3)
    geovq("encode model pictures tokens.npz")
    found = json.loads(geovq("info tokens.npz --json").stdout)
    assert (found["rows"], found["vocabulary"], found["bits_per_image"]) == (300, [8, 8], 6)
    assert 1 < found["perplexity"] <= found["codes_used"] <= 8


def test_latents_go_all_the_way(work, latents):
    means, log_variances = latents
    np.savez("latents.npz", means=means, log_variances=log_variances)
    geovq("fit latents.npz quantized --codes 8 --tokens 2 --steps 20")
    geovq("encode quantized latents.npz tokens.npz")
    geovq("decode quantized tokens.npz back.npz")
    geovq("sample quantized samples.npz -n 5")
    codec = Codec.load("quantized")
    with np.load("back.npz") as file:
        tokens = codec.encode_latents(means, log_variances)
        assert (file["latents"] == codec.decode_latents(tokens)).all()
    with np.load("samples.npz") as file:
        assert file["latents"].shape == (5, 6)
    assert "back: this model decodes to latents" in refused("decode quantized tokens.npz back")
    assert "fitted on latents" in refused("encode quantized pictures other.npz")


def test_parts_are_left_out_and_any_parameter_can_be_set(work):
    left = "--no-refine --no-prior -S train_vae.hidden=[16] -S assignment=geodesic"
    geovq(f"fit pictures plain {SMALL} {left}")
    found = json.loads(geovq("info plain --json").stdout)
    assert found["settings"]["train_vae"]["hidden"] == [16]
    assert found["settings"]["geodesic_quantize"]["assignment"] == "geodesic"
    assert not found["refined"]
    assert "this model has no prior" in refused("sample plain samples")


def test_nothing_is_overwritten_unasked(work):
    geovq("encode model pictures tokens.npz")
    (work / "letters").mkdir()
    (work / "letters" / "a.txt").touch()
    geovq("sample model samples -n 2")
    for command in (
        "fit pictures model",
        "encode model pictures tokens.npz",
        "decode model tokens.npz samples",
        "sample model samples",
    ):
        message = refused(command)
        assert message.endswith("is there already; --force replaces it")
    message = refused("sample model letters --force")
    assert "letters: a folder that holds a.txt and no mark of geovq; allowed: a new" in message
    geovq("sample model samples -n 3 --force")
    assert len(list((work / "samples").glob("*.png"))) == 3
    (work / "own.npz").touch()
    assert "own.npz: a file that geovq did not write" in refused("encode model pictures own.npz")
    refused("encode model pictures own.npz --force")
    assert (work / "own.npz").read_bytes() == b""


def test_pictures_of_ones_own_are_not_replaced(work):
    (work / "holiday").mkdir()
    (work / "holiday" / "a.png").write_bytes(b"sea")
    for command in ("sample model holiday --force", "fit pictures holiday --force"):
        assert "holiday: a folder that holds a.png and no mark" in refused(command)
    assert [path.read_bytes() for path in (work / "holiday").iterdir()] == [b"sea"]


def test_outputs_stay_apart_from_inputs(work):
    geovq("encode model pictures tokens.npz")
    for command in (
        "fit pictures pictures --force",
        "fit pictures pictures/model",
        "encode model pictures pictures/tokens.npz",
        "encode model tokens.npz tokens.npz --force",
        "encode model pictures model/tokens.npz",
        "decode model tokens.npz tokens.npz --force",
        "decode model tokens.npz model/out",
        "sample model model --force",
    ):
        assert "allowed: a place apart from it" in refused(command)


def test_tokens_of_another_model_are_refused(work):
    geovq(f"fit pictures other {SMALL} --seed 1")
    geovq("encode other pictures tokens.npz")
    assert "tokens.npz: of another model, whose codebook" in refused("decode model tokens.npz new")


def test_what_fails_leaves_nothing(work):
    (work / "broken").mkdir()
    (work / "broken" / "a.png").write_text("no picture")
    before = sorted(work.iterdir())
    assert "broken/a.png: not a whole picture" in refused("fit broken new")
    refused("fit pictures new --codes 301 --steps 2")
    refused("encode model broken new.npz")
    assert sorted(work.iterdir()) == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("fit pictures new --codes 1", "codes = 1; allowed: an integer from 2 to 1,000,000"),
        ("fit pictures new --codes many", "Invalid value for '--codes': 'many'"),
        ("fit pictures new --metric cosine", "'cosine' is not one of 'euclidean', 'precision'"),
        ("fit pictures new --steps 0", "steps = 0; allowed: an integer from 1 to 10,000,000"),
        ("fit pictures new --layout product --tokens 3", "tokens = 3: the product layout cuts"),
        ("fit pictures new -S train_ar.cell", "--set train_ar.cell: allowed: KEY=VALUE"),
        ("fit pictures new -S train_ar.cell=[", "--set train_ar.cell=[: allowed: KEY=VALUE"),
        (
            "fit pictures new -S train_ar.cell='&a [*a]'",
            "--set train_ar.cell=&a [*a]: allowed: KEY",
        ),
        (f"fit pictures new -S seed={'9' * 5000}", " [...]: allowed: KEY=VALUE, the value in YAML"),
        ("fit pictures new -S seed=2001-01-01", "seed = datetime.date(2001, 1, 1); allowed: an in"),
        ("fit pictures new -S seed=1 -S =", "--set =: allowed: KEY=VALUE"),
        ("fit pictures new -S train_vae.kl_weight=.inf", "train_vae.kl_weight = inf; allowed: a n"),
        ("fit absent new -S train_ar.cel=gru", "train_ar.cel = 'gru': unknown key; allowed: "),
        ("fit broken.npz new --seed -1", "seed = -1; allowed: an integer from 0 to 4,294,967,295"),
        ("fit pictures new -S train_ar.cel=gru", "train_ar.cel = 'gru': unknown key; allowed: "),
        ("fit pictures", "Missing argument 'MODEL'"),
        ("fit absent new", "absent: no such file"),
        ("fit pictures/digit000.png new", "digit000.png: allowed: a folder of pictures, or an"),
        ("fit tokens.npz new", "tokens.npz: holds tokens, vocabulary; allowed: either images, or"),
        ("encode absent pictures new.npz", "absent: no such folder; allowed: a model that geovq"),
        ("encode model pictures new.txt", "new.txt: allowed: a file name that ends in .npz"),
        ("decode model pictures new", "pictures: not a whole .npz file (it is a folder)"),
        ("decode model tokens.npz new", "tokens.npz: vocabulary [4, 4]; this model's is [8, 8]"),
        ("sample model new.png", "new.png: allowed: a folder, or an .npz file"),
        ("sample model new -n 0", "count = 0; allowed: an integer, 1 to 10,000,000"),
        ("sample model new --temperature 0", "temperature = 0.0; allowed: 0.001 to 100"),
        ("info absent.npz", "absent.npz: no such file"),
        ("mend model", "No such command 'mend'"),
    ],
)
def test_mistakes_are_one_line_and_status_2(work, command, message):
    np.savez("tokens.npz", tokens=np.zeros((2, 2), int), vocabulary=[4, 4])
    (work / "broken.npz").touch()
    assert message in refused(command)
    assert not list(work.glob("new*"))


def test_pictures_of_another_size_are_refused(work):
    save_folder("large", np.zeros((3, 9, 9), np.uint8))
    message = refused("encode model large tokens.npz")
    assert "(3, 9, 9); this model was fitted on (N, 8, 8)" in message


def test_what_is_nobodys_mistake_is_status_1(work, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("geovq.codec.codec.Codec.load", full)
    result = geovq("sample model new", status=1)
    assert result.stderr == "error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("command", ["fit", "encode", "decode", "sample", "info"])
def test_help_shows_an_example(command):
    assert f"\n    geovq {command} " in geovq(f"{command} --help").stdout


def test_too_many_codes_are_told_before_pictures_are_read(tmp_path):
    (tmp_path / "many").mkdir()
    for i in range(1000):
        (tmp_path / "many" / f"{i}.png").touch()  # which are no pictures at all
    np.savez(tmp_path / "means.npz", means=np.full((1000, 2), np.nan))
    for source, what in (("many", "pictures"), ("means.npz", "rows")):
        path = tmp_path / source
        message = f"error: codes = 1001; allowed: 2 to the number of {what} in {path}, 1000"
        assert refused(f"fit {path} {tmp_path}/model --codes 1001 --tokens 1") == message


def test_a_file_is_fitted_and_scored_by_its_own_split(tmp_path, monkeypatch, images):
    monkeypatch.chdir(tmp_path)
    labels = load_digits().target[:300]
    halves = {"train": np.arange(0, 200), "test": np.arange(200, 300)}
    np.savez("split.npz", images=images, labels=labels, **halves)
    for name, rows in halves.items():
        np.savez(f"{name}.npz", images=images[rows], labels=labels[rows])
    said = geovq(f"fit split.npz model {SMALL}").stderr
    assert "split.npz: 200 of 300 rows, those of train" in said
    geovq(f"fit train.npz alike {SMALL}")
    assert Codec.load("model").fingerprint == Codec.load("alike").fingerprint
    mine = json.loads(geovq("evaluate model split.npz --json").stdout)
    assert mine == json.loads(geovq("evaluate model test.npz --json").stdout)
    geovq("encode model split.npz tokens.npz")
    assert len(np.load("tokens.npz")["tokens"]) == 300
    np.savez("split.npz", images=images, labels=labels[200:], **halves)  # as long as the test rows
    assert "labels of shape (100,); allowed with splits: a row for each of 300" in refused(
        "evaluate model split.npz"
    )
    np.savez("split.npz", images=images, train=np.arange(301))
    assert "train has rows 0 to 300; allowed: 0 to 299" in refused("fit split.npz new")


def test_the_module_is_the_command_and_help_needs_no_torch():
    code = "import runpy, sys; sys.argv = ['geovq', '--help']\ntry: runpy.run_module('geovq', run_name='__main__')\nfinally: print('torch' in sys.modules)"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage: geovq [OPTIONS] COMMAND" in done.stdout
    assert done.stdout.endswith("False\n")
    done = subprocess.run([sys.executable, "-m", "geovq"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Commands:" in done.stderr


@pytest.mark.slow
def test_commands_that_only_decode_import_no_clustering(home, tmp_path):
    """They take seconds, most of it torch."""
    model, tokens = home / "model", tmp_path / "tokens.npz"
    geovq(f"encode {model} {home}/pictures {tokens}")
    script = "runpy.run_module('geovq', run_name='__main__')"
    code = f"import runpy, sys\ntry: {script}\nfinally: print(*sys.modules)"
    for command in (
        ["decode", model, tokens, tmp_path / "decoded"],
        ["sample", model, tmp_path / "drawn.npz", "-n", "2"],
    ):
        words = [sys.executable, "-c", code, *map(str, command)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        loaded = set(done.stdout.split())
        assert "geovq.codec.codec" in loaded
        heavy = {"numba", "faiss", "matplotlib", "torchvision", "torchmetrics"}
        assert not loaded & heavy


def test_models_are_scored_side_by_side_on_what_they_never_saw(work, images):
    unseen = (load_digits().images[300:400] * 15.9).astype(np.uint8)
    labels = load_digits().target[300:400]
    np.savez("unseen.npz", images=unseen, labels=labels)
    shutil.copytree("model", "again")
    found = json.loads(geovq("evaluate model again unseen.npz --json").output)
    assert found["model"] == found["again"]
    score, codec = found["model"], Codec.load("model")
    tokens = codec.encode(unseen)
    assert score["bits_per_image"] == 6
    assert score["purity"] == purity(tokens[:, 0], labels)
    pixels, x = codec.decode(tokens).astype(np.float64), unseen / 255
    nats = -(x * np.log(pixels) + (1 - x) * np.log1p(-pixels)).sum((1, 2)).mean()
    assert score["bce"] == pytest.approx(nats, rel=1e-4)
    assert score["total"] == score["bce"] + score["code_length"]
    assert "bits_per_image" in geovq("evaluate model unseen.npz").output
    np.savez("bare.npz", images=unseen)
    assert "purity" not in geovq("evaluate model bare.npz").output
    np.savez("hot.npz", images=unseen, labels=np.eye(10)[labels])
    assert "labels of shape (100, 10), float64; allowed: (100,) integers or text" in refused(
        "evaluate model hot.npz"
    )


def test_a_model_of_latents_is_scored_by_their_squared_error(tmp_path, monkeypatch, rng):
    monkeypatch.chdir(tmp_path)
    means = rng.standard_normal((80, 4))
    Codec.fit_latents(means, codes=4, train_ar=None).save("model")
    np.savez("means.npz", means=means)
    score = json.loads(geovq("evaluate model means.npz --json").output)["model"]
    codec = Codec.load("model")
    gaps = codec.decode_latents(codec.encode_latents(means)) - means
    assert score["squared_error"] == pytest.approx(np.square(gaps).sum(1).mean())
    assert score["code_length"] is score["total"] is None


def test_classes_and_sizes_of_a_folder(work, images):
    """What `fit`, `encode` and `evaluate` read, what they say of it, and what is written."""
    labels = load_digits().target[:300]
    for name, image, label in zip(range(300), images, labels, strict=True):
        (work / "classes" / f"digit{label}").mkdir(parents=True, exist_ok=True)
        large = Image.fromarray(image).resize((16 + name % 2, 16), Image.Resampling.NEAREST)
        large.save(work / "classes" / f"digit{label}" / f"{name:03}.png")
    assert "17 × 16 pixels, but " in (said := refused("encode model classes tokens.npz"))
    assert said.endswith("; --size WIDTHxHEIGHT (in Python size=(width, height)) brings all to one")
    said = geovq("encode model classes tokens.npz --size 8x8").stderr
    text = "classes: 300 pictures, grey, 8 × 8 pixels by --size, in 10 sub-folders, their classes\n"
    assert text in said
    with np.load("tokens.npz") as file:
        assert file["classes"].tolist() == [f"digit{i}" for i in range(10)]
        assert file["labels"].tolist() == sorted(labels)
        assert file["names"][0] == "digit0/000"
    geovq("decode model tokens.npz decoded")
    assert (work / "decoded" / "digit0_000.png").exists()
    assert len(load_folder("decoded")[1]) == 300
    found = json.loads(geovq("evaluate model classes --size 8 --json").stdout)["model"]
    assert found["purity"] > 0.1
    geovq(f"fit classes new {SMALL} --size 9x8 --no-prior --no-refine")
    assert Codec.load("new").info["image_size"] == [8, 9]
    said = refused("encode new pictures none.npz")
    assert said.endswith(
        "(N, 8, 9); --size 9x8 (load_folder(..., size=(9, 8))) brings a folder to it"
    )


def test_sub_folders_are_walked_on_request(work, images):
    save_folder("deep/a/b", images[:20])
    save_folder("deep/c/d", images[20:60])
    text = "deep: 0 pictures to read, but 60 in sub-folders (c/d, a/b); allowed: "
    assert text in (said := refused("encode model deep tokens.npz"))
    assert said.endswith("; --recursive (in Python recursive=True) reads sub-folders to any depth")
    geovq("encode model deep tokens.npz --recursive")
    with np.load("tokens.npz") as file:
        assert file["labels"].tolist() == [0] * 20 + [1] * 40


def test_channels_may_come_first(work, images):
    np.savez("first.npz", images=images[:, None])
    said = refused("encode model first.npz tokens.npz")
    assert said.endswith("; images[:, 0] is grey, or --channels first (in Python channels='first')")
    geovq("encode model first.npz tokens.npz --channels first")
    with np.load("tokens.npz") as file:
        assert (file["tokens"] == Codec.load("model").encode(images)).all()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("encode model pictures new.npz --channels first", "--channels first: allowed with images"),
        ("encode model images.npz new.npz --size 8", "--size: images.npz is a file; allowed with"),
        ("fit images.npz new --recursive", "--recursive: images.npz is a file; allowed with a"),
        ("fit means.npz new --channels last", "--channels last: means.npz has latents; allowed"),
        ("fit pictures new --size 64-48", "'64-48'; allowed: 64, or WIDTHxHEIGHT as in 64x48"),
        ("fit pictures new --size 7", "size = 7; allowed: a side, or width and height, of 8"),
        (
            "fit images.npz new --channels first",
            "images.npz: images of shape (300, 8, 8), uint8; allowed with channels first: grey (N,",
        ),
    ],
)
def test_options_that_the_input_has_no_use_for_are_told(work, images, command, message):
    np.savez("images.npz", images=images)
    np.savez("means.npz", means=np.zeros((9, 2)))
    assert message in refused(command)
    assert not list(work.glob("new*"))
