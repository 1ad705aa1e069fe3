"""What `geovq.codec.tokenizer.Tokenizer` promises, of every tokeniser in every layout."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

from geovq.codec.tokenizer import PostHocTokenizer, code_vectors
from geovq.errors import InputError
from geovq.files.store import load_module, save_module
from geovq.models.code_decoder import CodeDecoder
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.quantization.layout import layout_of
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.weights import initial_weights

IMAGES = torch.from_numpy(np.random.default_rng(0).random((40, 8, 12), dtype=np.float32))
MLP = {"latent_dim": 6, "hidden": [16], "architecture": "mlp"}
CONV = {"latent_dim": 12, "hidden": [4, 4], "architecture": "conv"}  # leaves 2 × 3 cells
# Layout, network and codes at each position.
PLACES = {
    "residual": ("residual", MLP, (4, 5, 5)),
    "product": ("product", MLP, (5, 5, 5)),
    "grid": ("grid", MLP, (5, 5, 5)),
    "grid of cells": ("grid", CONV, (5,) * 6),
}
KINDS = ["post-hoc", "refined", "refined, searched", "gradient", "ema"]

pytestmark = pytest.mark.filterwarnings("ignore:the 4-NN graph had")


@cache
def make(kind, place, seed=0):
    """A tokeniser of 40 images, with weights, codes and all from a seed; not to be changed."""
    layout, network, vocabulary = PLACES[place]
    with initial_weights(seed), torch.no_grad():
        if kind in ("gradient", "ema"):
            model = VQVAE(
                IMAGES.shape[1:],
                vocabulary=vocabulary,
                layout=layout,
                codebook_update=kind,
                **network,
            )
            model.place_codes(IMAGES, seed)
            model(IMAGES)  # in training: moving averages move
            return model.eval()
        vae = VAE(IMAGES.shape[1:], **network).eval()
        means, log_variances = (x.numpy() for x in vae.encode(IMAGES))
        first, *others = vocabulary
        quantizer = GeodesicQuantizer(
            others[0],
            len(vocabulary),
            first_codes=first if layout == "residual" else None,
            layout=layout,
            neighbors=4,
            random_state=seed,
        ).fit(means, log_variances)
        if kind == "post-hoc":
            return PostHocTokenizer(vae, quantizer)
        refined = CodeDecoder.of(vae, quantizer, candidates=3 if "searched" in kind else 0).eval()
        for part in (refined.codebooks, refined.decoder):  # as if they had been trained
            for weights in part.parameters():
                weights += 0.1 * torch.randn(weights.shape)
        return PostHocTokenizer(vae, quantizer, refined)


def decoded(tokenizer, latents):
    """Logits of latents (N, D)."""
    if isinstance(tokenizer, VQVAE):
        return tokenizer.decoder(latents)
    refined = tokenizer.code_decoder
    return tokenizer.vae.decode(latents) if refined is None else refined.decoder(latents)


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(params=PLACES)
def place(request):
    return request.param


@pytest.fixture
def layout(place):
    return PLACES[place][0]


@pytest.fixture
def tokenizer(kind, place):
    return make(kind, place)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


def test_images_to_tokens_to_logits(tokenizer, place):
    vocabulary = PLACES[place][2]
    assert tuple(tokenizer.vocabulary) == vocabulary
    tokens = tokenizer.encode(IMAGES)
    assert tokens.shape == (40, len(vocabulary))
    assert tokens.dtype == torch.int64
    assert (tokens >= 0).all()
    assert (tokens < torch.tensor(vocabulary)).all()
    assert len(tokens.unique(dim=0)) > 1
    logits = tokenizer.decode(tokens)
    assert logits.shape == IMAGES.shape
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()
    assert tokenizer.likelihood(logits, IMAGES).shape == (40,)
    assert torch.equal(tokenizer.encode(IMAGES[:7]), tokens[:7])


def test_it_says_its_layout(tokenizer, place, layout):
    _, network, vocabulary = PLACES[place]
    assert tokenizer.layout == layout_of(layout, len(vocabulary), network["latent_dim"])


def test_latents_are_the_sum_of_what_the_tokens_add(tokenizer, layout):
    """Of what is left out nothing is added, and on a grid the mean code."""
    tokens, count = tokenizer.encode(IMAGES), len(tokenizer.vocabulary)
    vectors = [tokenizer.vectors(t) for t in range(count)]
    for given in range(1, count + 1):
        parts = [vectors[t][tokens[:, t]] for t in range(given)]
        if layout == "grid":
            parts += [vectors[t].mean(0).expand_as(parts[0]) for t in range(given, count)]
        logits = tokenizer.decode(tokens[:, :given])
        assert logits.shape == IMAGES.shape
        torch.testing.assert_close(logits, decoded(tokenizer, torch.stack(parts).sum(0)))


def test_no_tokens_and_too_many_are_refused(tokenizer):
    tokens, count = tokenizer.encode(IMAGES), len(tokenizer.vocabulary)
    for wrong in (tokens[:, :0], torch.cat([tokens, tokens[:, :1]], 1)):
        with pytest.raises(InputError, match=rf"tokens of shape .* \(N, 1\) to \(N, {count}\)"):
            tokenizer.decode(wrong)


def test_vectors_fill_the_dimensions_of_their_position(tokenizer, kind, place, layout):
    _, network, vocabulary = PLACES[place]
    dimensions = network["latent_dim"]
    vectors = [tokenizer.vectors(t) for t in range(len(vocabulary))]
    assert [v.shape for v in vectors] == [(codes, dimensions) for codes in vocabulary]
    torch.testing.assert_close(code_vectors(tokenizer), torch.cat(vectors))
    filled = torch.stack([v.ne(0).any(0) for v in vectors])
    if layout == "residual" or (layout == "product" and "refined" in kind):
        assert filled.all()  # trained codes of a product are bound to no dimensions
    else:
        assert (filled.sum(0) == 1).all()
        assert (filled.sum(1) == dimensions // len(vocabulary)).all()
    if layout == "grid":
        width = dimensions // len(vocabulary)
        for t, (one, other) in enumerate(pairwise(vectors)):
            assert one[:, t * width : (t + 1) * width].ne(0).any()
            assert torch.equal(one.roll(width, 1), other)  # one codebook


def test_prototypes_are_the_codes_alone(tokenizer, layout):
    """With all other positions left out; on a grid, each in every cell."""
    vectors = [tokenizer.vectors(t) for t in range(len(tokenizer.vocabulary))]
    for t, alone in enumerate(vectors):
        found = tokenizer.prototypes(t)
        assert found.shape == (len(alone), *IMAGES.shape[1:])
        latents = torch.stack(vectors).sum(0) if layout == "grid" else alone
        torch.testing.assert_close(found, decoded(tokenizer, latents))
    assert torch.equal(tokenizer.prototypes(), tokenizer.prototypes(0))
    if layout != "grid":
        first = torch.arange(tokenizer.vocabulary[0])[:, None]
        torch.testing.assert_close(tokenizer.prototypes(), tokenizer.decode(first))


def test_a_file_gives_the_same_tokens_and_logits(tokenizer, tmp_path):
    if isinstance(tokenizer, VQVAE):
        save_module(tmp_path / "vqvae.safetensors", tokenizer)
        again = load_module(tmp_path / "vqvae.safetensors", VQVAE)
    else:
        save_module(tmp_path / "vae.safetensors", tokenizer.vae)
        tokenizer.quantizer.save(tmp_path / "codebook.npz")
        refined = tokenizer.code_decoder
        if refined is not None:
            save_module(tmp_path / "decoder.safetensors", refined)
            refined = load_module(tmp_path / "decoder.safetensors", CodeDecoder)
        again = PostHocTokenizer(
            load_module(tmp_path / "vae.safetensors", VAE),
            GeodesicQuantizer.load(tmp_path / "codebook.npz"),
            refined,
        )
    assert again.vocabulary == tokenizer.vocabulary
    tokens = tokenizer.encode(IMAGES)
    assert torch.equal(again.encode(IMAGES), tokens)
    for given in range(1, tokens.shape[1] + 1):
        some = tokens[:, :given]
        assert torch.equal(again.decode(some), tokenizer.decode(some))
    assert torch.equal(code_vectors(again), code_vectors(tokenizer))
    for t in range(tokens.shape[1]):
        assert torch.equal(again.prototypes(t), tokenizer.prototypes(t))


def test_one_seed_one_result(tokenizer, kind, place):
    again = make.__wrapped__(kind, place)
    assert torch.equal(again.encode(IMAGES), tokenizer.encode(IMAGES))
    assert torch.equal(again.decode(again.encode(IMAGES)), tokenizer.decode(again.encode(IMAGES)))
    other = make(kind, place, seed=1)
    assert not torch.equal(code_vectors(other), code_vectors(tokenizer))
    assert not torch.equal(
        other.decode(other.encode(IMAGES)), tokenizer.decode(tokenizer.encode(IMAGES))
    )
