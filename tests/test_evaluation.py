import math

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli

from geovq import GeodesicQuantizer
from geovq.codec.tokenizer import PostHocTokenizer
from geovq.evaluation import Judge, score_data, score_tokenizer, score_vae
from geovq.evaluation.frechet import Frechet
from geovq.evaluation.semantics import nmi, purity
from geovq.models.classifier import Classifier
from geovq.models.distortion import distortion, least_distortion, mean_image_distortion, psnr
from geovq.models.likelihood import Bernoulli as BernoulliPixels
from geovq.models.likelihood import DiscretizedLogistic
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.quantization.rate import (
    bits_per_image,
    codes_used,
    draw_independent,
    marginal_bits_per_token,
    perplexity,
)
from geovq.report.table import NAMES, constants, table
from geovq.report.words import remarks, sentences


def test_distortion_by_hand(images):
    logits = torch.randn(images.shape)
    p = logits.double().sigmoid()
    x = images.double()
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2)).mean().item()
    assert distortion(logits, images, BernoulliPixels()) == pytest.approx(expected)
    assert psnr(images + 0.1, images) == pytest.approx(20, abs=1e-4)
    # A mean of decibels, not the decibels of a mean.
    wrong = torch.cat([images[:20] + 0.1, images[20:] + 0.01])
    assert psnr(wrong, images) == pytest.approx(30, abs=1e-3)
    assert psnr(images, images) == pytest.approx(120)


def test_pixel_entropy_is_the_floor_of_bce(images):
    pixels = BernoulliPixels()
    floor = least_distortion(images, pixels)
    entropy = Bernoulli(images.double()).entropy().sum((1, 2)).mean().item()
    assert floor == pytest.approx(entropy)
    exact = images.double().clamp(1e-9, 1 - 1e-9).logit()
    assert distortion(exact, images, pixels) == pytest.approx(floor, rel=1e-6)
    assert distortion(exact + 0.1, images, pixels) > floor
    assert least_distortion(images.round(), pixels) == 0


def test_rates_by_hand():
    vocabulary = (4, 2)
    tokens = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert bits_per_image(vocabulary) == 3
    assert codes_used(tokens, vocabulary) == 2
    assert perplexity(tokens, vocabulary) == pytest.approx(2)
    others = np.array([[3, 0], [0, 0], [3, 0], [3, 0]])
    assert codes_used(others, vocabulary) == 1.5
    entropy = math.log(4) - 0.75 * math.log(3)
    assert perplexity(others, vocabulary) == pytest.approx((math.exp(entropy) + 1) / 2)
    expected = (math.log2(8) * 0.75 + math.log2(8 / 3) * 0.25 + 1) / 2
    assert marginal_bits_per_token(tokens, others, vocabulary) == pytest.approx(expected)
    # Position 0: (3, 3, 1, 1) / 8 after add-one smoothing; position 1: (3, 3) / 6.
    expected = (math.log2(8 / 3) + 1) / 2
    assert marginal_bits_per_token(tokens, tokens, vocabulary) == pytest.approx(expected)


def test_independent_tokens_follow_each_position(rng):
    train = np.stack([rng.integers(0, 2, 5000), rng.integers(2, 4, 5000)], axis=1)
    drawn = draw_independent(train, (4, 4), 5000, seed=0)
    assert drawn.shape == (5000, 2)
    assert (drawn[:, 0] < 2).mean() > 0.99
    assert (drawn[:, 1] >= 2).mean() > 0.99
    assert (drawn == draw_independent(train, (4, 4), 5000, seed=0)).all()
    assert (drawn != draw_independent(train, (4, 4), 5000, seed=1)).any()


def test_purity_and_nmi_by_hand():
    codes, labels = np.array([0, 0, 0, 1, 1, 1]), np.array([5, 5, 6, 6, 6, 6])
    assert purity(codes, labels) == pytest.approx(5 / 6)
    three = np.array([5, 5, 6, 6, 6, 7])
    assert purity(codes, three) == pytest.approx(4 / 6)
    own, other = math.log(2), (2 * math.log(3) + 3 * math.log(2) + math.log(6)) / 6
    both = (4 * math.log(3) + 2 * math.log(6)) / 6
    assert nmi(codes, three) == pytest.approx(2 * (own + other - both) / (own + other))
    assert purity(labels, labels) == nmi(labels, labels) == 1
    assert nmi(codes, np.array([0, 1, 2, 0, 1, 2])) == pytest.approx(0, abs=1e-9)


@pytest.fixture
def judge(images):
    return Judge(Classifier((8, 12), 3).eval(), images, torch.arange(40) % 3)


def test_frechet_distance_matches_scipy(pictures):
    classifier = Classifier(pictures.shape[1:], 3).eval()
    others = pictures.square()
    a, b = (classifier.features(x).detach().double().numpy() for x in (pictures, others))
    means, covariances = (a.mean(0), b.mean(0)), (np.cov(a.T), np.cov(b.T))
    # The trace of a root is the sum of the roots of the eigenvalues.
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).astype(complex)).real.sum()
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(sum(covariances)) - 2 * roots
    frechet = Frechet(classifier, pictures)
    assert frechet(others) == pytest.approx(expected, rel=1e-3)
    assert frechet(pictures) == pytest.approx(0, abs=1e-3)
    assert frechet(others) == pytest.approx(expected, rel=1e-3)  # no trace of the call before


def test_recognition_is_accuracy_in_order(judge, images):
    predicted = judge.classifier(images).argmax(1)
    expected = (predicted == judge.labels).double().mean().item()
    assert judge.recognition(images) == expected


@pytest.fixture
def tokenizers(images, rng):
    vae = VAE((8, 12), 6, [16]).eval()
    means, log_variances = (t.detach().numpy() for t in vae.encode(images))
    quantizer = GeodesicQuantizer(4, 3, neighbors=5).fit(means, log_variances)
    vqvae = VQVAE((8, 12), 6, [16], (4, 4, 4)).eval()
    vqvae.place_codes(images)
    return {"geodesic": PostHocTokenizer(vae, quantizer), "vqvae": vqvae}


@pytest.mark.parametrize("name", ["geodesic", "vqvae"])
def test_tokenizers_round_trip(tokenizers, images, name):
    tokenizer = tokenizers[name]
    tokens = tokenizer.encode(images)
    assert tokens.shape == (40, 3)
    assert tokens.dtype == torch.int64
    assert (tokens < torch.tensor(tokenizer.vocabulary)).all()
    assert tokenizer.decode(tokens).shape == images.shape
    assert tokenizer.prototypes().shape == (4, 8, 12)


def test_post_hoc_tokens_are_those_of_the_posteriors(tokenizers, images):
    tokenizer = tokenizers["geodesic"]
    means, log_variances = (t.detach().numpy() for t in tokenizer.vae.encode(images))
    assert torch.equal(tokenizer.encode(images), tokenizer.encode_latents(means, log_variances))
    decoded = tokenizer.quantizer.decode(tokenizer.encode(images).numpy())
    expected = tokenizer.vae.decode(torch.from_numpy(decoded).float())
    torch.testing.assert_close(tokenizer.decode(tokenizer.encode(images)), expected)


@pytest.mark.parametrize("name", ["geodesic", "vqvae"])
def test_tokenizer_scores_add_up(tokenizers, images, judge, name):
    tokenizer, prior = tokenizers[name], Prior((4, 4, 4), embed_dim=5, hidden_dim=7)
    tokens = tokenizer.encode(images)
    score = score_tokenizer(
        tokenizer, prior, images, tokens, tokens, judge, temperatures=[1.0, 0.5], seed=0
    )
    assert score["bits_per_image"] == 6
    assert score["total"] == pytest.approx(score["bce"] + score["code_length"])
    assert score["bce"] == pytest.approx(
        distortion(tokenizer.decode(tokens).detach(), images, tokenizer.likelihood)
    )
    assert score["code_length"] == pytest.approx(-prior(tokens).sum(1).mean().item(), rel=1e-5)
    expected = score["code_length"] / math.log(2) / 3
    assert score["ar_bits_per_token"] == pytest.approx(expected)
    assert score["bce"] > least_distortion(images, tokenizer.likelihood)
    assert score["frechet_samples_at"]["1"] == score["frechet_samples"]
    assert score["frechet_samples_at"].keys() == {"1", "0.5"}
    del score["frechet_samples_at"]
    assert all(np.isfinite(value) for value in score.values())


def test_vae_score_is_its_negative_elbo(images, judge):
    vae = VAE((8, 12), 6, [16]).eval()
    score = score_vae(vae, images, judge, seed=0)
    assert score["total"] == pytest.approx(score["bce"] + score["kl"])
    draws = [sum(t.mean().item() for t in vae(images)) for _ in range(200)]
    assert score["total"] == pytest.approx(np.mean(draws), abs=5 * np.std(draws))


def test_data_constants(images, judge):
    score = score_data("own", images.flip(0), images, judge, BernoulliPixels())
    assert score["test_images"] == 40
    assert score["pixel_entropy"] < score["mean_image_bce"]
    assert score["frechet_floor"] == pytest.approx(0, abs=1e-3)


def test_the_mean_image_has_the_scales_that_suit_it(rng):
    """Noise of three widths about one image: the best scales are about its own."""
    widths = np.array([0.02, 0.05, 0.1])
    noise = rng.logistic(size=(400, 8, 12, 3)) * widths
    images = torch.from_numpy(np.rint(255 * np.clip(0.5 + noise, 0, 1)) / 255).float()
    likelihood = DiscretizedLogistic(3)
    found = mean_image_distortion(images[:300], images[300:], likelihood)
    likelihood.log_scale.data = torch.from_numpy(widths).log()
    exact = distortion(torch.zeros(100, 8, 12, 3), images[300:], likelihood)
    assert found == pytest.approx(exact, rel=0.01)
    assert least_distortion(images, likelihood) == 0


def test_scales_and_mean_are_those_of_training_images(rng):
    """Noise about one grey value in training, wider and about another in the test."""
    train, test = (0.5 + 0.02 * rng.logistic(size=(300, 8, 12)), rng.random((100, 8, 12)))
    train, test = (
        torch.from_numpy(np.rint(255 * x.clip(0, 1)) / 255).float() for x in (train, test)
    )
    likelihood = DiscretizedLogistic(1)
    found = mean_image_distortion(train, test, likelihood)
    mean = train.double().mean(0).logit()
    best = likelihood.calibrated(mean.float().expand(train.shape), train)
    assert best.log_scale.exp().item() == pytest.approx(0.02, rel=0.1)
    assert found == pytest.approx(distortion(mean.expand(test.shape), test, best), rel=0.01)


def test_what_training_never_shows_has_a_probability():
    """Pixels that are white, or black, in every training image."""
    train = torch.cat([torch.zeros(40, 4, 12), torch.ones(40, 4, 12)], 1)
    test = torch.full((10, 8, 12), 0.25)
    likelihood = BernoulliPixels()
    p = train.double().mean(0).clamp(1e-6, 1 - 1e-6)
    expected = -(0.25 * p.log() + 0.75 * (1 - p).log()).sum().item()
    assert mean_image_distortion(train, test, likelihood) == pytest.approx(expected)


def test_without_labels_the_judge_is_silent(tokenizers, images):
    tokenizer, prior = tokenizers["vqvae"], Prior((4, 4, 4), embed_dim=5, hidden_dim=7)
    tokens, silent = tokenizer.encode(images), Judge(None, images, None)
    score = score_tokenizer(
        tokenizer, prior, images, tokens, tokens, silent, temperatures=[1.0, 0.5], seed=0
    )
    assert score["purity"] is score["recognition"] is score["frechet_samples"] is None
    assert np.isfinite(score["total"])
    assert score_data("own", images, images, silent, BernoulliPixels())["recognition"] is None


@pytest.fixture
def scores(tokenizers, images, judge):
    prior = Prior((4, 4, 4), embed_dim=5, hidden_dim=7)
    rows = {
        "data": score_data("own", images, images, judge, BernoulliPixels()),
        "vae": score_vae(tokenizers["geodesic"].vae, images, judge, seed=0),
    }
    for name in ("geodesic", "euclidean", "vqvae"):
        tokenizer = tokenizers.get(name, tokenizers["geodesic"])
        tokens = tokenizer.encode(images)
        rows[name] = score_tokenizer(
            tokenizer, prior, images, tokens, tokens, judge, temperatures=[1.0, 0.5], seed=0
        )
    return rows


@pytest.mark.parametrize("style", ["simple", "github"])
def test_the_table_shows_every_model_and_figure(scores, style):
    shown = table(scores, style)
    for model, name in NAMES.items():
        row = next(line for line in shown.splitlines() if name in line)
        assert f"{scores[model]['total']:.1f}" in row
        assert f"{scores[model]['bce']:.1f}" in row
    assert "own: 40 test images" in constants(scores)
    levels = {**scores["data"], "pixel_entropy": 0.0, "mean_image_bce": 7.0}
    assert "; bce of the mean image 7.0" in constants({**scores, "data": levels})


def learned(scores):
    """The same, but no model is worse than what knows nothing."""
    better = {name: {**row, "marginal_bits_per_token": 9.0} for name, row in scores.items()}
    better["data"]["mean_image_bce"] = 1000.0
    return better


def test_unequal_rates_are_remarked(scores):
    scores = learned(scores)
    assert remarks(scores) == []
    scores["vqvae"]["bits_per_image"] = 8
    assert "rates differ" in remarks(scores)[0]
    assert "VQ-VAE 8" in remarks(scores)[0]


def test_a_model_or_a_prior_that_did_not_learn_is_remarked(scores):
    scores = learned(scores)
    figures = {"ar_bits_per_token": 6.02, "marginal_bits_per_token": 6.0}
    scores["geodesic"] |= {**figures, "code_length": 2 * 6.02 * math.log(2)}
    scores["vqvae"]["bce"] = 1000.0
    prior, model = remarks(scores)
    assert prior.startswith("the prior of geodesic codes learnt nothing: 6.02 bits")
    assert model == "VQ-VAE did not learn: bce 1000.0, where the mean image has 1000.0"
    scores["geodesic"]["code_length"] /= 2  # a single token, of which nothing can be learnt
    assert remarks(scores) == [model]
    scores["geodesic"] |= {"ar_bits_per_token": None, "code_length": None}  # no prior at all
    assert remarks(scores) == [model]


def test_three_sentences_say_what_was_found(scores):
    for name, loss, told in (
        ("geodesic", 31.04, 0.9),
        ("euclidean", 31.0, 0.8),
        ("vqvae", 33.0, 0.7),
    ):
        scores[name] |= {"bce": loss, "purity": told, "bits_per_image": 12.0}
    compared, decoded, first = sentences(scores)
    assert "40 test images (own) was turned into tokens, 12 bits each" in compared
    assert "Best at decoding: Euclidean codes, with 31.0 nats" in decoded
    assert "geodesic codes as good and VQ-VAE 2.0 nats behind" in decoded
    assert "class of 90.0 % with geodesic codes, 80.0 % with Euclidean codes, 70.0 % with" in first
    scores["vqvae"]["bits_per_image"] = 8
    assert (
        "12 bits by geodesic codes, 12 bits by Euclidean codes, 8 bits by" in sentences(scores)[0]
    )
    for name in ("geodesic", "euclidean", "vqvae"):
        scores[name]["purity"] = None
    assert "no labels" in sentences(scores)[2]
