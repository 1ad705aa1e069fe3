"""The autoregressive priors."""

import itertools
import math

import numpy as np
import pytest
import torch

from geovq.errors import InputError
from geovq.models.prior import Prior

TINY = [(3,), (2, 3), (3, 2, 4)]


def make(vocabulary, cell, **sizes):
    """A prior whose code vectors, where it has any, are drawn at random."""
    latent_dim = 3 if cell == "mlp" else 0
    prior = Prior(vocabulary, cell, embed_dim=8, hidden_dim=7, latent_dim=latent_dim, **sizes)
    prior.see(torch.randn(sum(vocabulary), latent_dim))
    return prior


def every_sequence(vocabulary):
    return torch.tensor(list(itertools.product(*map(range, vocabulary))))


@pytest.mark.parametrize("vocabulary", TINY)
@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer", "mlp"])
def test_likelihood_sums_to_one_over_all_sequences(vocabulary, cell):
    prior = make(vocabulary, cell, layers=2).double()
    log_probabilities = prior(every_sequence(vocabulary))
    assert log_probabilities.shape == (math.prod(vocabulary), len(vocabulary))
    assert log_probabilities.sum(1).exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("cell", ["gru", "transformer", "mlp"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sampling_frequencies_match_probabilities(temperature, cell):
    vocabulary, count = (2, 3), 20_000
    prior = make(vocabulary, cell)
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


@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer", "mlp"])
def test_the_prior_cannot_see_ahead(cell):
    prior = make((4, 4, 4), cell).eval()
    tokens = torch.tensor([[1, 2, 3], [1, 2, 0], [1, 0, 3]])
    log_probabilities = prior(tokens)
    torch.testing.assert_close(log_probabilities[1:, 0], log_probabilities[:2, 0])
    torch.testing.assert_close(log_probabilities[0, 1], log_probabilities[1, 1])
    assert not torch.isclose(log_probabilities[0, 2], log_probabilities[2, 2])


@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer", "mlp"])
def test_step_by_step_it_says_the_same_as_all_at_once(cell):
    prior = make((3, 2, 4, 3), cell, layers=2).eval()
    tokens, state = every_sequence((3, 2, 4, 3)), None
    symbols = torch.cat([prior._begin(len(tokens)), tokens + prior.offsets], 1)
    for t, expected in enumerate(prior(tokens).T):
        logs, state = prior._step(symbols[:, t : t + 1], t, state)
        torch.testing.assert_close(logs[:, 0].gather(1, symbols[:, t + 1 : t + 2])[:, 0], expected)


def test_the_prior_gradients_reach_everything():
    prior = Prior((4, 4), embed_dim=5, hidden_dim=7, context=2)
    prior(every_sequence((4, 4))).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in prior.parameters())


def test_a_perceptron_sees_nothing_but_the_latent_so_far():
    """Two ways to the same sum are one to it; and it needs code vectors."""
    prior = make((2, 2, 3), "mlp")
    vectors = torch.randn(7, 3)
    vectors[3] = vectors[0] + vectors[2] - vectors[1]  # codes (0, 0) and (1, 1) end in one place
    prior.see(vectors)
    last = torch.arange(3)[:, None]
    first, second = (prior(torch.cat([last * 0 + c, last * 0 + c, last], 1)) for c in (0, 1))
    torch.testing.assert_close(first[:, 2], second[:, 2])
    assert (first[:, :2] - second[:, :2]).abs().min() > 1e-4
    with pytest.raises(InputError, match="latent_dim = 0; allowed with cell mlp: at least 1"):
        Prior((4, 4), "mlp")


def test_a_transformer_is_cut_into_four_heads():
    with pytest.raises(InputError, match="embed_dim = 6; allowed with cell transformer"):
        Prior((4, 4), "transformer", embed_dim=6)


def test_context_holds_a_whole_image():
    with pytest.raises(InputError, match="context = 2; allowed: at least 3"):
        Prior((4, 4, 4), context=2)
