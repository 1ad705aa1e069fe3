import numpy as np
import pytest
import torch
from torch import nn

from geovq.params import Budget
from geovq.training import as_pixels, fit, in_batches

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
    validation = [torch.linspace(-2, 3, 1500)[:, None] ** 3, torch.zeros(1500, 1)]
    best = fit(model, squared(model), data, validation, budget(max_steps=5), seed=0)
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
