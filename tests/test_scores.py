"""Rows of the table: each figure is what it is called, of the images that it claims to be of."""

import math

import pytest
import torch

from geovq.evaluation import Judge, score_data, score_tokenizer, score_vae
from geovq.evaluation.semantics import nmi, purity
from geovq.models.classifier import Classifier
from geovq.models.distortion import least_distortion, mean_image_distortion, psnr
from geovq.models.likelihood import Bernoulli
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.quantization.rate import (
    codes_used,
    draw_independent,
    marginal_bits_per_token,
    perplexity,
)


@pytest.fixture
def apart(images):
    """Training images, test images, and a judge who knows the latter."""
    train, test = images[:25].square(), images[25:]
    classifier = Classifier((8, 12), 3).eval().requires_grad_(False)
    features = classifier.features(images)
    torch.nn.init.normal_(classifier.head.weight)
    # No class is preferred: what is recognised depends on the image.
    classifier.head.bias.copy_(-classifier.head.weight @ features.mean(0))
    return train, test, Judge(classifier, test, classifier(test).argmax(1))


def test_constants_are_of_the_split_they_claim_to_be_of(apart):
    train, test, judge = apart
    pixels = Bernoulli()
    score = score_data("own", train, test, judge, pixels)
    assert score["test_images"] == 15
    assert score["pixel_entropy"] == least_distortion(test, pixels)
    assert score["mean_image_bce"] == mean_image_distortion(train, test, pixels)
    assert score["frechet_floor"] == pytest.approx(judge.frechet(train[:15]), rel=1e-4)
    assert score["recognition"] == judge.recognition(test)


def test_a_vae_is_scored_on_its_reconstructions_and_its_samples(apart):
    _, test, judge = apart
    vae = VAE((8, 12), 6, [16]).eval().requires_grad_(False)
    vae.decoder[-2].weight.mul_(30)  # far from grey
    score, noise = score_vae(vae, test, judge, seed=4), torch.Generator().manual_seed(4)
    nats, kl = vae(test, noise)
    made = vae.decode(vae.encode(test)[0]).sigmoid()
    drawn = vae.decode(torch.randn(15, 6, generator=noise)).sigmoid()
    expected = {
        "total": (nats + kl).mean().item(),
        "bce": nats.mean().item(),
        "kl": kl.mean().item(),
        "psnr": psnr(made, test),
        "recognition": judge.recognition(made),
        "frechet_reconstructions": judge.frechet(made),
        "frechet_prior": judge.frechet(drawn),
    }
    assert score == pytest.approx(expected, rel=1e-4)
    assert judge.frechet(made) != pytest.approx(judge.frechet(drawn), rel=0.01)


@torch.no_grad()
def test_every_figure_of_a_tokenizer_is_of_the_split_it_claims_to_be_of(apart):
    train, test, judge = apart
    tokenizer = VQVAE((8, 12), 6, [16], (4, 4, 4)).eval()
    tokenizer.place_codes(torch.cat([train, test]))
    prior = Prior((4, 4, 4), embed_dim=5, hidden_dim=7)
    tokenizer.requires_grad_(False).decoder[-2].weight.mul_(30)
    for p in prior.head.parameters():
        torch.nn.init.normal_(p, std=2)
    known, seen, labels = (*map(tokenizer.encode, (train, test)), judge.labels.numpy())
    known[:, 1] = 3
    score = score_tokenizer(
        tokenizer, prior, test, known, seen, judge, temperatures=[1.0, 0.1], seed=4
    )

    def drawn(temperature):
        generator = torch.Generator().manual_seed(4)
        tokens = prior.sample(15, temperature=temperature, generator=generator)
        return judge.frechet(tokenizer.decode(tokens).sigmoid())

    made, vocabulary = tokenizer.decode(seen).sigmoid(), (4, 4, 4)
    independent = torch.from_numpy(draw_independent(known.numpy(), vocabulary, 15, 4))
    nats, length = (x.mean().item() for x in (
        tokenizer.likelihood(tokenizer.decode(seen), test), -prior(seen).sum(1)))  # fmt: skip
    expected = {
        "bits_per_image": 6,
        "bce": nats,
        "code_length": length,
        "total": nats + length,
        "ar_bits_per_token": length / math.log(2) / 3,
        "marginal_bits_per_token": marginal_bits_per_token(known.numpy(), seen.numpy(), vocabulary),
        "codes_used": codes_used(seen.numpy(), vocabulary),
        "perplexity": perplexity(seen.numpy(), vocabulary),
        "purity": purity(seen[:, 0].numpy(), labels),
        "nmi": nmi(seen[:, 0].numpy(), labels),
        "psnr": psnr(made, test),
        "recognition": judge.recognition(made),
        "frechet_reconstructions": judge.frechet(made),
        "frechet_samples": drawn(1.0),
        "frechet_independent": judge.frechet(tokenizer.decode(independent).sigmoid()),
    }
    assert judge.recognition(made) < judge.recognition(test) == 1
    assert score.pop("frechet_samples_at") == pytest.approx({"1": drawn(1.0), "0.1": drawn(0.1)})
    assert score == pytest.approx(expected, rel=1e-4)
