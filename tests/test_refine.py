"""Refined codes and decoders."""

import numpy as np
import pytest
import torch

from geovq.codec.tokenizer import PostHocTokenizer
from geovq.errors import InputError, TrainingWarning
from geovq.models.code_decoder import CodeDecoder
from geovq.models.vae import VAE
from geovq.params.sections import Refine
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training.refinement import (
    Split,
    alternate,
    choose_tokens,
    refine,
    refined,
    search,
    tune_again,
)


def budgets(codes, decoder, again=0, rounds=0, steps=0, **more):
    budget = {"schedule": "constant", "batch_size": 32, "evaluate_every": 10}
    budget |= {"learning_rate": 0.01, "patience": 1000, "tolerance": 0.0}
    counts = {"codes": codes, "decoder": decoder, "decoder_again": again, "round": steps}
    parts = {name: {**budget, "max_steps": count} for name, count in counts.items()}
    return Refine(**parts, **{"candidates": 0, "rounds": rounds, **more})


@pytest.fixture
def setting(rng):
    """A VAE as it starts, codes of its latents, and 120 images with their tokens."""
    torch.manual_seed(0)
    vae = VAE((6, 5), 4, [16]).eval()
    images = torch.from_numpy(rng.random((120, 6, 5))).float()
    with torch.no_grad():
        means = vae.encode(images)[0].numpy()
    quantizer = GeodesicQuantizer(4, 2, metric="euclidean", neighbors=5).fit(means)
    tokens = torch.from_numpy(quantizer.encode(means))
    return vae, quantizer, tokens, images


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
def test_an_unrefined_decoder_is_the_vaes(rng, layout):
    vae = VAE((6, 5), 4, [16]).eval()
    means = rng.standard_normal((80, 4))
    quantizer = GeodesicQuantizer(4, 2, layout=layout, metric="precision", neighbors=5)
    quantizer.fit(means, np.full((80, 4), -1.0))
    tokens = torch.from_numpy(quantizer.encode(means, np.full((80, 4), -1.0)))
    refined = CodeDecoder.of(vae, quantizer)
    plain = PostHocTokenizer(vae, quantizer)
    with_codes = PostHocTokenizer(vae, quantizer, refined)
    torch.testing.assert_close(with_codes.decode(tokens), plain.decode(tokens))
    torch.testing.assert_close(with_codes.prototypes(), plain.prototypes())
    latents = torch.from_numpy(quantizer.decode(tokens.numpy())).float()
    torch.testing.assert_close(refined.decode(tokens), vae.decode(latents))


class Linear:
    """An autoencoder that is no module and has no `config`."""

    def __init__(self, images):
        self.basis = torch.linalg.qr(torch.randn(images[0].numel(), 4))[0]
        self.shape = images.shape[1:]

    def encode(self, images):
        means = images.flatten(1) @ self.basis
        return means, torch.full_like(means, -2.0)

    def decode(self, latents):
        return (latents @ self.basis.T).unflatten(1, self.shape)


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
def test_any_pair_of_functions_will_do(setting, layout):
    images = setting[-1]
    vae = Linear(images)
    means, log_variances = (x.numpy() for x in vae.encode(images))
    quantizer = GeodesicQuantizer(4, 2, layout=layout, neighbors=5).fit(means, log_variances)
    tokenizer = PostHocTokenizer(vae, quantizer)
    tokens = tokenizer.encode(images)
    assert (tokens.numpy() == quantizer.encode(means, log_variances)).all()
    latents = torch.from_numpy(quantizer.decode(tokens.numpy())).float()
    torch.testing.assert_close(tokenizer.decode(tokens), vae.decode(latents))
    assert tokenizer.prototypes().shape == (4, 6, 5)


def test_pull_back_edges_are_measured_by_any_decoder(setting):
    images = setting[-1]
    vae = Linear(images)
    means, log_variances = (x.numpy() for x in vae.encode(images))
    quantizer = GeodesicQuantizer(4, metric="pullback", assignment="geodesic", neighbors=5)
    tokenizer = PostHocTokenizer(vae, quantizer)
    quantizer.fit(means, log_variances, tokenizer.decode_means)
    assert tokenizer.encode(images).shape == (120, 1)


@pytest.mark.parametrize(("codes", "decoder"), [(0, 0), (40, 0), (0, 40), (40, 40)])
def test_only_what_has_a_budget_moves_and_bce_falls(setting, codes, decoder):
    vae, quantizer, tokens, images = setting
    model = CodeDecoder.of(vae, quantizer)
    found = refine(model, (tokens, tokens), (images, images), budgets(codes, decoder), seed=0)
    before = CodeDecoder.of(vae, quantizer).state_dict()
    moved = {
        name.split(".")[0]
        for name, x in model.cpu().state_dict().items()
        if (x != before[name]).any()
    }
    expected = {"codebooks"} if codes else set()
    assert moved == (expected | {"decoder"} if decoder else expected)
    assert (found["codes"] < found["cell_means"]) == bool(codes)
    assert (found["decoder"] < found["codes"]) == bool(decoder)


def test_what_refining_tells_is_the_bce_of_the_validation_images(setting):
    vae, quantizer, tokens, images = setting
    model = CodeDecoder.of(vae, quantizer)
    splits = (tokens[:80], tokens[80:]), (images[:80], images[80:])
    before = model(tokens[80:], images[80:]).mean().item()
    found = refine(model, *splits, budgets(5, 5), seed=0)
    assert found["cell_means"] == pytest.approx(before)
    after = model.cpu()(tokens[80:], images[80:]).mean().item()
    assert found["decoder"] == pytest.approx(after)


def test_a_budget_that_hurts_changes_nothing(setting):
    vae, quantizer, tokens, images = setting
    model = CodeDecoder.of(vae, quantizer)
    wild = budgets(20, 20)
    wild = wild.model_copy(
        update={
            part: getattr(wild, part).model_copy(update={"learning_rate": 1e3})
            for part in ("codes", "decoder")
        }
    )
    with pytest.warns(
        TrainingWarning, match=r"lower refine\.(codes|decoder)\.learning_rate = 1000"
    ):
        found = refine(model, (tokens, tokens), (images, images), wild, seed=0)
    assert found["decoder"] == found["codes"] == found["cell_means"]


@pytest.fixture
@torch.no_grad()
def on_a_grid(rng):
    """Tokens and latents of 60 images, three codes in four cells; `make(...)`: a decoder."""
    vae = VAE((6, 5), 8, [4, 4], "conv").eval()
    images = torch.from_numpy(rng.random((60, 6, 5))).float()
    means = vae.encode(images)[0]
    quantizer = GeodesicQuantizer(3, 4, layout="grid", metric="euclidean", neighbors=20)
    tokens = torch.from_numpy(quantizer.fit(means.numpy()).encode(means.numpy()))
    vectors = torch.from_numpy(40 * rng.standard_normal((3, 2)))  # so that no two decode alike

    def make(**options):
        model = CodeDecoder.of(vae, quantizer, **options)
        model.codebooks[0].data.copy_(vectors)
        return model

    return make, tokens, images, means


def best_of_every_cell(tokens, cost):
    """Cell after cell, the one of three codes that costs each image least."""
    best = tokens.clone()
    for t in range(tokens.shape[1]):
        each = []
        for code in range(3):
            tried = best.clone()
            tried[:, t] = code
            each.append(cost(tried))
        best[:, t] = torch.stack(each).argmin(0)
    return best


@torch.no_grad()
def test_search_takes_the_best_code_of_every_cell(on_a_grid):
    make, tokens, images, means = on_a_grid
    model = make(candidates=3)
    torch.testing.assert_close(
        sum(model.vectors(t)[tokens[:, t]] for t in range(4)), model.latents(tokens)
    )
    expected = best_of_every_cell(tokens, lambda tried: model(tried, images))
    assert (model.search(tokens, images, means) == expected).all()


@torch.no_grad()
def test_search_counts_code_lengths(on_a_grid):
    make, tokens, images, means = on_a_grid
    model = make(candidates=3, rate_weight=0.5)
    found = search(model, tokens, images, means)
    counts = torch.stack([torch.bincount(column, minlength=3) for column in tokens.T])
    lengths = -((counts + 1) / (counts + 1).sum(1, keepdim=True)).log()
    torch.testing.assert_close(model.lengths, lengths[None])

    def spent(tried):
        length = sum(lengths[t, tried[:, t]] for t in range(4))
        return model(tried, images) + 0.5 * length

    assert (found == best_of_every_cell(tokens, spent)).all()

    # Where only length counts, every position takes its most frequent code.
    dear = search(make(candidates=3, rate_weight=1e6), tokens, images, means)
    assert (dear == counts.argmax(1)).all()


@torch.no_grad()
def test_every_sweep_counts_again_and_the_model_keeps_it(on_a_grid):
    make, tokens, images, means = on_a_grid
    once, twice = (make(candidates=3, rate_weight=2.0, sweeps=sweeps) for sweeps in (1, 2))
    first, second = (search(model, tokens, images, means) for model in (once, twice))
    assert (first != second).any()
    counts = torch.bincount(first[:, 0], minlength=3) + 1
    torch.testing.assert_close(twice.lengths[1, 0], -(counts / counts.sum()).log())

    def spent(tried):
        lengths = sum(twice.lengths[1, t, tried[:, t]] for t in range(4))
        return twice(tried, images) + 2 * lengths

    assert (second == best_of_every_cell(first, spent)).all()
    assert (twice.search(tokens, images, means) == second).all()
    again = CodeDecoder(**twice.config)
    again.load_state_dict(twice.state_dict())
    assert (again.search(tokens, images, means) == second).all()


@pytest.mark.parametrize("again", [0, 40])
def test_the_decoder_is_tuned_to_the_tokens_that_were_chosen(on_a_grid, again):
    make, tokens, images, means = on_a_grid
    expected = search(make(candidates=3, rate_weight=0.05), tokens, images, means)
    model, rows = make(candidates=3, rate_weight=0.05), Split(tokens, images, means)
    found, unseen = choose_tokens(model, rows, rows)
    tune_again(model, (found, unseen), rows, rows, budgets(0, 0, again), seed=0)
    assert (found == expected).all()
    assert (unseen == expected).all()
    with torch.no_grad():
        gain = (make(candidates=3)(found, images) - model(found, images)).mean()
        assert (gain > 0) == bool(again)
        # The search sees the decoder it had: unseen images get tokens by the same rule.
        kept = CodeDecoder(**model.config)
        kept.load_state_dict(model.state_dict())
        assert (kept.search(tokens, images, means) == expected).all()
        assert (kept(found, images) == model(found, images)).all()


@pytest.mark.parametrize("again", [0, 5])
def test_training_and_validation_images_have_tokens_of_their_own(on_a_grid, again, monkeypatch):
    make, *rows = on_a_grid
    train, validation = Split(*(x[:40] for x in rows)), Split(*(x[40:] for x in rows))
    seen = []
    monkeypatch.setattr("geovq.training.loop.fit", lambda *given, **_: seen.append(given[2:4]))
    model = make(candidates=3)
    found = choose_tokens(model, train, validation)
    tune_again(model, found, train, validation, budgets(0, 0, again), seed=0)
    for tokens, given in zip(found, (train, validation), strict=True):
        assert (tokens == search(make(candidates=3), *given)).all()
    for splits in seen:
        for split, tokens, given in zip(splits, found, (train, validation), strict=True):
            assert torch.equal(split[0], tokens)
            assert torch.equal(split[1], given[1])
    assert len(seen) == bool(again)


@torch.no_grad()
def test_few_candidates_are_those_near_the_posterior_mean_and_cheap(setting, rng):
    vae, _, _, images = setting
    means = vae.encode(images)[0]
    log_variances = rng.normal([0, -4, -2, 2], 0.1, (120, 4))
    quantizer = GeodesicQuantizer(8, 3, neighbors=5).fit(means.numpy(), log_variances)
    model = CodeDecoder.of(vae, quantizer, candidates=3, rate_weight=3.0)
    for codebook in model.codebooks:  # so that no two decode alike
        codebook.copy_(torch.from_numpy(2 * rng.standard_normal((8, 4))))
    model.lengths.copy_(torch.from_numpy(rng.exponential(9, (1, 3, 8))))
    tokens = torch.from_numpy(rng.integers(8, size=(120, 3)))
    expected, scale = tokens.clone(), torch.from_numpy(quantizer.scale_).float()
    assert scale.max() > 4 * scale.min()
    for row, mean, image in zip(expected, means, images, strict=True):
        for t in (1, 2):
            costs = 3.0 * model.lengths[0, t]
            others = model.latents(row[None])[0] - model.codebooks[t][row[t]]
            gaps = (mean - others - model.codebooks[t]) * scale
            guesses = 0.5 * gaps.square().sum(1) + costs
            near = [code for code in guesses.argsort().tolist() if code != row[t]]
            options = torch.tensor([int(row[t]), *near[:2]])
            tried = row.repeat(3, 1)
            tried[:, t] = options
            nats = model(tried, image.expand(3, 6, 5)) + costs[options]
            row[t] = options[nats.argmin()]
    assert (expected != tokens).any(0).tolist() == [False, True, True]
    assert (model.search(tokens, images, means) == expected).all()


@torch.no_grad()
def test_search_takes_the_best_code_and_leaves_the_first(setting):
    vae, quantizer, tokens, images = setting
    means = vae.encode(images)[0]
    model = CodeDecoder.of(vae, quantizer, candidates=4)  # all there are
    found = model.search(tokens, images, means)
    assert (found[:, 0] == tokens[:, 0]).all()
    each = [model(torch.stack([tokens[:, 0], torch.full((120,), c)], 1), images) for c in range(4)]
    assert (found[:, 1] == torch.stack(each).argmin(0)).all()
    few = CodeDecoder.of(vae, quantizer, candidates=2)
    assert (few(few.search(tokens, images, means), images) <= few(tokens, images)).all()
    none = CodeDecoder.of(vae, quantizer)
    assert (none.search(tokens, images, means) == tokens).all()
    tokenizer = PostHocTokenizer(vae, quantizer, model)
    assert (tokenizer.encode(images) == found).all()


def every_sequence(model):
    """All there are, (K^T, T)."""
    return torch.cartesian_prod(*(torch.arange(codes) for codes in model.vocabulary))


@torch.no_grad()
@pytest.mark.parametrize("first_token", ["keep", "search"])
@pytest.mark.parametrize("rate_weight", [0.0, 0.7])
def test_a_beam_of_all_sequences_finds_the_best_of_all(setting, rng, first_token, rate_weight):
    vae, quantizer, tokens, images = setting
    means = vae.encode(images)[0]
    options = {"first_token": first_token, "rate_weight": rate_weight}
    model = CodeDecoder.of(vae, quantizer, beam=16, **options)
    lengths = torch.from_numpy(rng.exponential(1, (2, 2, 4))).float()
    model.lengths.copy_(lengths)
    found = model.step(tokens, images, means, 0)
    positions = (0, 1) if first_token == "search" else (1,)
    for row, best, image in zip(tokens, found, images, strict=True):
        tried = every_sequence(model)
        if first_token == "keep":
            tried = tried[tried[:, 0] == row[0]]
        nats = model(tried, image.expand(len(tried), 6, 5))
        for t in positions:
            nats = nats + rate_weight * lengths[0, t, tried[:, t]]
        assert (tried[nats.argmin()] == best).all()


@torch.no_grad()
def test_a_narrow_beam_keeps_the_sums_nearest_to_the_mean(setting, rng):
    vae, _, _, images = setting
    means = vae.encode(images)[0]
    quantizer = GeodesicQuantizer(6, 3, metric="precision", neighbors=5)
    quantizer.fit(means.numpy(), rng.normal([0, -3, -1, 1], 0.1, (120, 4)))
    tokens = torch.from_numpy(rng.integers(6, size=(120, 3)))
    model = CodeDecoder.of(vae, quantizer, beam=2)
    vectors = [model.vectors(t) * model.scale for t in range(3)]
    found = model.step(tokens, images, means, 0)
    for row, best, mean, image in zip(tokens, found, means * model.scale, images, strict=True):
        kept = [(int(row[0]),)]
        for _ in (1, 2):
            longer = [(*sequence, code) for sequence in kept for code in range(6)]
            gap = lambda s: float((mean - sum(v[c] for v, c in zip(vectors, s))).norm())  # noqa: B023, B905, E731
            kept = sorted(longer, key=gap)[:2]
        tried = torch.tensor([row.tolist(), *kept])
        nats = model(tried, image.expand(len(tried), 6, 5))
        assert nats.min() == pytest.approx(model(best[None], image[None]).item(), rel=1e-5)


@torch.no_grad()
def test_a_search_decodes_no_more_at_once_than_fits(setting, monkeypatch):
    vae, quantizer, tokens, images = setting
    means = vae.encode(images)[0]
    model = CodeDecoder.of(vae, quantizer, candidates=3, beam=3, first_token="search")
    whole = model.search(tokens, images, means)
    sizes = []
    real = model.decoder.forward
    monkeypatch.setattr("geovq.models.code_decoder.AT_ONCE", 300)
    monkeypatch.setattr(model.decoder, "forward", lambda x: (sizes.append(len(x)), real(x))[1])
    assert (model.search(tokens, images, means) == whole).all()
    assert max(sizes) * 30 <= 300 + 120  # the given sequence beside those of the beam
    assert (model.search(tokens[:1], images[:1], means[:1]) == whole[:1]).all()


@torch.no_grad()
def test_the_first_token_may_be_searched(setting):
    vae, quantizer, tokens, images = setting
    means = vae.encode(images)[0]
    model = CodeDecoder.of(vae, quantizer, candidates=4, first_token="search")
    first = torch.stack([torch.stack([torch.full((120,), c), tokens[:, 1]], 1) for c in range(4)])
    best = torch.stack([model(tried, images) for tried in first]).argmin(0)
    assert (model.search(tokens, images, means)[:, 0] == best).all()
    assert (best != tokens[:, 0]).any()


def test_rounds_lower_the_loss_of_unseen_images_and_keep_to_one_rule(setting):
    vae, quantizer, tokens, images = setting
    with torch.no_grad():
        means = vae.encode(images)[0]
    train, validation = (Split(*(x[rows] for x in (tokens, images, means)))
                         for rows in (slice(0, 80), slice(80, 120)))  # fmt: skip
    params = budgets(0, 0, rounds=4, steps=30, candidates=4, gain=0.0)
    model, chosen, found = refined(vae, quantizer, train, validation, params, seed=0)
    rounds = [value for name, value in found.items() if name.startswith("round")]
    assert rounds
    assert all(after < before for before, after in zip([found["search"], *rounds], rounds))  # noqa: B905
    assert found["final"] == rounds[-1]
    with torch.no_grad():
        assert (model.search(*validation) == chosen[1]).all()
        assert model(chosen[1], validation.images).mean().item() == pytest.approx(found["final"])


def test_a_round_that_does_not_help_is_undone_and_one_that_hardly_does_is_the_last(setting):
    vae, quantizer, tokens, images = setting
    with torch.no_grad():
        means = vae.encode(images)[0]
    rows = Split(tokens, images, means)
    model = CodeDecoder.of(vae, quantizer, candidates=4)
    chosen = choose_tokens(model, rows, rows)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    harmful = budgets(0, 0, rounds=3, steps=30, candidates=4)
    other = Split(tokens, 1 - images, means)  # what is learnt of these is wrong of the others
    after, rounds = alternate(model, chosen, other, rows, harmful, seed=0)
    assert rounds == []
    assert after is chosen
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    enough = budgets(0, 0, rounds=3, steps=30, candidates=4, gain=1.0)
    _, rounds = alternate(model, chosen, rows, rows, enough, seed=0)
    assert len(rounds) == 1


def test_a_beam_that_no_memory_holds_is_refused():
    with pytest.raises(InputError, match="sequences of a beam"):
        CodeDecoder((6, 5), 4, [16], (4, 4), beam=10**12)
