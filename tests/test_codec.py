"""Fitting, using, saving and loading a codec, on 8 × 8 digits and a few optimiser steps."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from geovq import Codec, GeodesicQuantizer
from geovq.codec.tokenizer import PostHocTokenizer
from geovq.errors import InputError
from geovq.models.distortion import distortion

FILES = {
    *("vae.safetensors", "codebook.npz", "decoder.safetensors", "prior.safetensors"),
    *("info.json", "geovq.json"),
}
SMALL = {"codes": 8, "tokens": 2, "steps": 20, "latent_dim": 4, "train_vae": {"hidden": [16]}}


@pytest.fixture(scope="module")
def digits():
    return (load_digits().images[:300] * 15.9).astype(np.uint8)


@pytest.fixture(scope="module")
def codec(digits):
    return Codec.fit(digits, **SMALL)


class Linear(nn.Module):
    """A VAE of the user's own: a projection, with dropout that has to be off when it is used."""

    def __init__(self):
        super().__init__()
        self.basis = nn.Parameter(torch.linalg.qr(torch.randn(64, 4))[0])
        self.dropout = nn.Dropout()

    def encode(self, images):
        means = self.dropout(images.flatten(1) - 0.5) @ self.basis
        return means, torch.full_like(means, -2.0)

    def decode(self, latents):
        return (latents @ self.basis.T).unflatten(1, (8, 8))


def test_images_become_tokens_and_come_back(codec, digits):
    tokens = codec.encode(digits)
    assert tokens.shape == (300, 2)
    assert tokens.dtype == np.int64
    assert tokens.max() < 8
    pixels = codec.decode(tokens)
    assert pixels.shape == digits.shape
    assert pixels.dtype == np.float32
    assert 0 <= pixels.min() < pixels.max() <= 1
    noise = codec.decode(np.random.default_rng(0).permuted(tokens, axis=0))
    errors = [np.square(p - digits / 255).mean() for p in (pixels, noise)]
    assert errors[0] < errors[1]
    assert (codec.encode(digits / 255) == tokens).all()  # floats mean the same


def test_info_says_what_was_measured_on_held_out_images(codec, digits):
    info, figures = codec.info, codec.info["validation"]
    assert info["vocabulary"] == [8, 8]
    assert info["bits_per_image"] == 6
    assert info["image_size"] == [8, 8]
    assert info["training_rows"] + info["validation_rows"] == 300
    assert figures["code_length_bits"] == pytest.approx(figures["code_length"] / math.log(2))
    assert figures["total"] == pytest.approx(figures["bce"] + figures["code_length"])
    logits = codec.tokenizer.decode(torch.from_numpy(codec.encode(digits)))
    over_all = distortion(logits, torch.from_numpy(digits / 255), codec.tokenizer.likelihood)
    assert figures["bce"] == pytest.approx(over_all, rel=0.1)


def test_samples_repeat_with_their_seed(codec):
    drawn = codec.sample(50, seed=3)
    assert drawn.shape == (50, 2)
    assert (drawn == codec.sample(50, seed=3)).all()
    assert (drawn != codec.sample(50, seed=4)).any()
    cold = codec.sample(50, temperature=1e-3)
    assert (cold == cold[0]).all()
    assert codec.decode(drawn).shape == (50, 8, 8)


def test_a_codec_survives_its_folder_without_pickle(codec, digits, tmp_path):
    for _ in range(2):  # the second time over the first
        codec.save(tmp_path / "model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    for path in (tmp_path / "model").glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name] is not None for name in arrays.files)
    again = Codec.load(tmp_path / "model")
    assert again.info == codec.info == json.loads((tmp_path / "model" / "info.json").read_text())
    tokens = codec.encode(digits)
    assert (again.encode(digits) == tokens).all()
    assert (again.decode(tokens) == codec.decode(tokens)).all()
    assert (again.sample(9) == codec.sample(9)).all()


def test_the_same_seed_gives_the_same_bytes(digits, tmp_path):
    for name in ("one", "two"):
        Codec.fit(digits, **SMALL).save(tmp_path / name)
    for file in FILES:
        one, two = (tmp_path / name / file for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


# Cells of a network that has hardly been trained differ by their place more than by the image.
@pytest.mark.filterwarnings("ignore:the 10-NN graph had 2 components")
def test_colour_images_go_all_the_way(digits, tmp_path):
    tinted = (digits[..., None] * np.array([1.0, 0.6, 0.2])).astype(np.uint8)
    grid = {"architecture": "conv", "hidden": [4, 4]}
    options = {"latent_dim": 8, "codes": 4, "tokens": 4, "layout": "grid", "steps": 20}
    codec = Codec.fit(tinted, **options, train_vae=grid, likelihood="logistic")
    assert codec.info["image_size"] == [8, 8, 3]
    tokens = codec.encode(tinted)
    pixels = codec.decode(tokens)
    assert pixels.shape == tinted.shape
    logits = codec.tokenizer.decode(torch.from_numpy(tokens))
    nats = distortion(logits, torch.from_numpy(tinted / 255), codec.tokenizer.likelihood)
    assert codec.info["validation"]["bce"] == pytest.approx(nats, rel=0.1)
    codec.save(tmp_path / "model")
    again = Codec.load(tmp_path / "model")
    assert (again.encode(tinted) == tokens).all()
    assert (again.decode(tokens) == pixels).all()
    decoder = again.tokenizer.code_decoder.likelihood.log_scale
    assert (decoder != again.tokenizer.vae.likelihood.log_scale).all()
    three = np.repeat(digits[..., None], 3, axis=3)
    assert (again.encode(digits) == again.encode(three)).all()  # grey is a colour too
    with pytest.raises(InputError, match=r"\(1, 9, 8\); this model was fitted on \(N, 8, 8, 3\)"):
        again.encode(np.zeros((1, 9, 8)))


def test_convolutions_before_one_vector_and_a_prior_that_sees_it(digits, tmp_path):
    vae, prior = {"architecture": "conv_mlp", "hidden": [4, 8]}, {"cell": "mlp", "hidden_dim": 8}
    codec = Codec.fit(digits, **{**SMALL, "train_vae": vae, "train_ar": prior})
    codec.save(tmp_path / "model")
    again = Codec.load(tmp_path / "model")
    assert (again.encode(digits) == codec.encode(digits)).all()
    assert (again.sample(50, seed=1) == codec.sample(50, seed=1)).all()
    # The prior has the vectors that decode, at whatever scale.
    vectors = torch.cat([*codec.tokenizer.code_decoder.codebooks]).detach()
    seen = again.prior.vectors[:-1]
    torch.testing.assert_close(seen / seen.norm(), vectors / vectors.norm())
    latents = codec.quantizer.decode(codec.encode(digits))
    bare = Codec.fit_latents(latents, codes=4, tokens=2, train_ar={**prior, "max_steps": 5})
    assert bare.sample(9).shape == (9, 2)


def test_parts_can_be_left_out(digits, tmp_path):
    codec = Codec.fit(digits, **SMALL, refine=None, train_ar=None)
    codec.save(tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert files == {"vae.safetensors", "codebook.npz", "info.json", "geovq.json"}
    again = Codec.load(tmp_path / "model")
    tokens = again.encode(digits)
    assert (tokens == codec.encode(digits)).all()
    assert set(again.info["validation"]) == {"vae_loss", "vae_kl", "vae_kl_weight", "bce"}
    with pytest.raises(InputError, match="train_ar = None: this model has no prior"):
        again.sample(1)


def test_ones_own_vae_is_quantised_as_it_is(digits, tmp_path):
    vae = Linear()
    codec = Codec.fit(digits, vae=vae, codes=8, tokens=2, steps=20)
    assert not vae.training
    tokens = codec.encode(digits)
    with torch.no_grad():
        means, log_variances = vae.encode(torch.from_numpy(digits).float() / 255)
        assert (codec.encode_latents(means, log_variances) == tokens).all()
        logits = vae.decode(torch.from_numpy(codec.decode_latents(tokens)).float())
    assert np.allclose(codec.decode(tokens), logits.sigmoid(), atol=1e-6)
    codec.save(tmp_path / "model")
    assert not (tmp_path / "model" / "vae.safetensors").exists()
    again = Codec.load(tmp_path / "model", vae=vae)
    assert (again.encode(digits) == tokens).all()
    alone = Codec.load(tmp_path / "model")
    assert (alone.encode_latents(means, log_variances) == tokens).all()
    with pytest.raises(InputError, match="vae = None; this model's VAE is your own"):
        alone.encode(digits)


def test_a_vae_of_ours_may_be_given_and_is_refined(codec, digits, tmp_path):
    options = {name: SMALL[name] for name in ("codes", "tokens", "steps")}
    second = Codec.fit(digits, vae=codec.tokenizer.vae, **options)
    assert second.tokenizer.code_decoder is not None
    second.save(tmp_path / "model")
    assert (Codec.load(tmp_path / "model").encode(digits) == second.encode(digits)).all()


class Wrong(Linear):
    def __init__(self, **answers):
        super().__init__()
        self.answers = answers

    def encode(self, images):
        return self.answers.get("encode", super().encode(images))

    def decode(self, latents):
        return self.answers.get("decode", super().decode(latents))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"encode": torch.zeros(2, 4)}, "vae.encode gives Tensor; allowed: a tuple of two"),
        ({"encode": (torch.zeros(2, 4), torch.zeros(2, 1))}, r"shapes \(2, 4\), \(2, 1\); allowed"),
        ({"decode": torch.zeros(2, 64)}, r"shape \(2, 64\); allowed: logits \(2, 8, 8\)"),
    ],
)
def test_a_vae_that_does_otherwise_is_told_what_is_expected(digits, answers, message):
    with pytest.raises(InputError, match=message):
        Codec.fit(digits, vae=Wrong(**answers))


def test_latents_alone(latents, tmp_path):
    means, log_variances = latents
    codec = Codec.fit_latents(means, log_variances, codes=8, tokens=2, steps=20)
    tokens = codec.encode_latents(means, log_variances)
    assert tokens.shape == (300, 2)
    found = codec.decode_latents(tokens)
    assert np.square(found - means).sum(1).mean() < np.square(means - means.mean(0)).sum(1).mean()
    assert codec.decode_latents(codec.sample(5)).shape == (5, 6)
    codec.save(tmp_path / "model")
    again = Codec.load(tmp_path / "model")
    assert (again.encode_latents(means, log_variances) == tokens).all()
    with pytest.raises(InputError, match="this model was fitted on latents"):
        again.encode(np.zeros((2, 8, 8)))


def test_latents_without_variances_are_measured_as_they_are(latents):
    means = latents[0]
    codec = Codec.fit_latents(means, codes=8, tokens=2, train_ar=None)
    rows = codec.info["training_rows"]
    semantic = {"smoothing": 3, "edge_power": 2.0, "whiten": False}
    told = GeodesicQuantizer(8, 2, metric="euclidean", **semantic)
    assert codec.quantizer.get_params() == told.get_params()
    assert rows < 300
    assert set(codec.info["validation"]) == {"squared_error"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.encode(np.zeros((2, 9, 8))), r"\(2, 9, 8\); this model was fitted on \(N, 8"),
        (lambda c: c.encode(np.zeros((2, 8, 8), int)), "int64; allowed: uint8, or floats"),
        (lambda c: c.decode([[0, 8]]), r"tokens of position 1 in \[8, 8\]; allowed: \[0, 7\]"),
        (lambda c: c.decode([[0, -1]]), r"in \[-1, -1\]"),
        (lambda c: c.decode([[0, 1, 2]]), r"\(1, 3\), int64; allowed: \(N, 2\) integers"),
        (lambda c: c.decode([[0.0, 1.0]]), "float64; allowed: "),
        (lambda c: c.sample(0), "count = 0; allowed: an integer, 1 to 10,000,000"),
        (lambda c: c.sample(10**20), "count = 100000000000000000000; allowed: an integer, 1 to"),
        (lambda c: c.sample(1, temperature=0.0), "temperature = 0.0; allowed: 0.001 to 100"),
        (lambda c: c.sample(1, temperature=math.inf), "temperature = inf; allowed: 0.001 to 100"),
        (lambda c: c.sample(1, temperature=math.nan), "temperature = nan; allowed: 0.001 to 100"),
        (lambda c: c.sample(1, seed=-1), "seed = -1; allowed: an integer, 0 to 4,294,967,295"),
        (
            lambda c: c.sample(1, seed=10**20),
            "seed = 100000000000000000000; allowed: an integer, 0",
        ),
        (lambda c: c.encode_latents(np.zeros((2, 3)), np.zeros((2, 3))), r"allowed: \(N, 4\)"),
        (lambda c: c.encode_latents(np.zeros((2, 4)), np.zeros((2, 3))), "log_variances of shape"),
        (lambda c: Codec.fit_latents(np.zeros(5)), r"means of shape \(5,\); allowed: \(N, D\)"),
        (lambda c: Codec.fit(np.zeros((9, 8, 8)), codes=1), "codes = 1; allowed: an integer"),
        (lambda c: Codec.fit(np.zeros((9, 8, 8)), vae=Linear(), refine={"candidates": 1}), "refi"),
    ],
)
def test_bad_input_is_named(codec, call, message):
    with pytest.raises(InputError, match=message):
        call(codec)


def test_a_folder_that_is_no_model_is_named(codec, tmp_path):
    with pytest.raises(InputError, match=r"absent: no such folder; allowed: a model"):
        Codec.load(tmp_path / "absent")
    with pytest.raises(InputError, match=r"its mark, geovq\.json, is absent or damaged"):
        Codec.load(tmp_path)
    codec.save(tmp_path)
    (tmp_path / "prior.safetensors").unlink()
    with pytest.raises(
        InputError, match=r"prior\.safetensors: No such file .*; it belongs to this"
    ):
        Codec.load(tmp_path)
    (tmp_path / "letter.txt").touch()
    with pytest.raises(InputError, match=r"a folder that holds letter\.txt"):
        codec.save(tmp_path)


def test_a_flipped_byte_in_any_file_of_a_model_is_noticed(codec, tmp_path, rng):
    codec.save(tmp_path / "model")
    for path in (tmp_path / "model").iterdir():
        content = path.read_bytes()
        for at in {0, 7, 8, len(content) - 1, *rng.integers(0, len(content), 30).tolist()}:
            changed = bytearray(content)
            changed[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(changed)
            with pytest.raises(InputError, match=path.name):
                Codec.load(tmp_path / "model")
        path.write_bytes(content)
    Codec.load(tmp_path / "model")


@pytest.mark.parametrize("file", sorted(FILES - {"info.json", "geovq.json"}))
def test_parts_of_another_model_are_refused_by_name(codec, digits, tmp_path, file):
    other = Codec.fit(digits, **SMALL, seed=1)
    codec.save(tmp_path / "one")
    other.save(tmp_path / "two")
    shutil.copy(tmp_path / "two" / file, tmp_path / "one" / file)
    with pytest.raises(InputError, match=f"{file}: not the file that this model was written with"):
        Codec.load(tmp_path / "one")


def test_parts_that_were_made_for_another_are_refused(codec, digits):
    other = Codec.fit(digits, **SMALL, seed=1)
    mine, its = codec.tokenizer, other.tokenizer
    for vae, quantizer, what in (
        (its.vae, mine.quantizer, "VAE"),
        (mine.vae, its.quantizer, "codebook"),
    ):
        with pytest.raises(InputError, match=f"code_decoder: made from the {what}"):
            PostHocTokenizer(vae, quantizer, mine.code_decoder)
    with pytest.raises(InputError, match="prior: of another model, whose codebook is"):
        Codec(codec.quantizer, mine, other.prior, codec.info)
    assert codec.fingerprint != other.fingerprint
    codec.check_codebook("tokens", codec.fingerprint)
    with pytest.raises(InputError, match="tokens: of another model"):
        codec.check_codebook("tokens", other.fingerprint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codes": 300}, "codes = 300; allowed: 2 to the number of latents, 270"),
        ({"first_codes": 300}, "first_codes = 300; allowed"),
        ({"neighbors": 270}, "neighbors = 270; allowed: 1 to 269"),
        ({"tokens": 3, "layout": "product"}, "tokens = 3.*allowed: its divisors"),
        ({"layout": "grid"}, "layout = 'grid'.*architecture = 'mlp'; allowed: conv"),
    ],
)
def test_what_cannot_be_quantised_is_not_trained(digits, monkeypatch, options, message):
    monkeypatch.setattr("geovq.codec.fitting.train_vae", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(InputError, match=message):
        Codec.fit(digits, **SMALL | options)


class Pictures(Dataset):
    """As torchvision's data sets without a transform: a picture and its label."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return Image.fromarray(self.images[row]), 7


class Stream(IterableDataset):
    def __init__(self, images):
        self.images = images

    def __iter__(self):
        return iter(self.images)


@pytest.mark.parametrize(
    "held",
    [
        lambda images: torch.from_numpy(images)[:, None],
        lambda images: torch.from_numpy(images)[:, None].float() / 255,
        lambda images: torch.from_numpy(images / 255).requires_grad_(),
        lambda images: TensorDataset(torch.from_numpy(images)[:, None], torch.arange(len(images))),
        lambda images: DataLoader(TensorDataset(torch.from_numpy(images)[:, None]), batch_size=7),
        lambda images: DataLoader(list(images), batch_size=7),
        Pictures,
        Stream,
    ],
)
def test_images_may_be_held_as_torch_has_them(codec, digits, held):
    state = torch.get_rng_state()
    assert (codec.encode(held(digits[:20])) == codec.encode(digits[:20])).all()
    assert (torch.get_rng_state() == state).all()


def test_a_codec_is_fitted_to_a_loader(codec, digits):
    loader = DataLoader(TensorDataset(torch.from_numpy(digits)[:, None]), batch_size=64)
    again = Codec.fit(loader, **SMALL)
    assert again.fingerprint == codec.fingerprint
    assert again.info == codec.info


def test_bfloat16_is_read(codec, digits):
    black_and_white = torch.from_numpy(digits[:5] > 99)
    found = codec.encode(black_and_white.to(torch.bfloat16)[:, None])
    assert (found == codec.encode(black_and_white.numpy())).all()


def test_channels_come_first_where_it_is_said(codec, digits):
    first = digits[:5, None]
    with pytest.raises(InputError, match=r"grey, or --channels first .in Python channels='first'"):
        codec.encode(first)
    assert (codec.encode(first, channels="first") == codec.encode(digits[:5])).all()
    colour = np.repeat(first, 3, axis=1)
    with pytest.raises(InputError, match=r"\(5, 8, 8, 3\); this model was fitted on \(N, 8, 8\)"):
        codec.encode(colour, channels="first")
    with pytest.raises(InputError, match=r"fitted on \(N, 8, 8\)"):
        codec.encode(torch.from_numpy(colour))
    for images, channels, message in (
        (first, "second", "channels = 'second'; allowed: 'last', 'first'"),
        (digits[:5], "first", r"\(5, 8, 8\), uint8; allowed with channels first: grey \(N, 1, H"),
        (np.moveaxis(colour, 1, -1), "first", "colour .N, 3, H, W.; these come last"),
    ):
        with pytest.raises(InputError, match=message):
            codec.encode(images, channels=channels)


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (Stream([{"image": 1}]), r"item 0 is a dict of shape \(\), object; allowed: an image"),
        (Stream([np.zeros((8, 8)), np.zeros((8, 9))]), r"item 1 of shape \(8, 9\), but item 0 of"),
        (Stream([]), "images: nothing in the data set"),
        (DataLoader([(1, 2)]), r"batch 0 is a Tensor of shape \(1,\), int64; allowed: an image"),
    ],
)
def test_data_sets_that_will_not_do_are_told(codec, held, message):
    with pytest.raises(InputError, match=message):
        codec.encode(held)


def test_a_data_set_that_does_not_fit_into_memory_is_not_read(codec, digits, monkeypatch):
    monkeypatch.setattr("geovq.codec.images.free_memory", lambda: 900)
    with pytest.raises(InputError, match=r"images: 300 items take .* GB; allowed: at most"):
        codec.encode(Pictures(digits))


def test_a_loader_that_shuffles_is_warned_of_where_order_matters(codec, digits):
    loader = DataLoader(TensorDataset(torch.from_numpy(digits)), shuffle=True, batch_size=100)
    with pytest.warns(UserWarning, match="a DataLoader that shuffles; rows are in its order"):
        assert codec.encode(loader).shape == (300, 2)
