import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from geovq.errors import InputError
from geovq.models import VAE, VQVAE, Classifier, CodeDecoder, Prior
from geovq.models.likelihood import Bernoulli as BernoulliPixels
from geovq.models.networks import decoder, encoder
from geovq.models.vae import gaussian_kl
from geovq.params import TrainVAE
from geovq.recipes import train_vae


def vqvae(**options):
    given = {"vocabulary": (5, 4, 4), "layout": "residual"} | options
    return VQVAE((8, 12), latent_dim=6, hidden=[16], **given)


# --- VAE


@pytest.mark.parametrize(
    ("architecture", "hidden", "latent_dim"), [("mlp", [16, 8], 3), ("conv", [4, 8], 12)]
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
    "encode", [VAE((8, 12), 3, [4]).encode, vqvae().encode, Classifier((8, 12), 3).features]
)
def test_images_of_another_size_are_refused(encode):
    with pytest.raises(InputError, match=r"\(5, 12, 8\); this model was trained on \(N, 8, 12\)"):
        encode(torch.zeros(5, 12, 8))
    with pytest.raises(InputError, match=r"\(5, 8, 12, 3\); .* on \(N, 8, 12\)"):
        encode(torch.zeros(5, 8, 12, 3))


# --- networks


@pytest.mark.parametrize("image_shape", [(28, 28), (32, 32), (9, 15), (9, 15, 3)])
def test_convolutions_mirror_every_size(image_shape):
    height, width = (math.ceil(side / 4) for side in image_shape[:2])
    latents = encoder("conv", image_shape, [3, 5], 2 * height * width, parts=1)(
        torch.rand(2, *image_shape)
    )
    assert latents.shape == (2, 2 * height * width)
    logits = decoder("conv", image_shape, [3, 5], 2 * height * width)(latents)
    assert logits.shape == (2, *image_shape)


@pytest.mark.parametrize("architecture", ["mlp", "conv"])
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


def test_a_light_kl_term_keeps_more_of_the_image(images):
    budget = {"max_steps": 60, "evaluate_every": 20, "batch_size": 16, "learning_rate": 0.01}
    terms = {}
    for weight in (0.0, 1.0):
        params = TrainVAE(latent_dim=3, hidden=[16], kl_weight=weight, **budget)
        vae, loss = train_vae(images, images, params, seed=0)
        with torch.no_grad():
            terms[weight] = [x.mean().item() for x in vae(images, torch.Generator().manual_seed(0))]
        if not weight:
            assert loss == pytest.approx(terms[weight][0], rel=0.05)  # another posterior sample
    assert terms[0.0][0] < terms[1.0][0]
    assert terms[0.0][1] > terms[1.0][1]


# --- VQ-VAE


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_vqvae_shapes_and_gradients(images, layout, update):
    model = vqvae(vocabulary=(5, 5, 5), layout=layout, codebook_update=update)
    before = [codebook.detach().clone() for codebook in model.codebooks]
    bce, penalty = model(images)
    assert bce.shape == penalty.shape == (40,)
    (bce + penalty).mean().backward()
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    assert all(p.grad.abs().sum() > 0 for p in networks)
    for old, codebook in zip(before, model.codebooks, strict=True):
        if update == "gradient":
            assert codebook.grad.abs().sum() > 0
        else:
            assert codebook.grad is None
            assert not torch.equal(old, codebook)


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
def test_vqvae_round_trip(pictures, layout):
    model = VQVAE(pictures.shape[1:], 6, [16], (5, 5, 5), layout).eval()
    tokens = model.encode(pictures)
    assert tokens.shape == (40, 3)
    assert tokens.dtype == torch.int64
    assert model.prototypes().shape == (5, *pictures.shape[1:])
    quantized = model.quantize(model.encoder(pictures))[1]
    torch.testing.assert_close(model.decode(tokens), model.decoder(quantized))


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
@pytest.mark.parametrize("kind", ["vqvae", "posthoc"])
def test_the_first_tokens_decode_alone(layout, kind):
    """What is left out adds nothing; in a grid it is the mean code."""
    grid = layout == "grid"
    model = vqvae(vocabulary=(5, 5, 5), layout=layout).eval()
    if kind == "posthoc":
        model = CodeDecoder((8, 12), 6, [16], (5, 5, 5), grid=grid).eval()
        for codebook in model.codebooks:
            torch.nn.init.normal_(codebook)
    tokens = torch.randint(5, (40, 3))
    wide = [c.detach() for c in model.codebooks]  # what each code adds to the whole latent, (5, 6)
    if grid:
        wide = [F.pad(wide[0], (2 * t, 4 - 2 * t)) for t in range(3)]
    elif kind == "vqvae" and layout == "product":
        wide = [F.pad(c, (2 * t, 4 - 2 * t)) for t, c in enumerate(wide)]
    for count in (1, 2, 3):
        parts = [wide[t][tokens[:, t]] for t in range(count)]
        parts += [wide[t].mean(0).expand(40, 6) for t in range(count, 3) if grid]
        expected = model.decoder(torch.stack(parts).sum(0))
        torch.testing.assert_close(model.decode(tokens[:, :count]), expected)
    if not grid:
        torch.testing.assert_close(model.decode(torch.arange(5)[:, None]), model.prototypes())
    for wrong in (tokens[:, :0], tokens[:, [0, 0, 0, 0]]):
        with pytest.raises(InputError, match=r"tokens of shape .*; allowed: \(N, 1\) to \(N, 3\)"):
            model.decode(wrong)


def test_vqvae_losses_are_sums_over_dimensions(images):
    model = vqvae(vocabulary=(5,), commitment=0.25).eval()
    latents = model.encoder(images)
    _, _, codebook_loss, commitment_loss = model.quantize(latents)
    distance = torch.cdist(latents, model.codebooks[0]).min(1).values.square()
    torch.testing.assert_close(codebook_loss, distance)
    torch.testing.assert_close(commitment_loss, distance)
    torch.testing.assert_close(model(images)[1], 1.25 * distance)


def test_the_decoder_gradient_passes_straight_through(images):
    """What reaches the encoder is the gradient at the quantised latents."""
    model = vqvae(commitment=0.0, codebook_update="ema").eval()
    caught = []

    def catch(module, inputs, output):
        output.register_hook(caught.append)

    model.encoder.register_forward_hook(catch)
    model(images)[0].sum().backward()
    quantized = model.quantize(model.encoder(images))[1].detach().requires_grad_()
    model.likelihood(model.decoder(quantized), images).sum().backward()
    torch.testing.assert_close(caught[0], quantized.grad)


def test_cells_of_a_grid_share_the_codebook_and_its_losses(images):
    model = VQVAE((8, 12), 12, [4, 4], (5,) * 6, "grid", architecture="conv").eval()
    latents = model.encoder(images)
    tokens, _, codebook_loss, _ = model.quantize(latents)
    distances = torch.cdist(latents.view(40, 6, 2), model.codebooks[0])
    assert (tokens == distances.argmin(2)).all()
    torch.testing.assert_close(codebook_loss, distances.min(2).values.square().sum(1))
    model.place_codes(images)
    assert len(model.encode(images).unique()) == 5


def test_moving_averages_reach_the_cell_means(images):
    model = vqvae(vocabulary=(3,), codebook_update="ema", decay=0.5)
    model.place_codes(images)
    with torch.no_grad():
        for _ in range(60):
            model(images)
        latents = model.encoder(images)
        tokens = model.quantize(latents)[0][:, 0]
        means = torch.stack([latents[tokens == c].mean(0) for c in range(3)])
    torch.testing.assert_close(model.codebooks[0].detach(), means, rtol=1e-3, atol=1e-4)


def test_codes_are_placed_at_kmeans_centres_and_all_used(images):
    model = vqvae(vocabulary=(5, 4, 4)).eval()
    model.place_codes(images)
    assert [len(t.unique()) for t in model.encode(images).T] == [5, 4, 4]


def test_more_codes_than_images_can_be_placed(images):
    model = vqvae(vocabulary=(30,)).eval()
    model.place_codes(images[:10])
    assert torch.isfinite(model.codebooks[0]).all()
    assert len(model.codebooks[0].unique(dim=0)) == 30
    assert len(model.encode(images[:10]).unique()) == 10


def test_warm_up_does_not_quantise(images):
    model = vqvae()
    model.quantizing = False
    bce, penalty = model(images)
    assert penalty.eq(0).all()
    torch.testing.assert_close(bce, model.likelihood(model.decoder(model.encoder(images)), images))


def test_prototypes_are_the_first_codes_alone(images):
    model = vqvae(vocabulary=(5, 5, 5), layout="product")
    with torch.no_grad():
        for codebook in model.codebooks[1:]:
            codebook.zero_()
    tokens = torch.stack([torch.arange(5), torch.zeros(5).long(), torch.zeros(5).long()], 1)
    torch.testing.assert_close(model.prototypes(), model.decode(tokens))


# --- the prior

TINY = [(3,), (2, 3), (3, 2, 4)]


def every_sequence(vocabulary):
    return torch.tensor(list(itertools.product(*map(range, vocabulary))))


@pytest.mark.parametrize("vocabulary", TINY)
@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer"])
def test_likelihood_sums_to_one_over_all_sequences(vocabulary, cell):
    prior = Prior(vocabulary, cell, embed_dim=8, hidden_dim=7, layers=2).double()
    log_probabilities = prior(every_sequence(vocabulary))
    assert log_probabilities.shape == (math.prod(vocabulary), len(vocabulary))
    assert log_probabilities.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("cell", ["gru", "transformer"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampling_frequencies_match_probabilities(temperature, cell):
    vocabulary, count = (2, 3), 20_000
    prior = Prior(vocabulary, cell, embed_dim=8, hidden_dim=7)
    for p in prior.head.parameters():
        torch.nn.init.normal_(p)  # far from uniform
    sequences = every_sequence(vocabulary)
    if temperature == 1.0:
        expected = prior(sequences).sum(1).exp().detach().numpy()
    else:  # every conditional sharpened and normalised by itself
        logs = prior(sequences).detach().unflatten(0, vocabulary) / temperature
        first = logs[:, 0, 0].softmax(0)
        second = logs[:, :, 1].softmax(1)
        expected = (first[:, None] * second).flatten().numpy()
    drawn = prior.sample(count, temperature=temperature, generator=torch.Generator().manual_seed(0))
    index = drawn[:, 0] * 3 + drawn[:, 1]
    frequency = np.bincount(index.numpy(), minlength=6) / count
    assert np.abs(frequency - expected).max() < 4 * np.sqrt(expected.max() / count)


@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer"])
def test_the_prior_cannot_see_ahead(cell):
    prior = Prior((4, 4, 4), cell, embed_dim=8, hidden_dim=7).eval()
    tokens = torch.tensor([[1, 2, 3], [1, 2, 0], [1, 0, 3]])
    log_probabilities = prior(tokens)
    torch.testing.assert_close(log_probabilities[1:, 0], log_probabilities[:2, 0])
    torch.testing.assert_close(log_probabilities[0, 1], log_probabilities[1, 1])
    assert not torch.isclose(log_probabilities[0, 2], log_probabilities[2, 2])


def test_the_prior_gradients_reach_everything():
    prior = Prior((4, 4), embed_dim=5, hidden_dim=7, context=2)
    prior(every_sequence((4, 4))).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in prior.parameters())


def test_a_transformer_is_cut_into_four_heads():
    with pytest.raises(InputError, match="embed_dim = 6; allowed with cell transformer"):
        Prior((4, 4), "transformer", embed_dim=6)


def test_context_holds_a_whole_image():
    with pytest.raises(InputError, match="context = 2; allowed: at least 3"):
        Prior((4, 4, 4), context=2)


# --- the classifier


def test_classifier_shapes_and_gradients(images):
    classifier = Classifier((8, 12), 3)
    assert classifier.features(images).shape == (40, 64)
    logits = classifier(images)
    assert logits.shape == (40, 3)
    logits.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in classifier.parameters())
