"""Trainings that came to nothing are told from those that came to little."""

import math
from types import SimpleNamespace

import pytest
import torch

from geovq.errors import TrainingWarning
from geovq.models.likelihood import Bernoulli
from geovq.params.sections import TrainAR, TrainVAE, TrainVQVAE
from geovq.quantization.rate import marginal_bits_per_token
from geovq.training.prior import check_prior
from geovq.training.vae import Reached, check_vae
from geovq.training.vqvae import check_vqvae

pytestmark = pytest.mark.filterwarnings("error")  # where none is due, there is none


@pytest.mark.parametrize(
    ("nats", "weight", "told"), [(0.04, 1, True), (0.04, 0, False), (0.06, 1, False)]
)
def test_latents_say_something_of_the_images(images, nats, weight, told):
    latents = torch.full((40, 2), math.sqrt(nats)), torch.zeros(40, 2)  # KL of ½ Σ μ²
    vae = SimpleNamespace(encode=lambda batch: latents, likelihood=Bernoulli())
    params, reached = TrainVAE(kl_weight=float(weight)), Reached(0.0, nats, weight)
    check = lambda: check_vae(vae, reached, images, images, params)  # noqa: E731
    if told:
        with pytest.warns(TrainingWarning, match=f"hold {nats} nats of an image, next to nothing"):
            check()
    else:
        check()


@pytest.mark.parametrize(
    ("tokens", "told"), [([0] * 40, True), ([0] * 20 + [1] * 20, False), ([0, 1], False)]
)
@pytest.mark.parametrize("codes", [8, 16])
def test_codes_in_use_are_counted_among_those_that_could_be(images, tokens, told, codes):
    vqvae = SimpleNamespace(
        encode=lambda batch: torch.tensor(tokens)[:, None],
        vocabulary=(codes if len(tokens) > 2 else 64,),
        likelihood=Bernoulli(),
    )
    params = TrainVQVAE(
        codes=codes, tokens=1, max_steps=9, patience=9, commitment=0.25,
        codebook_update="ema", warmup_steps=1,
    )  # fmt: skip
    few = images[: len(tokens)]
    if told:
        with pytest.warns(TrainingWarning, match=f"as if there were 1.0 of {codes}"):
            check_vqvae(vqvae, 0.0, images, few, params)
    else:
        check_vqvae(vqvae, 0.0, images, few, params)


def test_a_prior_is_no_worse_than_frequencies():
    train, validation = torch.arange(60).view(20, 3) % 4, torch.arange(30).view(10, 3) % 3
    bits = marginal_bits_per_token(train.numpy(), validation.numpy(), (4, 4, 4))
    nats = 3 * bits * math.log(2)
    check_prior(0.999 * nats, train, validation, (4, 4, 4), TrainAR())
    with pytest.warns(TrainingWarning, match=f"frequencies of the codes, {nats:.3f} nats"):
        check_prior(nats, train, validation, (4, 4, 4), TrainAR())
    one = train[:, :1], validation[:, :1]
    check_prior(10 * nats, *one, (4,), TrainAR())  # of one token there is nothing else to learn
