"""Where things compute: said, checked, and kept to, without a device that is not there."""

import numpy as np
import pytest
import torch
from test_cli import geovq, refused

from geovq import Codec
from geovq.batches import best_device, checked_device, on_device
from geovq.errors import InputError
from geovq.evaluation import score_codec
from geovq.training import steps
from geovq.training.checkpoints import fingerprint

SMALL = {"codes": 4, "tokens": 2, "steps": 2, "latent_dim": 4, "train_vae": {"hidden": [8]}}
ABSENT = "cuda:99"


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(256, size=(60, 8, 8), dtype=np.uint8)


@pytest.fixture(scope="module")
def codec(images):
    return Codec.fit(images, **SMALL, device="cpu")


@pytest.fixture
def watched(monkeypatch):
    """Devices that tensors are moved to."""
    seen, before = [], torch.Tensor.to

    def to(tensor, *args, **options):
        seen.extend(str(arg) for arg in args if isinstance(arg, torch.device))
        return before(tensor, *args, **options)

    monkeypatch.setattr(torch.Tensor, "to", to)
    return seen


def test_a_block_decides_and_is_left_again():
    before = best_device()
    with on_device("cpu:0"):
        assert best_device() == torch.device("cpu:0")
        with on_device(None):
            assert best_device() == torch.device("cpu:0")
        with pytest.raises(RuntimeError), on_device("cpu"):
            raise RuntimeError
        assert best_device() == torch.device("cpu:0")
    assert best_device() == before


@pytest.mark.parametrize("device", [ABSENT, "gpu", "meta", "cpu:1", "", 0, True, b"cpu"])
def test_a_device_that_is_not_there_is_named(codec, images, tmp_path, device):
    codec.save(tmp_path / "model")
    for call in (
        lambda: checked_device(device),
        lambda: codec.to(device),
        lambda: Codec.load(tmp_path / "model", device=device),
        lambda: Codec.fit(images, **SMALL, device=device),
        lambda: Codec.fit_latents(images[:, 0], codes=2, tokens=1, device=device),
    ):
        with pytest.raises(InputError) as caught:
            call()
        message = f"device = {str(device)!r}; allowed on this machine: cpu"
        assert str(caught.value).startswith(message)
    assert codec.device == torch.device("cpu")


@pytest.mark.parametrize("refine", [{}, None])
def test_a_codec_computes_where_it_is(images, watched, refine):
    codec = Codec.fit(images, **SMALL, refine=refine, device="cpu")
    tokens = codec.encode(images)
    pixels, drawn, score = codec.decode(tokens), codec.sample(5), score_codec(codec, images)
    assert codec.to("cpu:0") is codec
    del watched[:]
    assert (codec.encode(images) == tokens).all()
    assert (codec.decode(tokens) == pixels).all()
    assert (codec.sample(5) == drawn).all()
    assert score_codec(codec, images) == score
    codec.encode_latents(np.zeros((3, 4)), np.zeros((3, 4)))
    assert set(watched) == {"cpu", "cpu:0"}
    assert watched.count("cpu") == 2  # tokens go back to where their images are


def test_a_checkpoint_is_of_its_device(monkeypatch):
    with on_device("cpu"):
        here = fingerprint({}, [])
    with on_device("cpu:0"):
        assert fingerprint({}, []) == here
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with on_device("mps"):
        assert fingerprint({}, []) != here


def test_sums_ask_no_device_for_float64():
    class Far(torch.Tensor):
        """As on MPS, which has no float64."""

        def double(self):
            raise TypeError("no float64")

        def cpu(self):
            return self.as_subclass(torch.Tensor)

    def loss(batch, generator):
        return batch.mean(1).as_subclass(Far)

    assert steps._validate(torch.nn.Linear(1, 1), loss, [torch.ones(3, 4)], 0) == 1.0


@pytest.mark.parametrize(
    "command",
    [
        "fit images.npz model",
        "encode model images.npz tokens.npz",
        "decode model tokens.npz decoded.npz",
        "sample model samples",
        "evaluate model images.npz",
    ],
)
def test_the_command_line_says_so_before_it_reads(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)  # where there is nothing to read
    said = refused(f"{command} --device {ABSENT}")
    assert said.startswith(f"error: device = {ABSENT!r}; allowed on this machine: cpu")


def test_the_command_line_takes_one(images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("images.npz", images=images)
    geovq("fit images.npz model --codes 4 --tokens 2 --steps 2 --latent-dim 4 --device cpu")
    geovq("encode model images.npz tokens.npz --device cpu")
    geovq("decode model tokens.npz decoded.npz --device cpu:0")
    geovq("sample model samples.npz -n 3 --device cpu")
    geovq("evaluate model images.npz --device cpu")
