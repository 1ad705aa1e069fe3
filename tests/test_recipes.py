"""What is trained on the training split is judged by the validation split."""

import pytest
import torch
import torch.nn.functional as F

from geovq.models.vqvae import VQVAE
from geovq.params.sections import TrainAR, TrainClassifier, TrainVAE, TrainVQVAE
from geovq.training.classifier import train_classifier
from geovq.training.prior import train_prior
from geovq.training.vae import train_vae
from geovq.training.vqvae import train_vqvae

BUDGET = {"max_steps": 8, "evaluate_every": 2, "batch_size": 16, "patience": 100}


@pytest.fixture
def splits(images):
    """30 images of noise, and 10 that are white."""
    return images[:30], torch.ones(10, 8, 12)


def test_the_loss_of_a_vae_is_that_of_the_validation_images(splits):
    params = TrainVAE(latent_dim=3, hidden=[16], kl_weight=0.5, **BUDGET)
    losses = []
    log = lambda step, curve: losses.append(curve["validation"])  # noqa: E731
    vae, reached = train_vae(*splits, params, 1, log)
    bce, kl = vae.cpu()(splits[1], torch.Generator().manual_seed(1))
    assert reached == pytest.approx((bce.mean().item(), kl.mean().item(), 0.5), rel=1e-5)
    assert min(losses) == pytest.approx((bce + 0.5 * kl).mean().item(), rel=1e-5)
    assert reached.negative_elbo == pytest.approx((bce + kl).mean().item(), rel=1e-5)


def test_a_vqvae_is_quantised_after_its_warm_up_and_judged_by_bce(splits, monkeypatch):
    params = TrainVQVAE(codes=4, tokens=2, commitment=0.25, codebook_update="gradient",
                        warmup_steps=3, **BUDGET)  # fmt: skip
    real, placed, quantising, steps = (VQVAE.forward, VQVAE.place_codes), [], [], []

    def forward(self, images, *, quantized=True):
        if self.training:
            quantising.append(quantized)
        return real[0](self, images, quantized=quantized)

    def place_codes(self, images, seed, batch_size):
        placed.append((images, seed, batch_size))
        real[1](self, images, seed, batch_size)

    monkeypatch.setattr(VQVAE, "forward", forward)
    monkeypatch.setattr(VQVAE, "place_codes", place_codes)
    network = TrainVAE(latent_dim=3, hidden=[16], **BUDGET)
    log = lambda step, curve: steps.append(step)  # noqa: E731
    vqvae, bce = train_vqvae(*splits, params, network, seed=1, log=log)
    assert quantising == [False] * 3 + [True] * 5
    assert steps == [2, 4, 5]
    ((images, seed, batch_size),) = placed
    assert batch_size == 16
    assert torch.equal(images, splits[0])
    assert seed == 1
    assert bce == pytest.approx(vqvae.cpu()(splits[1])[0].mean().item(), rel=1e-5)


def test_a_classifier_is_judged_by_the_validation_images(splits, monkeypatch):
    caught = []

    def fit(model, loss, train, validation, budget, **options):
        caught.append((model, loss, train, validation))

    monkeypatch.setattr("geovq.training.loop.fit", fit)
    labels = torch.arange(30) % 3, torch.arange(10) % 3
    pairs = [(images, own) for images, own in zip(splits, labels, strict=True)]
    train_classifier(*pairs, TrainClassifier(**BUDGET), seed=1)
    ((model, loss, *given),) = caught
    for pair, found in zip(pairs, given, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(pair, found, strict=True))
    expected = F.cross_entropy(model(splits[1]), labels[1], reduction="none")
    torch.testing.assert_close(loss(*pairs[1], generator=None), expected)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_code_length_of_a_prior_is_that_of_the_validation_tokens(scale):
    train, validation = torch.zeros(30, 3).long(), torch.arange(12).view(4, 3) % 4
    vectors = torch.randn(12, 5)
    params = TrainAR(cell="mlp", embed_dim=8, hidden_dim=8, **BUDGET)
    train[:9, 1], train[:5, 2] = 3, 2
    prior, length = train_prior(train, validation, (4, 4, 4), params, 1, vectors=scale * vectors)
    assert length == pytest.approx(-prior.cpu()(validation).sum(1).mean().item(), rel=1e-5)
    # Whatever the scale of the latents, those of the training split have variance 1.
    latents = prior.vectors[train + prior.offsets].sum(1)
    assert latents.var(0).mean().item() == pytest.approx(1, rel=1e-4)
