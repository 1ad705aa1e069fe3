import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from geovq.errors import InputError
from geovq.models.classifier import Classifier
from geovq.models.code_decoder import CodeDecoder
from geovq.models.likelihood import Bernoulli as BernoulliPixels
from geovq.models.networks import decoder, encoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE, gaussian_kl
from geovq.models.vqvae import VQVAE
from geovq.params.sections import TrainVAE
from geovq.training.vae import train_vae

# --- VAE


@pytest.mark.parametrize(
    ("architecture", "hidden", "latent_dim"),
    [("mlp", [16, 8], 3), ("conv", [4, 8], 12), ("conv_mlp", [4, 8, 16], 3)],
)
def test_vae_shapes_and_gradients(pictures, architecture, hidden, latent_dim):
    vae = VAE(pictures.shape[1:], latent_dim, hidden, architecture)
    mean, log_variance = vae.encode(pictures)
    assert mean.shape == log_variance.shape == (40, latent_dim)
    assert vae.decode(mean).shape == pictures.shape
    bce, kl = vae(pictures)
    assert bce.shape == kl.shape == (40,)
    (bce + kl).mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())


def test_likelihood_and_kl_match_torch_distributions(images):
    logits = 3 * torch.randn(images.shape)
    expected = -Independent(Bernoulli(logits=logits, validate_args=False), 2).log_prob(images)
    torch.testing.assert_close(BernoulliPixels()(logits, images), expected)
    mean, log_variance = torch.randn(2, 40, 3)
    posterior = Normal(mean, (0.5 * log_variance).exp())
    expected = kl_divergence(posterior, Normal(torch.zeros(3), torch.ones(3)))
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)


def test_elbo_matches_a_monte_carlo_estimate(images):
    """−ELBO = E_q[log q(z|x) − log p(z) − log p(x|z)], every term from torch.distributions."""
    vae, draws = VAE((8, 12), latent_dim=3, hidden=[16]).requires_grad_(False), 4000
    torch.nn.init.normal_(vae.encoder[-1].bias)  # posteriors that are not the prior
    mean, log_variance = vae.encode(images[:4])
    posterior = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    z = posterior.sample((draws,))
    logits = vae.decode(z.flatten(0, 1)).unflatten(0, (draws, 4))
    likelihood = Independent(Bernoulli(logits=logits, validate_args=False), 2)
    terms = posterior.log_prob(z) - prior.log_prob(z) - likelihood.log_prob(images[:4])
    bce, kl = (t.unflatten(0, (draws, 4)) for t in vae(images[:4].repeat(draws, 1, 1)))
    error = (terms.std(0) + (bce + kl).std(0)) / math.sqrt(draws)
    assert ((terms.mean(0) - (bce + kl).mean(0)).abs() < 4 * error).all()


def test_noise_comes_from_the_generator(images):
    vae = VAE((8, 12), 3, [16])
    first, again, other = (
        vae(images, torch.Generator().manual_seed(seed))[0] for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "encode",
    [
        VAE((8, 12), 3, [4]).encode,
        VQVAE((8, 12), 6, [16], (5, 4, 4)).encode,
        Classifier((8, 12), 3).features,
    ],
)
def test_images_of_another_size_are_refused(encode):
    with pytest.raises(InputError, match=r"\(5, 12, 8\); this model was trained on \(N, 8, 12\)"):
        encode(torch.zeros(5, 12, 8))
    with pytest.raises(InputError, match=r"\(5, 8, 12, 3\); .* on \(N, 8, 12\)"):
        encode(torch.zeros(5, 8, 12, 3))


def test_a_light_kl_term_keeps_more_of_the_image(images):
    budget = {"max_steps": 60, "evaluate_every": 20, "batch_size": 16, "learning_rate": 0.01}
    terms = {}
    for weight in (0.0, 1.0):
        params = TrainVAE(latent_dim=3, hidden=[16], kl_weight=weight, **budget)
        vae, reached = train_vae(images, images, params, seed=0)
        with torch.no_grad():
            terms[weight] = [x.mean().item() for x in vae(images, torch.Generator().manual_seed(0))]
        if not weight:
            assert reached.bce == pytest.approx(terms[weight][0], rel=1e-5)
    assert terms[0.0][0] < terms[1.0][0]
    assert terms[0.0][1] > terms[1.0][1]


# --- networks


@pytest.mark.parametrize("image_shape", [(28, 28), (32, 32), (9, 15), (9, 15, 3)])
@pytest.mark.parametrize(("architecture", "hidden"), [("conv", [3, 5]), ("conv_mlp", [3, 5, 7])])
def test_convolutions_mirror_every_size(image_shape, architecture, hidden):
    height, width = (math.ceil(side / 4) for side in image_shape[:2])
    network = architecture, image_shape, hidden, 2 * height * width
    latents = encoder(*network, parts=1)(torch.rand(2, *image_shape))
    assert latents.shape == (2, 2 * height * width)
    assert decoder(*network)(latents).shape == (2, *image_shape)


@pytest.mark.parametrize(("architecture", "hidden"), [("mlp", [16, 8]), ("conv_mlp", [3, 5, 7])])
def test_the_decoder_is_the_encoder_mirrored(architecture, hidden):
    sizes = [
        [tuple(p.shape[:2]) for p in network.parameters() if p.ndim > 1]
        for network in (
            encoder(architecture, (8, 12), hidden, 4, parts=1),
            decoder(architecture, (8, 12), hidden, 4),
        )
    ]
    # A transposed convolution has its input first, as a convolution has its output.
    turned = [
        s if architecture == "conv_mlp" and i < 2 else s[::-1] for i, s in enumerate(sizes[0])
    ]
    assert sizes[1] == turned[::-1]


@pytest.mark.parametrize("architecture", ["mlp", "conv", "conv_mlp"])
def test_channels_are_not_mixed_up_on_the_way_out(architecture):
    """A last layer that makes red alone brighter, wherever the network puts its channels."""
    draw = decoder(architecture, (8, 12, 3), [4, 4], 12)
    last = [layer for layer in draw if hasattr(layer, "bias")][-1]
    torch.nn.init.zeros_(last.weight)
    with torch.no_grad():
        last.bias.view(-1, 3)[:, 0] = 7
        logits = draw(torch.randn(2, 12))
    assert (logits[..., 0] - logits[..., 1]).min() > 6


def test_a_convolution_sees_each_channel_where_it_is(rng):
    encode = encoder("conv", (8, 12, 3), [2], 24, parts=1)
    images = torch.from_numpy(rng.random((2, 8, 12, 3), dtype=np.float32))
    first = encode[1]
    expected = sum(
        F.conv2d(images[:, None, :, :, c], first.weight[:, c : c + 1], None, 2, 1) for c in range(3)
    )
    torch.testing.assert_close(encode[:2](images), expected + first.bias[:, None, None])


def test_latents_of_a_convolutional_network_are_cell_by_cell():
    """What a cell holds is drawn near its place; and its means come before its log-variances."""
    draw = decoder("conv", (32, 32), [2, 2, 2], 16 * 3)
    latents = torch.zeros(16, 16, 3)
    latents[torch.arange(16), torch.arange(16)] = 1
    changed = (draw(latents.flatten(1)) - draw(torch.zeros(1, 48))).abs()
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    for cell, change in enumerate(changed):
        mass = change / change.sum()
        place = (mass * rows).sum() / 8, (mass * columns).sum() / 8
        assert abs(place[0] - (cell // 4 + 0.5)) < 1.5
        assert abs(place[1] - (cell % 4 + 0.5)) < 1.5
    encode = encoder("conv", (32, 32), [2, 2, 2], 16 * 3, parts=2)
    grid = encode[:-1](torch.rand(5, 32, 32))  # (5, 2 · 3, 4, 4)
    mean, log_variance = encode[-1](grid).chunk(2, 1)
    assert (mean.view(5, 16, 3)[:, 7] == grid[:, :3, 1, 3]).all()
    assert (log_variance.view(5, 16, 3)[:, 7] == grid[:, 3:, 1, 3]).all()


def test_latents_must_fill_the_cells():
    with pytest.raises(InputError, match=r"latent_dim = 20; .* conv: multiples of its 4 × 4 = 16"):
        VAE((28, 28), 20, [4, 4, 4], "conv")


def test_a_hidden_layer_needs_a_convolution_before_it():
    with pytest.raises(InputError, match=r"hidden = \[64\]; .* conv_mlp: channels of at least one"):
        VAE((28, 28), 20, [64], "conv_mlp")
    assert VAE((28, 28), 20, [2, 64], "conv_mlp").decode(torch.zeros(3, 20)).shape == (3, 28, 28)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: VAE((8, 8), 2, [10**9, 10**9]),
            "weights between two layers of 64 × 1,000,000,000;",
        ),
        (
            lambda: VAE((10**6, 10**6), 2, [8]),
            "weights between two layers of 1,000,000,000,000 × 8;",
        ),
        (lambda: VAE((8, 8), -2, [8]), "weights between two layers of 8 × -4;"),
        (
            lambda: VAE((8, 8), 4, [8, 10**9], "conv"),
            "weights of a convolution of 8 × 1,000,000,000",
        ),
        (lambda: VQVAE((8, 8), 20, [8], [10**9, 4]), "code vectors of 1,000,000,004 × 20;"),
        (lambda: CodeDecoder((8, 8), 20, [8], [10**9]), "code vectors of 1,000,000,000 × 20;"),
        (
            lambda: CodeDecoder((8, 8), 20, [8], [8], sweeps=10**9),
            "code lengths of 1,000,000,000 × 1",
        ),
        (lambda: Prior([10**9]), "weights of the prior's symbols of 1,000,000,001 × 128;"),
        (
            lambda: Prior([8], layers=10**9),
            "weights of the prior's layers of 4 × 1,000,000,000 × 192",
        ),
        (
            lambda: Prior([8], context=10**9),
            "weights of the prior's positions of 1,000,000,000 × 64;",
        ),
        (lambda: Classifier((10**6, 10**6), 2), "weights of the classifier of "),
    ],
)
def test_impossible_sizes_are_refused_before_they_are_allocated(make, message):
    with pytest.raises(InputError) as error:
        make()
    assert str(error.value).startswith(message)
    assert str(error.value).endswith("; allowed: at most 1,073,741,824 numbers")


# --- the classifier


def test_classifier_shapes_and_gradients(images):
    classifier = Classifier((8, 12), 3)
    assert classifier.features(images).shape == (40, 64)
    logits = classifier(images)
    assert logits.shape == (40, 3)
    logits.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in classifier.parameters())
