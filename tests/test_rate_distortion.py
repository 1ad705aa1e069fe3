"""The rate-distortion study: rates are what they claim, and bits are spent where they help."""

import json

import numpy as np
import pytest
import torch

from geovq.errors import InputError
from geovq.params.reading import load_params
from geovq.quantization.latent_metrics import Latents
from geovq.quantization.rate import bits_per_image
from studies.common import best_of, schedules
from studies.rate_distortion.page import REFERENCE
from studies.rate_distortion.rivals import FiniteScalar, random_codes, scalar_codes
from studies.rate_distortion.run import METHODS, main


@pytest.fixture
def splits(rng):
    """Posteriors with dimensions of very different signal to noise."""
    width = np.array([3.0, 1.0, 1.0, 0.5, 0.1, 0.01])

    def draw(n):
        return Latents(rng.normal(0.2, width, (n, 6)), np.full((n, 6), -2.0))

    return {"train": draw(2000), "test": draw(500)}


def decoded(codes, name):
    return sum(v[codes.tokens[name][:, t]] for t, v in enumerate(codes.codebooks()))


def error(codes, latents):
    return float(((decoded(codes, "test") - latents["test"].means) ** 2 * codes.scale_**2).mean())


def test_scalar_codes_spend_exactly_their_bits_and_each_helps(splits):
    errors = []
    for bits in (1, 2, 6, 7, 12, 30):
        codes = scalar_codes(splits, bits)
        assert bits_per_image(codes.vocabulary) == bits
        assert all((x < codes.vocabulary).all() for x in codes.tokens.values())
        errors.append(error(codes, splits))
    assert (np.diff(errors) < 0).all()
    # The first bit goes to the widest dimension, whose halves have means of ±0.8 σ.
    one = scalar_codes(splits, 1).codebooks()[0]
    assert np.ptp(one, axis=0).argmax() == 0
    assert np.ptp(one[:, 0]) == pytest.approx(2 * np.sqrt(2 / np.pi) * 3, rel=0.05)


def test_scalar_levels_beat_uniform_ones_of_as_many_bits(splits):
    x = splits["test"].means
    low, high = np.percentile(splits["train"].means, [0.5, 99.5], axis=0)
    uniform = low + (np.clip(np.floor((x - low) / (high - low) * 4), 0, 3) + 0.5) / 4 * (high - low)
    codes = scalar_codes(splits, 12)
    assert error(codes, splits) < ((uniform - x) ** 2 * codes.scale_**2).mean()


def test_random_codes_are_the_nearest_of_their_chunk(splits):
    codes = random_codes(splits, 8, 3, seed=0)
    assert bits_per_image(codes.vocabulary) == 9
    chunks = [np.flatnonzero(v.any(0)) for v in codes.codebooks()]
    assert sorted(np.concatenate(chunks)) == list(range(6))
    gaps = (splits["test"].means[:, None] - codes.codebooks()[1]) * codes.scale_
    nearest = (gaps[:, :, chunks[1]] ** 2).sum(2).argmin(1)
    np.testing.assert_array_equal(codes.tokens["test"][:, 1], nearest)


def test_fsq_decodes_the_tokens_it_encodes_to(images):
    fsq = FiniteScalar((8, 12), [16], 2).train()
    for _ in range(50):
        fsq(images)  # moves the normalisation's running means
    fsq.eval()
    tokens = fsq.encode(images)
    assert fsq.vocabulary == (64, 64)
    assert tokens.shape == (40, 2)
    assert tokens.min() >= 0
    assert tokens.max() < 64
    assert len(tokens.unique()) > 10  # a fresh encoder's latents reach many levels
    torch.testing.assert_close(fsq.likelihood(fsq.decode(tokens), images), fsq(images))


def test_of_both_schedules_the_better_on_validation_stands():
    tried = schedules(load_params("params.yaml").train_vqvae)
    assert [settings.max_steps for settings in tried] == [2750, 11_000]
    for best in tried:
        model, chosen = best_of(lambda one, best=best: (one.max_steps, one != best), tried)
        assert chosen is best
        assert model == best.max_steps


@pytest.mark.slow
def test_the_study_runs_and_goes_on_where_it_stopped(tmp_path, capsys):
    arguments = [str(tmp_path), "--quick", "--seeds", "1", "--tokens", "1", "2"]
    main(arguments)
    file = tmp_path / "scores.json"
    found = json.loads(file.read_text())
    rows = [row for row in found["rows"] if row["method"] != REFERENCE]
    assert {row["method"] for row in rows} == set(METHODS)
    assert all(row["bits"] == 6 * row["tokens"] for row in rows)
    assert all(0 <= row["coded_bits"] < row["bits"] + 1 for row in rows)
    states = {(r["state"], r["tokens"]): r for r in rows if r["method"] == "geodesic"}
    assert states["refined", 1]["bce"] < states["unrefined", 1]["bce"]
    assert all(states["refined, searched", t]["bce"] < states["refined", t]["bce"] for t in (1, 2))
    ends = {row["method"]: row for row in rows if row["tokens"] == 2}
    name = "residual VQ-VAE, EMA"
    assert ends[f"{name}, searched"]["bce"] < ends[name]["bce"]
    page = (tmp_path / "page.md").read_text()
    assert all(f"| {method} " in page for method in METHODS)
    assert (tmp_path / "bce.png").stat().st_size > 10_000

    found["rows"] = [r for r in found["rows"] if (r["method"], r["tokens"]) != ("FSQ", 2)]
    file.write_text(json.dumps(found))
    main(arguments)  # computes what is missing, and that alone
    again = json.loads(file.read_text())["rows"]
    assert again[:-1] == found["rows"]
    assert again[-1]["method"] == "FSQ"

    found["about"]["seed"] = 7
    file.write_text(json.dumps(found))
    with pytest.raises(InputError, match="other parameters; delete it"):
        main(arguments)
