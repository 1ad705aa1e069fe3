"""Likelihoods of pixels: their formulas, and that they are distributions."""

import numpy as np
import pytest
import torch
from scipy.special import expit

from geovq.codec.tokenizer import PostHocTokenizer
from geovq.errors import InputError
from geovq.files.store import load_module, save_module
from geovq.models.code_decoder import CodeDecoder
from geovq.models.likelihood import Bernoulli, DiscretizedLogistic, likelihood_of
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.params.sections import Refine, TrainVAE
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training.refinement import refine
from geovq.training.vae import train_vae

SHAPE = (8, 10, 3)
BUDGET = {"max_steps": 60, "evaluate_every": 20, "batch_size": 16, "learning_rate": 0.01}


@pytest.fixture
def levels(rng):
    """30 colour images of 8-bit levels, with black and white among them."""
    images = rng.integers(0, 256, (30, *SHAPE))
    images[:, 0], images[:, 1] = 0, 255
    return torch.from_numpy(images / 255).float()


def logistic(*scales):
    made = DiscretizedLogistic(len(scales))
    made.log_scale.data = torch.tensor(scales).log()
    return made


def by_hand(logits, images, scales):
    """The formula as it is written, in float64."""
    m, x = expit(logits.double().numpy()), np.rint(255 * images.double().numpy()) / 255
    above = np.where(x == 1, 1, expit((x + 1 / 510 - m) / scales))
    below = np.where(x == 0, 0, expit((x - 1 / 510 - m) / scales))
    return -np.log(above - below).reshape(len(x), -1).sum(1)


@pytest.mark.parametrize("scale", [1e-3, 0.02, 0.3, 5.0])
@pytest.mark.parametrize("logit", [-12.0, -1.0, 0.0, 3.0, 12.0])
def test_the_levels_of_a_pixel_sum_to_one(scale, logit):
    every = torch.arange(256).view(256, 1, 1).float() / 255  # as 256 images of one pixel
    nats = logistic(scale)(torch.full_like(every, logit), every)
    assert (-nats.double()).exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_the_logistic_is_its_formula_channel_by_channel(levels):
    scales = np.array([0.05, 0.1, 0.4])
    logits = torch.randn(levels.shape)
    found = logistic(*scales.tolist())(logits.double(), levels.double())
    np.testing.assert_allclose(found.detach(), by_hand(logits, levels, scales), rtol=1e-5)
    grey = levels[..., 0]
    found = logistic(0.1)(logits[..., 0], grey)
    np.testing.assert_allclose(found.detach(), by_hand(logits[..., 0], grey, 0.1), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-6, 1e-2, 1e6])
def test_far_from_the_image_nats_and_gradients_are_finite_in_float32(levels, scale):
    for sign in (-40.0, 40.0):
        likelihood, logits = logistic(scale, scale, scale), torch.full_like(levels, sign)
        nats = likelihood(logits.requires_grad_(), levels)
        nats.sum().backward()
        assert torch.isfinite(nats).all()
        assert torch.isfinite(logits.grad).all()
        assert torch.isfinite(likelihood.log_scale.grad).all()


def test_gradients_are_those_of_finite_differences(levels):
    likelihood = logistic(0.05, 0.1, 0.4).double()
    logits = torch.randn(2, *SHAPE, dtype=torch.float64, requires_grad=True)

    def nats(logits, log_scale):
        return torch.func.functional_call(
            likelihood, {"log_scale": log_scale}, (logits, levels[:2].double())
        )

    scales = likelihood.log_scale.detach().requires_grad_()
    assert torch.autograd.gradcheck(nats, (logits, scales))


@pytest.mark.parametrize("name", ["bernoulli", "logistic"])
def test_nothing_is_less_than_the_least(levels, name):
    likelihood = likelihood_of(name, SHAPE)
    nats = likelihood(torch.randn(levels.shape), levels)
    assert (nats > likelihood.least(levels)).all()
    exact = levels.double().clamp(1e-9, 1 - 1e-9).logit()
    sure = logistic(1e-5, 1e-5, 1e-5) if name == "logistic" else likelihood
    gap = sure(exact, levels.double()) - sure.least(levels.double())
    assert gap.abs().max() < 1e-3


def test_calibrated_scales_are_the_best_and_others_stay(levels):
    likelihood, logits = logistic(0.1, 0.1, 0.1), torch.randn(levels.shape)
    best = likelihood.calibrated(logits, levels)
    least = best(logits, levels).mean()
    torch.testing.assert_close(likelihood.log_scale.exp(), torch.full((3,), 0.1))
    for channel in range(3):
        for step in (-0.1, 0.1):
            other = logistic(*best.log_scale.exp().tolist())
            other.log_scale.data[channel] += step
            assert other(logits, levels).mean() > least
    bernoulli = Bernoulli()
    assert bernoulli.calibrated(logits, levels) is bernoulli


def test_another_name_is_refused():
    with pytest.raises(InputError, match="likelihood = 'normal'; allowed: bernoulli, logistic"):
        likelihood_of("normal", SHAPE)


# --- as a part of models


def test_the_scale_is_learned_with_the_vae_and_kept_in_its_file(levels, tmp_path):
    params = TrainVAE(latent_dim=3, hidden=[16], likelihood="logistic", kl_weight=1.0, **BUDGET)
    vae, _ = train_vae(levels, levels, params, seed=0)
    before = VAE(SHAPE, 3, [16], likelihood="logistic").likelihood.log_scale
    assert (vae.likelihood.log_scale.cpu() != before).all()
    start = logistic(*before.exp().tolist())
    with torch.no_grad():
        logits = vae.cpu().decode(vae.encode(levels)[0])
        assert vae.likelihood(logits, levels).mean() < start(logits, levels).mean()
    save_module(tmp_path / "vae.safetensors", vae)
    again = load_module(tmp_path / "vae.safetensors", VAE)
    assert torch.equal(again.likelihood.log_scale, vae.likelihood.log_scale)


def test_the_scale_is_part_of_the_vqvaes_loss(levels):
    vqvae = VQVAE(SHAPE, 4, [16], (4, 4), likelihood="logistic")
    bce, _ = vqvae(levels)
    bce.mean().backward()
    assert vqvae.likelihood.log_scale.grad.abs().min() > 0


def test_the_scale_is_tuned_with_the_decoder_and_not_with_the_codes(levels):
    vae = VAE(SHAPE, 4, [16], likelihood="logistic").eval()
    vae.likelihood.log_scale.data = torch.tensor([-1.0, -2.0, -3.0])
    means = vae.encode(levels)[0].detach().numpy()
    quantizer = GeodesicQuantizer(4, 2, metric="euclidean", neighbors=5).fit(means)
    tokens = torch.from_numpy(quantizer.encode(means))
    model = CodeDecoder.of(vae, quantizer, candidates=2)
    assert torch.equal(model.likelihood.log_scale, vae.likelihood.log_scale)
    for part, moves in (("codes", False), ("decoder", True)):
        other = "decoder" if part == "codes" else "codes"
        params = Refine(**{part: BUDGET, other: {"max_steps": 0}})
        found = refine(model, (tokens, tokens), (levels, levels), params, seed=0)
        assert found["decoder"] < found["cell_means"]
        moved = model.likelihood.log_scale.cpu() != vae.likelihood.log_scale
        assert moved.all() if moves else not moved.any()
    tokenizer = PostHocTokenizer(vae, quantizer, model)
    assert tokenizer.likelihood is model.likelihood
    assert PostHocTokenizer(vae, quantizer).likelihood is vae.likelihood


def test_a_vae_that_names_no_likelihood_of_ours_is_bernoulli():
    class Own:
        likelihood = "normal"

    assert isinstance(PostHocTokenizer(Own(), GeodesicQuantizer(4)).likelihood, Bernoulli)
