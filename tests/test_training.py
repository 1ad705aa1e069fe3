import math
import random
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from geovq import Codec
from geovq.batches import as_pixels, in_batches
from geovq.errors import TrainingError, TrainingWarning
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.params.sections import Budget, TrainAR, TrainClassifier, TrainVAE, TrainVQVAE
from geovq.quantization.rate import marginal_bits_per_token
from geovq.training import checkpoints
from geovq.training.classifier import train_classifier
from geovq.training.loop import fit
from geovq.training.prior import train_prior
from geovq.training.vae import Reached, check_vae, train_vae
from geovq.training.vqvae import check_vqvae, train_vqvae

BUDGET = {
    "learning_rate": 0.05,
    "schedule": "constant",
    "batch_size": 16,
    "max_steps": 300,
    "evaluate_every": 10,
    "patience": 1000,
    "tolerance": 0.0,
}


def budget(**changes):
    return Budget(**(BUDGET | changes))


@pytest.fixture
def line():
    """A line, 2x + 1, and a model of it."""
    x = torch.linspace(-1, 1, 50)[:, None]
    model = nn.Linear(1, 1)
    return model, [x, 2 * x + 1]


def squared(model):
    return lambda x, y, generator: (model(x) - y).square().sum(1)


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_it_learns(line, schedule):
    model, data = line
    best = fit(model, squared(model), data, data, budget(schedule=schedule), seed=0)
    assert best < 1e-3
    assert model.weight.item() == pytest.approx(2, abs=0.1)
    assert not model.training


def test_same_seed_same_weights(line):
    _, data = line
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        model = nn.Linear(1, 1)
        fit(model, squared(model), data, data, budget(max_steps=20), seed=seed)
        found.append(model.weight.item())
    assert found[0] == found[1] != found[2]


def test_the_best_weights_come_back_and_training_stops_early(line):
    """A validation loss that grows from step 30 on."""
    model, data = line
    seen = []

    def loss(x, y, generator):
        if model.training:
            return (model(x) - y).square().sum(1)
        return abs(len(seen) - 3) + 0 * x[:, 0]

    def log(step, curve):
        seen.append((step, model.weight.item()))

    best = fit(model, loss, data, data, budget(patience=50), seed=0, log=log)
    assert best == 0
    steps = [step for step, _ in seen]
    assert steps == list(range(10, 10 * len(steps) + 1, 10))
    assert steps[-1] == 90  # best at step 40, and 50 without a better one
    assert model.weight.item() == seen[3][1]


def test_gains_below_the_tolerance_do_not_prolong(line):
    model, data = line
    steps = []

    def loss(x, y, generator):
        return (model(x) - y).square().sum(1) + (0 if model.training else 100 - 1e-4 * len(steps))

    fit(model, loss, data, data, budget(patience=50, tolerance=0.5), seed=0,
        log=lambda step, _: steps.append(step))  # fmt: skip
    assert steps[-1] == 50


def test_batches_larger_than_the_data_are_the_data(line):
    model, data = line
    sizes = set()

    def loss(x, y, generator):
        sizes.add(len(x))
        return (model(x) - y).square().sum(1)

    fit(model, loss, data, data, budget(batch_size=64, max_steps=5), seed=0)
    assert sizes == {50}


def test_every_image_is_seen_once_an_epoch():
    model = nn.Linear(1, 1)
    seen = []

    def loss(x, generator):
        if model.training:
            seen.extend(x[:, 0].tolist())
        return model(x)[:, 0].square()

    data = [torch.arange(48.0)[:, None]]
    fit(model, loss, data, data, budget(max_steps=3, learning_rate=1e-9), seed=0)
    assert sorted(seen) == list(range(48))


def test_curves_hold_the_mean_training_loss(line):
    model, data = line
    logged, losses = [], []

    def loss(x, y, generator):
        value = (model(x) - y).square().sum(1)
        if model.training:
            losses.append(value.mean().item())
        return value

    fit(model, loss, data, data, budget(max_steps=25), seed=0, log=lambda *a: logged.append(a))
    assert [step for step, _ in logged] == [10, 20, 25]
    assert logged[0][1]["train"] == pytest.approx(np.mean(losses[:10]))
    assert logged[2][1]["train"] == pytest.approx(np.mean(losses[20:]))


def test_the_score_is_the_mean_loss_of_the_validation_rows(line):
    """More of them than are measured at once, and others than those of the training."""
    model, data = line
    x = torch.linspace(-2, 3, 1500)[:, None] ** 3
    validation, before = [x, 2 * x + 1], model.weight.item()
    best = fit(model, squared(model), data, validation, budget(max_steps=5), seed=0)
    assert model.weight.item() > before
    assert best == pytest.approx(squared(model)(*validation, None).double().mean().item())


def test_a_cosine_begins_with_the_whole_learning_rate_and_ends_near_nothing(line):
    """A loss of one slope everywhere, which Adam walks down in steps of the learning rate."""
    model, data = line
    places = [model.weight.item()]
    given = budget(max_steps=4, evaluate_every=1, schedule="cosine")
    fit(model, lambda x, y, generator: model.weight.sum() + 0 * x[:, 0], data, data, given, seed=0,
        log=lambda *_: places.append(model.weight.item()))  # fmt: skip
    rates = [0.05 * 0.5 * (1 + np.cos(np.pi * step / 4)) for step in range(4)]
    assert -np.diff(places) == pytest.approx(rates, rel=1e-4)


def test_in_batches_joins_every_result():
    x = torch.arange(25.0)
    doubled, squares = in_batches(lambda a, b: (a + b, a * b), x, x, size=10)
    assert torch.equal(doubled, 2 * x)
    assert torch.equal(squares, x**2)


def test_pixels_are_in_the_unit_interval():
    pixels = as_pixels(np.array([[[0, 51, 255]]], dtype=np.uint8))
    assert pixels.dtype == torch.float32
    assert pixels.flatten().tolist() == pytest.approx([0, 0.2, 1])


def diverging(model, step, value):
    """A loss that becomes no number at a step."""
    steps = []

    def loss(x, y, generator):
        steps.extend([None] * model.training)
        errors = squared(model)(x, y, generator)
        return errors * value if model.training and len(steps) >= step else errors

    return loss


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("step", "noticed"), [(1, 10), (25, 30)])
def test_a_loss_that_is_no_number_ends_the_training(
    line, tmp_path, monkeypatch, value, step, noticed
):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", math.inf)
    model, data = line
    curves = []
    message = f"^learning_rate = 0.05: the line: by step {noticed} the loss is (nan|inf); lower it,"
    with pytest.raises(TrainingError, match=message):
        fit(model, diverging(model, step, value), data, data, budget(), seed=0, title="the line",
            log=lambda *row: curves.append(row), checkpoints=tmp_path)  # fmt: skip
    assert [at for at, _ in curves] == [*range(10, noticed, 10)]
    kept = checkpoints.load(tmp_path / "the_line.safetensors")
    assert (kept is None) == (noticed == 10)
    if kept:  # the last good one
        assert kept[1]["step"] == 20
        assert kept[0]["model/weight"].isfinite().all()


def test_it_does_not_wait_for_an_evaluation(line):
    model, data = line
    rare = budget(max_steps=10_000_000, evaluate_every=10_000_000)
    with pytest.raises(TrainingError, match="by step 200 the loss is nan"):
        fit(model, diverging(model, 101, math.nan), data, data, rare, seed=0)


def test_a_validation_loss_that_is_no_number_ends_it_too(line):
    model, (x, y) = line
    with pytest.raises(
        TrainingError, match="line: the loss is nan before the first step; look for"
    ):
        fit(model, squared(model), [x, y], [x, y * math.nan], budget(), seed=0, title="line")

    def loss(x, y, generator):
        errors = squared(model)(x, y, generator)
        return errors if model.training or model.weight.item() < 1 else errors + math.inf

    with pytest.raises(TrainingError, match=r"by step \d+ the loss is inf"):
        fit(model, loss, [x, y], [x, y], budget(), seed=0)


def test_weights_that_get_no_better_are_a_warning(line):
    model, data = line
    before = model.weight.item()
    wild = budget(learning_rate=10.0, max_steps=20).model_copy(update={"learning_rate": 1e6})
    message = (
        "training: none of 20 steps lowered the validation loss, .*; lower learning_rate = 1000000"
    )
    with pytest.warns(TrainingWarning, match=message):
        fit(model, squared(model), data, data, wild, seed=0)
    assert model.weight.item() == before
    # A model that is good already may stay, if it learns what does not hold for other images.
    with torch.no_grad():
        model.weight.fill_(2)
        model.bias.fill_(1)
    noisy = [data[0], data[1] + 0.1 * torch.randn(50, 1)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(model, squared(model), noisy, [data[0], noisy[1] + 9], budget(), seed=0, tuning=True)


def test_random_states_are_left_alone(images, latents):
    """Of PyTorch, NumPy and Python."""

    def states():
        numpy = np.random.get_state()  # noqa: NPY002
        return torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2], random.getstate()

    shown = (images * 255).to(torch.uint8).numpy()
    small = {"codes": 3, "tokens": 2, "steps": 3, "neighbors": 3}
    Codec.fit_latents(latents[0], **small)  # what is imported for it may draw, and does so once
    before = states()
    codec = Codec.fit(shown, **small, latent_dim=2, train_vae={"hidden": [4]})
    Codec.fit_latents(latents[0], **small)
    codec.decode(codec.encode(shown))
    codec.sample(3)
    vqvae = TrainVQVAE(codes=3, tokens=2, commitment=1.0, codebook_update="ema", warmup_steps=2,
                       max_steps=4, patience=9)  # fmt: skip
    train_vqvae(images, images, vqvae, TrainVAE(hidden=[4]), 0)
    labels = torch.arange(40) % 2
    train_classifier(
        (images, labels), (images, labels), TrainClassifier(max_steps=2, patience=1), 0
    )
    assert states() == before


COLLAPSE = {"batch_size": 16, "max_steps": 40, "patience": 40, "evaluate_every": 10}


def test_latents_that_hold_nothing_are_a_warning(images):
    params = TrainVAE(**COLLAPSE, latent_dim=2, hidden=[8], kl_weight=1000.0)
    with pytest.warns(
        TrainingWarning, match=r"hold .* nats .*; lower train_vae.kl_weight = 1000\.0"
    ):
        train_vae(images, images, params, 0)
    far = TrainVAE(**COLLAPSE, latent_dim=2, hidden=[8], kl_weight=0.0, learning_rate=10.0)
    vae = VAE((8, 12), 2, [8])
    with torch.no_grad():
        vae.encoder[-1].weight.mul_(1e7)
    with pytest.warns(TrainingWarning, match=r"standard deviations from 0; lower train_vae.learn"):
        check_vae(vae, Reached(60.0, 1e15, 0.0), images, images, far)


def test_a_network_that_knows_less_than_the_mean_image_is_a_warning(images):
    params = TrainVAE(**{**COLLAPSE, "max_steps": 1}, latent_dim=2, hidden=[8], kl_weight=1.0)
    message = r"the VAE is worse .*, 6\d\.\d+ against .* nats .*; raise train_vae.max_steps = 1, or"
    with pytest.warns(TrainingWarning, match=message):
        train_vae(images**8, images**8, params, 0)
    vae = VAE((8, 12), 2, [8], likelihood="logistic")
    with pytest.warns(TrainingWarning, match="the VAE is worse than the mean of all images"):
        check_vae(vae, Reached(900.0, 1.0, 1.0), images, images, params)


def test_codes_of_which_few_are_used_are_a_warning(images):
    params = TrainVQVAE(**COLLAPSE, codes=32, tokens=2, commitment=1.0, codebook_update="ema",
                        warmup_steps=5)  # fmt: skip
    vqvae = VQVAE((8, 12), 2, [8], params.vocabulary)
    with torch.no_grad():
        vqvae.codebooks[0].copy_(1e3 + torch.arange(32.0)[:, None])
        vqvae.codebooks[1].copy_(1e3 + torch.arange(32.0)[:, None])
    message = "used as if there were 1.0 of 32; raise train_vqvae.warmup_steps = 5, or"
    with pytest.warns(TrainingWarning, match=message):
        check_vqvae(vqvae, 60.0, images, images, params)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vqvae.place_codes(images)
        check_vqvae(vqvae, 60.0, images, images, params)


def test_a_prior_that_knows_less_than_frequencies_is_a_warning():
    tokens = torch.zeros(60, 2, dtype=torch.int64)
    short = TrainAR(max_steps=1, patience=1, embed_dim=8, hidden_dim=8)
    drawn = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (60, 2)))
    message = "learnt nothing from 50 images .*, or another train_ar.learning_rate = 0.001"
    with pytest.warns(TrainingWarning, match=message):
        _, nats = train_prior(drawn[:50], drawn[50:], [4, 4], short, 0)
    bits = marginal_bits_per_token(drawn[:50].numpy(), drawn[50:].numpy(), [4, 4])
    assert nats == pytest.approx(2 * bits * math.log(2))  # which is where it begins
    enough = TrainAR(max_steps=300, patience=300, embed_dim=8, hidden_dim=8, learning_rate=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train_prior(tokens[:50], tokens[50:], [4, 4], enough, 0)
