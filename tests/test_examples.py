"""A few images of every model, side by side."""

import pytest
import torch

from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.report.examples import SHOWN, pixels, reconstructions, samples, spread
from geovq.report.table import NAMES


@pytest.fixture
def models():
    vae, vqvae = VAE((8, 12), 6, [16]).eval(), VQVAE((8, 12), 6, [16], (4, 4)).eval()
    return vae.requires_grad_(False), vqvae.requires_grad_(False)


def test_rows_are_spread_from_the_first_image_to_the_last():
    rows = spread(100)
    assert rows.tolist() == [9 * i for i in range(SHOWN)]
    assert spread(SHOWN).tolist() == list(range(SHOWN))


def test_pixels_are_what_is_expected_of_them(models):
    logits = torch.randn(5, 8, 12)
    assert (pixels(lambda batch: batch, logits) == logits.sigmoid().numpy()).all()


def test_reconstructions_are_of_posterior_means_and_of_tokens(models, images):
    vae, vqvae = models
    tokens = {"vqvae": vqvae.encode(images)}
    rows = reconstructions(vae, {"vqvae": vqvae}, tokens, images)
    originals, means, codes = rows.values()
    assert (originals == images.numpy()).all()
    expected = vae.decode(vae.encode(images)[0]).sigmoid()
    torch.testing.assert_close(torch.from_numpy(means), expected)
    expected = vqvae.decode(tokens["vqvae"]).sigmoid()
    torch.testing.assert_close(torch.from_numpy(codes), expected)
    assert list(rows)[2] == NAMES["vqvae"]


def test_samples_are_drawn_one_after_another_at_their_temperature(models):
    vae, vqvae = models
    prior = Prior((4, 4), embed_dim=5, hidden_dim=7)
    rows = samples(vae, {"vqvae": vqvae}, {"vqvae": prior}, [1.0, 0.01], seed=3)
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(SHOWN, 6, generator=generator)
    expected = [vae.decode(latents)]
    for temperature in (1.0, 0.01):
        tokens = prior.sample(SHOWN, temperature=temperature, generator=generator)
        expected.append(vqvae.decode(tokens))
    for found, logits in zip(rows.values(), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(found), logits.sigmoid())
