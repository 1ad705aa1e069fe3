"""Who is told how a fit goes; and the loggers of docs/library.md, where they are installed."""

import re
from pathlib import Path

import numpy as np
import pytest

from geovq import Codec
from geovq.errors import InputError

PAGE = Path(__file__).parents[1] / "docs" / "library.md"
STEPS = {"max_steps": 4, "evaluate_every": 2}
SMALL = {
    **{"codes": 4, "tokens": 2, "latent_dim": 4},
    "train_vae": {**STEPS, "hidden": [8]},
    "refine": {
        **dict.fromkeys(("codes", "decoder", "round", "decoder_again"), STEPS),
        "rounds": 1,
    },
    "train_ar": STEPS,
}
TITLES = [
    "VAE",
    "refining the codes",
    "refining the decoder",
    "round 1",
    "tuning the decoder again",
    "prior",
]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(256, size=(60, 8, 8), dtype=np.uint8)


class Told:
    def __init__(self, ends_at=None):
        self.steps, self.info, self.ends_at = [], [], ends_at

    def on_step(self, title, step, values):
        self.steps.append((title, step, dict(values)))
        values.clear()  # its own copy
        if len(self.steps) == self.ends_at:
            raise KeyboardInterrupt

    def on_end(self, info):
        self.info.append(info)


def test_every_evaluation_of_every_training_is_told(images):
    one, two = Told(), Told()
    loss = {"train_vae.kl_weight": 1.0}  # the negative ELBO
    codec = Codec.fit(images, **SMALL, **loss, callbacks=[one, two])
    assert [(title, step) for title, step, _ in one.steps] == [
        (title, step) for title in TITLES for step in (2, 4)
    ]
    assert all(values.keys() == {"train", "validation"} for *_, values in one.steps)
    assert one.steps == two.steps
    assert one.info == two.info == [codec.info]
    best = min(values["validation"] for title, _, values in one.steps if title == "VAE")
    assert codec.info["validation"]["vae_loss"] == pytest.approx(best)


def test_nothing_depends_on_who_listens(images):
    told, silent = Codec.fit(images, **SMALL, callbacks=(Told(),)), Codec.fit(images, **SMALL)
    assert told.fingerprint == silent.fingerprint
    assert told.info == silent.info


def test_a_fit_of_latents_tells_of_its_prior(latents):
    told = Told()
    Codec.fit_latents(*latents, codes=4, tokens=2, train_ar=STEPS, callbacks=[told])
    assert [(title, step) for title, step, _ in told.steps] == [("prior", 2), ("prior", 4)]
    assert len(told.info) == 1


def test_a_fit_that_goes_on_tells_all_again(images, tmp_path):
    whole, broken, again = Told(), Told(ends_at=5), Told()
    Codec.fit(images, **SMALL, callbacks=[whole])
    with pytest.raises(KeyboardInterrupt):
        Codec.fit(images, **SMALL, callbacks=[broken], checkpoints=tmp_path / "kept")
    assert broken.info == []
    Codec.fit(images, **SMALL, callbacks=[again], checkpoints=tmp_path / "kept")
    assert again.steps == whole.steps
    assert again.info == whole.info


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        (Told(), "callbacks: a Told; allowed: a list of objects"),
        ([print], "callbacks: builtin_function_or_method has no method on_step; allowed: objects"),
    ],
)
def test_what_cannot_be_told_is_refused_before_the_work(images, callbacks, message):
    for fit in (Codec.fit, Codec.fit_latents):
        with pytest.raises(InputError, match=re.escape(message)):
            fit(images if fit == Codec.fit else np.zeros((60, 4)), callbacks=callbacks)


def example(logger):
    """The class of the page that logs to it."""
    blocks = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (code,) = (block for block in blocks if re.search(rf"^(import|from) {logger}\b", block, re.M))
    names = {"__name__": "example"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("logger", ["dvclive", "mlflow", "tensorboard"])
def test_loggers_take_what_they_are_told(images, tmp_path, monkeypatch, logger):
    pytest.importorskip(logger)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    names = example("torch.utils.tensorboard" if logger == "tensorboard" else logger)
    codec = Codec.fit(images, **SMALL, callbacks=[names["Logger"]()])
    total = codec.info["validation"]["total"]
    if logger == "dvclive":
        curve = tmp_path / "dvclive" / "plots" / "metrics" / "VAE" / "validation.tsv"
        assert np.loadtxt(curve, skiprows=1).shape == (2, 2)
        assert f'"total": {total}' in (tmp_path / "dvclive" / "metrics.json").read_text()
    elif logger == "mlflow":
        (run,) = names["mlflow"].search_runs(output_format="list")
        assert run.data.metrics["total"] == pytest.approx(total)
    else:
        assert list((tmp_path / "runs").rglob("events.*"))
