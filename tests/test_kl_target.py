"""A VAE whose latents hold what they should, in nats of images that it was not trained on."""

import pytest
import torch
from sklearn.datasets import load_digits

from geovq.batches import in_batches
from geovq.codec.settings import settings
from geovq.errors import InputError, TrainingWarning
from geovq.models.vae import VAE, gaussian_kl
from geovq.params.sections import TrainVAE
from geovq.training.kl_target import Targeted
from geovq.training.vae import train_vae

NETWORKS = {
    "mlp": {"hidden": [64], "latent_dim": 16},
    "conv": {"hidden": [8], "latent_dim": 32, "architecture": "conv", "learning_rate": 0.003},
    "logistic": {"hidden": [64], "latent_dim": 16, "likelihood": "logistic"},
}


@pytest.fixture(scope="module")
def splits():
    images = torch.from_numpy(load_digits().images).float() / 16  # (1797, 8, 8)
    return images[:1500], images[1500:]


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("target", [4.0, 25.0])
def test_unseen_images_take_as_many_nats_as_was_asked_for(splits, name, target):
    budget = {"max_steps": 1500, "evaluate_every": 50, "patience": 1500, "batch_size": 32}
    params = TrainVAE(**NETWORKS[name], **budget, kl_target=target)
    vae, reached = train_vae(*splits, params, 0)
    kl = gaussian_kl(*in_batches(vae.encode, splits[1])).sum(1).mean().item()
    assert kl == pytest.approx(target, rel=0.03)
    assert reached.kl == pytest.approx(kl, rel=1e-5)
    assert reached.kl_weight != 1


def test_the_weight_rises_while_the_kl_is_above_its_target_and_falls_below(images):
    torch.manual_seed(0)
    vae = VAE(images.shape[1:], 2, [8])
    kl = vae(images, torch.Generator().manual_seed(0))[1].mean().item()
    for factor, sign in ((0.5, 1), (2.0, -1)):
        targeted = Targeted(vae, factor * kl)
        targeted(images, torch.Generator().manual_seed(0))
        assert sign * targeted.log_weight.item() > 0


def test_what_counts_is_the_kl_of_unseen_images(images):
    torch.manual_seed(0)
    targeted = Targeted(VAE(images.shape[1:], 2, [8]), 1.0)
    noise = torch.Generator()
    kl = targeted.vae(images, noise)[1].mean().item()
    targeted(images, noise)
    targeted.eval()
    targeted(images[:10], noise)
    targeted(images[10:], noise)
    unseen = targeted.vae(images, noise)[1].mean().item()
    targeted.train()
    targeted(images, noise)
    assert targeted.ratio.item() == pytest.approx(unseen / kl, rel=1e-4)
    assert targeted.seen.tolist() == [0, 0]


def test_models_of_several_weights_compare_by_an_exact_penalty(images):
    torch.manual_seed(0)
    targeted = Targeted(VAE(images.shape[1:], 2, [8]), 3.0).eval()
    targeted.log_weight.fill_(2.0)
    bce, kl = targeted.vae(images, torch.Generator().manual_seed(1))
    score = targeted(images, torch.Generator().manual_seed(1))
    expected = bce + (1 + torch.tensor(2.0).exp()) * (kl.mean() - 3).abs()
    torch.testing.assert_close(score, expected)


def test_a_rate_needs_codes_and_a_target_that_is_missed_is_a_warning(images):
    budget = {"max_steps": 2, "evaluate_every": 1, "patience": 2}
    params = TrainVAE(hidden=[8], latent_dim=2, **budget)
    with pytest.raises(
        InputError, match=r"train_vae.kl_target = '1.5 rate': no codes follow; allowed: nats"
    ):
        train_vae(images, images, params, 0)
    with pytest.warns(
        TrainingWarning, match="kl_target = 1.5 rate wants 75; raise train_vae.max_step"
    ):
        train_vae(images, images, params, 0, rate=50.0)


@pytest.mark.parametrize(
    ("given", "target", "weight"),
    [({}, "1.5 rate", None), ({"kl_weight": 0.5}, None, 0.5), ({"kl_target": 12}, 12, None)],
)
def test_a_weight_or_a_target(given, target, weight):
    params = TrainVAE(**given)
    assert (params.kl_target, params.kl_weight) == (target, weight)


def test_a_target_is_the_rate_or_so_many_times_it():
    for said, nats in (("rate", 20.0), ("1.5 rate", 30.0), ("0.25 rate", 5.0), (7, 7.0)):
        assert TrainVAE(kl_target=said).target(20.0) == nats
    assert TrainVAE(kl_weight=1.0).target(20.0) is None


@pytest.mark.parametrize(
    "given",
    [
        {"kl_target": 3.0, "kl_weight": 1.0},
        {"kl_target": None},
        {"kl_target": "0 rate"},
        {"kl_target": "rates"},
        {"kl_target": "-1 rate"},
        {"kl_target": ""},
    ],
)
def test_all_else_is_refused(given):
    with pytest.raises(InputError, match=r"train_vae.kl_(weight|target) = .*; allowed: "):
        settings({"train_vae": given})
