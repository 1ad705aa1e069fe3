import numpy as np
import pytest
import torch

from geovq.errors import InputError
from geovq.files.store import (
    load_json,
    load_module,
    load_npz,
    save_json,
    save_module,
    save_npz,
)
from geovq.models.classifier import Classifier
from geovq.models.vae import VAE


def test_npz_round_trip_has_stable_bytes(tmp_path, rng):
    arrays = {"a": rng.random((3, 4)), "text": np.array("words")}
    for name in ("one.npz", "two.npz"):
        save_npz(tmp_path / name, "test", **arrays)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = load_npz(tmp_path / "one.npz", "a")
    assert (loaded["a"] == arrays["a"]).all()
    assert str(loaded["text"]) == "words"


def test_json_that_is_none_is_named(tmp_path):
    path = tmp_path / "info.json"
    with pytest.raises(InputError, match=r"info\.json: no such file"):
        load_json(path)
    path.write_text("{")
    with pytest.raises(InputError, match=r"info\.json: not a JSON file"):
        load_json(path)
    save_json(path, {"a": [1]})
    assert load_json(path) == {"a": [1]}


def test_a_failed_save_keeps_what_was_there(tmp_path):
    path = tmp_path / "metrics.json"
    save_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_json(path, {"a": float("nan")})
    assert path.read_text() == '{\n  "a": 1\n}\n'


def test_pickles_are_neither_written_nor_read(tmp_path):
    path = tmp_path / "objects.npz"
    with pytest.raises(InputError, match="Python objects"):
        save_npz(path, "test", a=np.array([{}]))
    np.savez(path, a=np.array([{}]))
    with pytest.raises(InputError, match=r"objects\.npz: holds pickled"):
        load_npz(path)


def test_broken_npz_files_are_named(tmp_path, rng):
    path = tmp_path / "broken.npz"
    with pytest.raises(InputError, match=r"broken\.npz: no such file"):
        load_npz(path)
    save_npz(path, "test", a=rng.random(1000))
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"broken\.npz: not a whole"):
        load_npz(path)
    np.save(tmp_path / "single.npy", rng.random(3))
    with pytest.raises(InputError, match=r"single\.npy: a single array"):
        load_npz(tmp_path / "single.npy")
    path.unlink()
    save_npz(path, "test", a=rng.random(3))
    with pytest.raises(InputError, match="no array 'b'; it holds a"):
        load_npz(path, "b")


def test_what_is_damaged_but_ours_may_be_replaced(tmp_path):
    for path, save in (
        (tmp_path / "a.npz", lambda path: save_npz(path, "test", a=[1])),
        (tmp_path / "a.safetensors", lambda path: save_module(path, VAE((8, 12), 3, [7]))),
    ):
        save(path)
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"version", b"venison"))
        save(path)
        assert len(path.read_bytes()) == len(whole)


def test_weights_rebuild_their_module_with_stable_bytes(tmp_path, images):
    vae = VAE((8, 12), latent_dim=3, hidden=[7])
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    for path in (one, two):
        save_module(path, vae)
    assert one.read_bytes() == two.read_bytes()
    again = load_module(one, VAE)
    assert not again.training
    assert (again.encode(images)[0] == vae.encode(images)[0]).all()


def test_broken_weights_are_named(tmp_path):
    path = tmp_path / "vae.safetensors"
    with pytest.raises(InputError, match=r"vae\.safetensors: no such file"):
        load_module(path, VAE)
    save_module(path, VAE((8, 12), 3, [7]))
    with pytest.raises(InputError, match="holds VAE; allowed here: Classifier"):
        load_module(path, Classifier)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match=r"vae\.safetensors: not a whole weights file"):
        load_module(path, VAE)


def test_loading_draws_no_random_number(tmp_path):
    save_module(tmp_path / "vae.safetensors", VAE((8, 12), 3, [7]))
    before = torch.get_rng_state()
    load_module(tmp_path / "vae.safetensors", VAE)
    assert torch.equal(torch.get_rng_state(), before)
