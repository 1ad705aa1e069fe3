"""Trainings that are interrupted go on from their last checkpoint, as if nothing had happened."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from geovq import Codec
from geovq.cli.commands import main
from geovq.errors import InputError, TrainingWarning
from geovq.files.writing import PARTIAL
from geovq.models.vae import VAE
from geovq.params.sections import Refine, TrainAR, TrainClassifier, TrainVAE, TrainVQVAE
from geovq.quantization.quantizer import GeodesicQuantizer
from geovq.training import checkpoints, refinement
from geovq.training.classifier import train_classifier
from geovq.training.prior import train_prior
from geovq.training.refinement import Split
from geovq.training.steps import Training
from geovq.training.vae import train_vae
from geovq.training.vqvae import train_vqvae

ROOT = Path(__file__).parents[1]
BUDGET = {"batch_size": 16, "max_steps": 14, "evaluate_every": 4, "patience": 8}
CODES = {"codes": 4, "tokens": 2, "commitment": 0.25, "warmup_steps": 3}


@pytest.fixture(autouse=True)
def _at_every_evaluation(monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "SHARE", np.inf)


@pytest.fixture
def clock(monkeypatch):
    """Counts steps, and interrupts before the evaluation of a given number."""

    class Clock:
        steps = evaluations = 0
        alarm = None

    step, evaluate = Training.step, Training.evaluate

    def count_steps(training):
        Clock.steps += 1
        step(training)

    def count_evaluations(training):
        Clock.evaluations += 1
        if Clock.evaluations == Clock.alarm:
            raise KeyboardInterrupt
        return evaluate(training)

    monkeypatch.setattr(Training, "step", count_steps)
    monkeypatch.setattr(Training, "evaluate", count_evaluations)
    return Clock


def bytes_of(model):
    return {name: tensor.numpy().tobytes() for name, tensor in model.cpu().state_dict().items()}


def vae(images, log, kept, **changes):
    params = TrainVAE(**{**BUDGET, "latent_dim": 4, "hidden": [8], "kl_target": 5.0} | changes)
    return train_vae(images[:30], images[30:], params, 0, log, kept)


def vqvae(images, log, kept, update="gradient"):
    params = TrainVQVAE(**BUDGET, **CODES, codebook_update=update)
    network = TrainVAE(latent_dim=4, hidden=[8])
    return train_vqvae(images[:30], images[30:], params, network, 0, log, kept)


def prior(images, log, kept, cell="gru"):
    params = TrainAR(**BUDGET, cell=cell, embed_dim=8, hidden_dim=8)
    tokens, vectors = torch.randint(4, (40, 3)), torch.randn(12, 5)
    rows = tokens[:30], tokens[30:]
    return train_prior(*rows, [4] * 3, params, 0, log, vectors=vectors, checkpoints=kept)


def classifier(images, log, kept):
    labels = torch.arange(40) % 3
    pairs = (images[:30], labels[:30]), (images[30:], labels[30:])
    return train_classifier(*pairs, TrainClassifier(**BUDGET), 0, kept), None


def refined(images, log, kept):
    one = VAE((8, 12), 4, [8], likelihood="logistic").eval()
    with torch.no_grad():
        means = one.encode(images)[0]
    quantizer = GeodesicQuantizer(3, 2, metric="euclidean", neighbors=5).fit(means.numpy())
    tokens = torch.from_numpy(quantizer.encode(means.numpy()))
    names = "codes", "decoder", "round", "decoder_again"
    params = Refine(**dict.fromkeys(names, BUDGET), rounds=2, gain=0.0, candidates=2)
    splits = (Split(tokens[s], images[s], means[s]) for s in (slice(30), slice(30, 40)))
    model, chosen, found = refinement.refined(one, quantizer, *splits, params, 0, kept)
    return model, (found, [rows.tolist() for rows in chosen])


TRAININGS = {
    "vae": vae,
    "conv": lambda *a: vae(
        *a, architecture="conv", hidden=[2, 2], latent_dim=12, likelihood="logistic"
    ),
    "constant": lambda *a: vae(*a, schedule="constant", learning_rate=0.1),
    "vqvae": vqvae,
    "ema": lambda *a: vqvae(*a, update="ema"),
    "gru": prior,
    "mlp": lambda *a: prior(*a, cell="mlp"),
    "transformer": lambda *a: prior(*a, cell="transformer"),
    "classifier": classifier,
    "refine": refined,
}


@pytest.mark.parametrize("name", TRAININGS)
def test_it_ends_as_if_nothing_had_happened(name, images, clock, tmp_path):
    def run(folder):
        torch.manual_seed(0)
        curves = []
        kept = None if folder is None else checkpoints.checked_folder(folder)
        model, figures = TRAININGS[name](images, lambda *row: curves.append(row), kept)
        return bytes_of(model), figures, curves

    undisturbed = run(None)
    steps, evaluations = clock.steps, clock.evaluations
    for alarm in {1, 2, evaluations // 2, evaluations}:
        folder = tmp_path / str(alarm)
        clock.steps = clock.evaluations = 0
        clock.alarm = alarm
        with pytest.raises(KeyboardInterrupt):
            run(folder)
        clock.alarm = None
        assert run(folder) == undisturbed
        # Steps since the last evaluation are all that is done again.
        assert steps <= clock.steps <= steps + BUDGET["evaluate_every"]
        checkpoints.discard(folder)
        assert not folder.exists()


def test_it_may_be_interrupted_again_and_again(images, clock, tmp_path):
    kept = checkpoints.checked_folder(tmp_path / "kept")
    expected = bytes_of(vae(images, None, None)[0])
    for _ in range(3):
        clock.evaluations, clock.alarm = 0, 2
        with pytest.raises(KeyboardInterrupt):
            vae(images, None, kept)
    clock.alarm = None
    assert bytes_of(vae(images, None, kept)[0]) == expected


def test_what_has_ended_is_not_done_again(images, clock, tmp_path):
    kept = checkpoints.checked_folder(tmp_path / "kept")
    curves, replayed = [], []
    first = vqvae(images, lambda *row: curves.append(row), kept)
    clock.steps = 0
    again = vqvae(images, lambda *row: replayed.append(row), kept)
    assert clock.steps == 0
    assert bytes_of(again[0]) == bytes_of(first[0])
    assert again[1] == first[1]
    assert replayed == curves != []


@pytest.mark.parametrize(
    "other",
    [
        lambda images, kept: vae(images, None, kept, kl_target=6.0),
        lambda images, kept: vae(images, None, kept, hidden=[9]),
        lambda images, kept: vae(images.flip(0), None, kept),
        lambda images, kept: vae(torch.cat([images[:30], images[30:] / 2]), None, kept),
    ],
)
def test_another_trainings_checkpoint_is_passed_over(images, clock, tmp_path, other):
    kept = checkpoints.checked_folder(tmp_path / "kept")
    clock.alarm = 3
    with pytest.raises(KeyboardInterrupt):
        vae(images, None, kept)
    clock.alarm, clock.steps = None, 0
    expected = bytes_of(other(images, None)[0])
    steps, clock.steps = clock.steps, 0
    assert bytes_of(other(images, kept)[0]) == expected
    assert clock.steps == steps > 0


def test_and_so_is_one_of_another_number_of_threads_or_other_code(images, tmp_path, monkeypatch):
    kept = checkpoints.checked_folder(tmp_path / "kept")
    facts = {"seed": 0}
    mark = checkpoints.fingerprint(facts, [images])
    checkpoint = checkpoints.Checkpoint(kept / "one.safetensors", mark)
    checkpoint.save({"images": images}, facts)
    assert checkpoint.load()[1] == facts
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    assert checkpoints.fingerprint(facts, [images]) != mark
    monkeypatch.undo()
    assert checkpoints.fingerprint(facts, [images]) == mark
    monkeypatch.setattr(checkpoints, "_sources", lambda: "other")
    other = checkpoints.fingerprint(facts, [images])
    assert checkpoints.Checkpoint(kept / "one.safetensors", other).load() is None


def test_a_damaged_checkpoint_is_passed_over(images, clock, tmp_path):
    kept = checkpoints.checked_folder(tmp_path / "kept")
    expected = bytes_of(vae(images, None, kept)[0])
    steps = clock.steps
    (path,) = kept.glob("*.safetensors")
    whole = path.read_bytes()
    for place in (0, 20, len(whole) // 2, len(whole) - 1):
        broken = bytearray(whole)
        broken[place] ^= 1
        path.write_bytes(broken)
        clock.steps = 0
        assert bytes_of(vae(images, None, kept)[0]) == expected
        assert clock.steps == steps
    path.write_bytes(whole[:-10])
    assert checkpoints.load(path) is None
    path.write_bytes(b"")
    assert checkpoints.load(path) is None


def test_a_full_disk_costs_the_checkpoint_and_not_the_training(images, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    expected = bytes_of(vae(images, None, None)[0])
    monkeypatch.setattr(checkpoints, "save", full)
    message = r"vae.safetensors: no checkpoint \(No space left on device\)"
    with pytest.warns(TrainingWarning, match=message) as said:
        assert bytes_of(vae(images, None, tmp_path)[0]) == expected
    assert len([w for w in said if "no checkpoint" in str(w.message)]) == 1


def test_checkpoints_are_rare(images, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 3600.0)
    written = []
    monkeypatch.setattr(checkpoints, "save", lambda *a: written.append(a))
    vae(images, None, tmp_path)
    assert len(written) == 1  # when it has ended


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "letter.txt").touch()
    with pytest.raises(InputError, match=f"{tmp_path}: a folder that holds letter.txt and no mark"):
        checkpoints.checked_folder(tmp_path)
    with pytest.raises(InputError, match=r"letter\.txt: a file; allowed: a new folder, or a fol"):
        Codec.fit_latents(np.eye(9), codes=2, tokens=1, checkpoints=tmp_path / "letter.txt")
    checkpoints.discard(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
    kept = checkpoints.checked_folder(tmp_path / "kept")
    checkpoints.save(kept / "one.safetensors", {}, {})
    (kept / "note.txt").touch()
    checkpoints.discard(kept)
    assert not (kept / "one.safetensors").exists()
    assert (kept / "note.txt").exists()
    checkpoints.checked_folder(kept)  # still one of ours


def test_discarding_removes_what_a_killed_process_left(tmp_path):
    kept = checkpoints.checked_folder(tmp_path / "kept")
    checkpoints.save(kept / "one.safetensors", {}, {})
    (kept / f"{PARTIAL}0").touch()
    checkpoints.discard(kept)
    assert not kept.exists()


KILLED = """
import os, signal, sys
import numpy as np, torch
from geovq.training import checkpoints
from geovq.params.sections import TrainVAE
from geovq.training.vae import train_vae

checkpoints.SECONDS, checkpoints.SHARE = 0, float("inf")
folder, last = checkpoints.checked_folder(checkpoints.Path(sys.argv[1])), int(sys.argv[2])
images = torch.from_numpy(np.random.default_rng(0).random((200, 8, 8), dtype=np.float32))
network = {"latent_dim": 4, "hidden": [16], "kl_target": 5.0}
params = TrainVAE(**network, max_steps=60, evaluate_every=10, batch_size=32)

def log(step, curve):
    print(step, curve)
    if step == last:
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)

for kept in (folder, None):
    vae, best = train_vae(images[:150], images[150:], params, 0, log, kept)
    print(best, {name: t.numpy().tobytes() for name, t in vae.state_dict().items()})
    print("---")
"""


def test_it_survives_being_killed(tmp_path):
    command = [sys.executable, "-c", KILLED, tmp_path / "kept"]
    done = subprocess.run([*command, "40"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.count("\n") == 4
    done = subprocess.run([*command, "0"], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "VAE, resumed" in done.stderr
    resumed, undisturbed, _ = done.stdout.split("---\n")
    assert resumed == undisturbed


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("digits.npz", images=(load_digits().images[:200] * 15.9).astype(np.uint8))
    return tmp_path


FIT = "fit digits.npz model --codes 4 --tokens 2 --latent-dim 3 --steps 30 -S train_vae.hidden=[8]"
FIT += " -S train_ar.evaluate_every=10 -S train_vae.evaluate_every=10 -S refine.rounds=0"


def geovq(command, status=0):
    result = CliRunner().invoke(main, shlex.split(command))
    assert result.exit_code == status, (result.output, result.exception)
    return result.stderr


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_command_again_goes_on_and_leaves_nothing(work, clock):
    geovq(FIT)
    expected = files(work / "model")
    assert len(expected) == 6
    for path in (work / "model").iterdir():
        path.unlink()
    total = clock.evaluations
    assert total == 3 + 1 + 1 + 3  # VAE, codes, decoder, prior
    for alarm, left in ((2, 110), (4, 90), (5, 60), (total, 10)):
        clock.evaluations, clock.alarm = 0, alarm
        assert geovq(f"{FIT} --force", status=130).endswith("error: interrupted\n")
        assert files(work / "model") == (expected if alarm > 2 else {})
        assert (work / ".model.unfinished").is_dir()
        clock.steps, clock.alarm = 0, None
        geovq(f"{FIT} --force")
        assert clock.steps == left
        assert files(work / "model") == expected
        assert sorted(path.name for path in work.iterdir()) == ["digits.npz", "model"]


def test_another_command_does_not_go_on_from_there(work, clock):
    other = f"{FIT} --seed 1 --force"
    geovq(other)
    expected = files(work / "model")
    clock.evaluations, clock.alarm = 0, 7
    geovq(f"{FIT} --force", status=130)
    clock.alarm = None
    geovq(other)
    assert files(work / "model") == expected
    assert not (work / ".model.unfinished").exists()


def test_a_training_that_diverges_leaves_the_old_model(work):
    geovq(FIT)
    before = files(work / "model")
    wild = f"{FIT} --force --steps 300 -S train_vae.learning_rate=10"
    message = geovq(wild, status=2).splitlines()[-1]
    assert message.startswith("error: train_vae.learning_rate = 10.0: VAE: by step "), message
    assert files(work / "model") == before
    assert sorted(path.name for path in work.iterdir()) == ["digits.npz", "model"]


def test_input_that_will_not_do_leaves_checkpoints_alone(work, clock):
    clock.alarm = 3
    geovq(FIT, status=130)
    clock.alarm = None
    before = files(work / ".model.unfinished")
    assert "codes = 500; allowed: " in geovq(f"{FIT} --codes 500", status=2)
    assert files(work / ".model.unfinished").keys() == before.keys()
    assert "codes = 500; allowed: " in geovq(f"{FIT} --codes 500".replace("model", "m2"), status=2)
    assert sorted(path.name for path in work.iterdir()) == [".model.unfinished", "digits.npz"]


def test_a_codec_goes_on_from_a_folder_of_its_callers(work, clock):
    means = np.random.default_rng(0).standard_normal((200, 3))
    options = {"codes": 4, "tokens": 2, "steps": 30, "train_ar": {"evaluate_every": 10}}
    expected = Codec.fit_latents(means, **options)
    clock.evaluations, clock.alarm = 0, 3
    with pytest.raises(KeyboardInterrupt):
        Codec.fit_latents(means, **options, checkpoints="kept")
    clock.steps, clock.alarm = 0, None
    found = Codec.fit_latents(means, **options, checkpoints="kept")
    assert clock.steps == 10
    assert found.info == expected.info
    assert bytes_of(found.prior) == bytes_of(expected.prior)
    assert [path.name for path in Path("kept").glob("*.safetensors")] == ["prior.safetensors"]


def test_a_stage_goes_on_and_its_curves_are_whole(work, clock, monkeypatch):
    from geovq.files.store import save_npz
    from geovq.params.reading import as_params
    from stages import train_vae as stage

    images = np.load("digits.npz")["images"]
    splits = {"train": images[:150], "validation": images[150:170], "test": images[170:]}
    named = {f"{name}_images": split for name, split in splits.items()}
    named |= {f"{name}_labels": np.zeros(len(split), int) for name, split in splits.items()}
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    tree["train_vae"] |= {"hidden": [8], "max_steps": 40, "evaluate_every": 10}
    params = as_params(tree)
    outs = {}
    for alarm in (None, 1, 4):
        save_npz("data/images.npz", "images", **named)
        clock.evaluations, clock.alarm = 0, alarm
        if alarm:
            with pytest.raises(KeyboardInterrupt):
                stage.main(params)
            assert list(Path(".geovq/checkpoints/train_vae").glob("*.safetensors")) or alarm == 1
            clock.alarm = None
        stage.main(params)
        assert not Path(".geovq/checkpoints/train_vae").exists()
        outs[alarm] = {str(p): p.read_bytes() for p in Path("data").rglob("*") if p.is_file()}
        outs[alarm][""] = json.loads(Path("metrics/train_vae.json").read_text())
    assert any("curves/train_vae/plots/metrics/train.tsv" in name for name in outs[None])
    assert outs[None] == outs[1] == outs[4]


def test_a_program_that_is_told_to_end_does_so_with_one_line(work):
    rare = "-S train_vae.max_steps=1000000 -S train_vae.evaluate_every=1000000"
    command = f"-m geovq {FIT} {rare} -S train_vae.patience=1000000"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, *shlex.split(command)], stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        said = read = process.stderr.read(1)
        while read and "step/s" not in said:  # it is about to train
            said += (read := process.stderr.read(1))
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)[1]
    assert process.returncode == 130, said
    assert said.splitlines()[-1] == "error: interrupted"
    assert "Traceback" not in said
    assert [path.name for path in work.iterdir()] == ["digits.npz"]
