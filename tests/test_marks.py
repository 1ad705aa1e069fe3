"""The mark of a file: damage is noticed, and what is damaged, or tampered with, is refused."""

import hashlib
import json
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from geovq import GeodesicKMeans, GeodesicQuantizer
from geovq.errors import InputError, WeightsFileError
from geovq.files.marks import (
    HOLE,
    MARK_FILE,
    Mark,
    check_files,
    file_mark,
    folder_mark,
    mark_text,
    seal,
)
from geovq.files.store import load_module, load_npz, save_module, save_npz
from geovq.files.writing import new_folder
from geovq.models.classifier import Classifier
from geovq.models.code_decoder import CodeDecoder
from geovq.models.prior import Prior
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE

MODULES = {
    "VAE": lambda: VAE((8, 8), 2, [3]),
    "VAE of convolutions": lambda: VAE((8, 8, 3), 4, [3, 4], "conv", "logistic"),
    "VQVAE": lambda: VQVAE((8, 8), 2, [3], [4, 4]),
    "CodeDecoder": lambda: CodeDecoder((8, 8), 2, [3], [4, 4], candidates=10**6, again=True),
    "Classifier": lambda: Classifier((8, 8), 3),
    **{
        cell: lambda cell=cell: Prior([4, 5], cell, 4, 6, 8, 2, 3)
        for cell in ("gru", "lstm", "transformer", "mlp")
    },
}


def flipped(content, rng, count):
    """Copies with one byte changed: at both ends, and at places drawn at random."""
    ends = [*range(16), *range(len(content) - 120, len(content))]
    for at in [*ends, *rng.integers(0, len(content), count).tolist()]:
        changed = bytearray(content)
        changed[at] ^= int(rng.integers(1, 256))
        yield at, bytes(changed)


def refuses(read, name):
    """Whether it is refused in one line that names the file."""
    try:
        read()
    except InputError as error:
        return name in str(error) and "\n" not in str(error)
    return False


def test_a_mark_says_what_wrote_the_file(tmp_path):
    save_npz(tmp_path / "a.npz", "tokens", a=[1])
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:
        said = json.loads(archive.comment)
    assert said["format"] == "geovq tokens"
    assert said["version"] == 1
    assert said["written_by"].startswith("geovq ")
    assert file_mark(tmp_path / "a.npz") == Mark("tokens", {}, said)
    np.savez(tmp_path / "b.npz", a=[1])
    assert file_mark(tmp_path / "b.npz") is None
    with pytest.raises(InputError, match=r"b\.npz: no file of geovq's; allowed: geovq tokens"):
        load_npz(tmp_path / "b.npz", kind="tokens")
    with pytest.raises(InputError, match=r"a\.npz: geovq tokens; allowed: geovq codes"):
        load_npz(tmp_path / "a.npz", kind="codes")


def test_the_hash_is_that_of_the_file_with_the_hole_in_its_place(tmp_path):
    save_npz(tmp_path / "a.npz", "tokens", a=[1])
    save_module(tmp_path / "a.safetensors", VAE((8, 8), 2, [3]))
    for path in (tmp_path / "a.npz", tmp_path / "a.safetensors"):
        digest = file_mark(path).said["sha256"]
        content = path.read_bytes().replace(digest.encode(), HOLE)
        assert hashlib.sha256(content).hexdigest() == digest


def test_an_array_may_look_like_the_end_of_an_archive(tmp_path):
    array = np.frombuffer(b"PK\5\6" * 30, np.uint8)
    save_npz(tmp_path / "a.npz", "tokens", a=array)
    assert (load_npz(tmp_path / "a.npz", kind="tokens")["a"] == array).all()


def test_a_folder_holds_the_files_of_its_mark(tmp_path):
    path = tmp_path / "x"
    with new_folder(path, "test") as folder:
        for name in ("a.txt", "b.npz"):
            (folder / name).write_text(name)
    assert check_files(path, "test").files.keys() == {"a.txt", "b.npz"}
    with pytest.raises(InputError, match="x: test; allowed: a model that geovq wrote"):
        check_files(path, "model")
    for name in ("a.txt", "b.npz"):
        (path / name).write_text("other")
        with pytest.raises(InputError, match=f"{name}: not the file that this test was written"):
            check_files(path, "test")
        (path / name).unlink()
        with pytest.raises(InputError, match=f"{name}: No such file"):
            check_files(path, "test")
        (path / name).write_text(name)
    check_files(path, "test")
    mark = (path / MARK_FILE).read_bytes()
    (path / MARK_FILE).write_bytes(mark.replace(b"geovq 0", b"geovq 9"))
    with pytest.raises(InputError, match=r"its mark, geovq\.json, is absent or damaged"):
        check_files(path, "test")


@pytest.mark.parametrize("name", ["../a.txt", "/a.txt", "b/a.txt"])
def test_a_mark_that_leads_out_of_its_folder_is_none(name, tmp_path):
    for files, whole in (({"a.txt": "0" * 64}, True), ({name: "0" * 64}, False)):
        with open(tmp_path / MARK_FILE, "w+b") as stream:
            stream.write(mark_text("test", files=files).encode())
            seal(stream)
        assert (folder_mark(tmp_path) is not None) == whole


def test_any_flipped_byte_of_an_npz_file_is_noticed(tmp_path, rng):
    path = tmp_path / "a.npz"
    save_npz(path, "tokens", a=rng.integers(0, 9, (40, 3)), names=np.array(["x", "yy"]))
    for at, changed in flipped(path.read_bytes(), rng, 400):
        path.write_bytes(changed)
        assert refuses(lambda: load_npz(path, kind="tokens"), "a.npz"), f"byte {at}"


@pytest.mark.parametrize("name", MODULES)
def test_any_flipped_byte_of_weights_is_noticed(name, tmp_path, rng):
    path, module = tmp_path / "a.safetensors", MODULES[name]()
    save_module(path, module)
    content = path.read_bytes()
    again = load_module(path, type(module))
    for key, tensor in module.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor)
    for at, changed in flipped(content, rng, 60):
        path.write_bytes(changed)
        assert refuses(lambda: load_module(path, type(module)), "a.safetensors"), f"byte {at}"


def forged(path, change):
    """The weights file with its metadata changed, and a hash that fits again."""
    weights = load(path.read_bytes())
    start = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + start])
    said = json.loads(header["__metadata__"]["architecture"])
    said["sha256"] = HOLE.decode()
    text = change(said)
    text = text if isinstance(text, str) else json.dumps(said)
    with open(path, "w+b") as stream:
        stream.write(save(weights, {"architecture": text}))
        if HOLE.decode() in text:
            seal(stream)


TAMPERED = {
    "no JSON": lambda said: "{",
    "a list": lambda said: "[]",
    "no hash": lambda said: json.dumps({"class": "VAE", "config": said["config"]}),
    "no class": lambda said: said.pop("class"),
    "no config": lambda said: said.pop("config"),
    "a config that is a list": lambda said: said.update(config=[1]),
    "a key less": lambda said: said["config"].pop("image_shape"),
    "a key more": lambda said: said["config"].update(odd=1),
    "a huge size": lambda said: said["config"].update(latent_dim=10**9),
    "a huge layer": lambda said: said["config"].update(hidden=[10**9, 10**9]),
    "a negative size": lambda said: said["config"].update(latent_dim=-1),
    "a size of words": lambda said: said["config"].update(latent_dim="many"),
    "another size": lambda said: said["config"].update(latent_dim=3),
    "another shape": lambda said: said["config"].update(image_shape=[8]),
    "an unknown network": lambda said: said["config"].update(architecture="odd"),
    "another version": lambda said: said.update(version=99),
    "another format": lambda said: said.update(format="other weights"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_tampered_weights_are_refused_in_one_line(how, tmp_path):
    path = tmp_path / "vae.safetensors"
    save_module(path, VAE((8, 8), 2, [3]))
    forged(path, TAMPERED[how])
    with pytest.raises(InputError, match=r"vae\.safetensors: ") as found:
        load_module(path, VAE)
    assert "\n" not in str(found.value)


def test_an_endless_network_is_not_begun(tmp_path):
    path = tmp_path / "prior.safetensors"
    save_module(path, MODULES["gru"]())
    for change in ({"layers": 10**9}, {"context": 10**12}, {"vocabulary": [10**10, 5]}):
        forged(path, lambda said, change=change: said["config"].update(change))
        with pytest.raises(WeightsFileError, match=r"prior\.safetensors: not the weights of its"):
            load_module(path, Prior)
        save_module(path, MODULES["gru"]())


def test_weights_of_nan_are_refused(tmp_path):
    path, vae = tmp_path / "vae.safetensors", VAE((8, 8), 2, [3])
    with torch.no_grad():
        next(vae.parameters())[0, 0] = torch.nan
    save_module(path, vae)
    with pytest.raises(WeightsFileError, match="NaN or infinite"):
        load_module(path, VAE)


def rewritten(path, kind, **changes):
    """An npz file of geovq's with some arrays changed, or left out, and a hash that fits again."""
    arrays = load_npz(path)
    for name, array in changes.items():
        arrays[name] = array(arrays[name]) if callable(array) else array
    save_npz(path, kind, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": "{"},
        {"parameters": "[]"},
        {"parameters": '{"n_clusters": 3, "odd": 1}'},
        {"parameters": '{"n_clusters": 3}'},
        {"labels_": None},
        {"graph/indices": np.full(900, 10**6)},
        {"graph/indptr": np.arange(61)[::-1]},
        {"graph/indptr": lambda starts: starts[[0, 2, 1, *range(3, 61)]]},
        {"graph/data": np.ones(3)},
        {"graph/data": lambda lengths: -lengths},
        {"node_labels_": np.full(60, 9)},
        {"node_labels_": np.full(60, -1)},
        {"node_labels_": np.zeros(60)},
        {"node_medoids_": np.array([0, 1, 60])},
        {"node_rows_": np.full(60, 60)},
        {"row_nodes_": np.full(60, -2)},
        {"row_nodes_": np.zeros(3, np.int64)},
        {"node_distances_": np.zeros(3)},
        {"node_distances_": np.full(60, np.nan)},
        {"geometry/points": np.zeros((3, 3))},
        {"geometry/points": np.zeros((61, 3))},
        {"geometry/points": np.full((60, 3), np.nan)},
        {"geometry/points": None},
        {"geometry/neighbors": np.array(-1)},
        {"geometry/neighbors": np.array("many")},
        {"geometry/power": np.array(np.inf)},
    ],
)
def test_a_tampered_estimator_is_refused_in_one_line(change, tmp_path, rng):
    points = rng.standard_normal((60, 3))
    path = tmp_path / "kmeans.npz"
    GeodesicKMeans(3, n_neighbors=5, random_state=0).fit(points).save(path)
    assert (GeodesicKMeans.load(path).predict(points) >= 0).all()
    rewritten(path, "kmeans", **change)
    with pytest.raises(InputError, match=r"kmeans\.npz: ") as found:
        GeodesicKMeans.load(path)
    assert "\n" not in str(found.value)


@pytest.mark.parametrize("assignment", ["vote", "geodesic"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parameters", "{"),
        ("parameters", '{"tokens": 1000000000}'),
        ("parameters", '{"metric": "odd"}'),
        ("scale", np.ones(2)),
        ("scale", np.full(3, np.nan)),
        ("0/chunk", np.array([0, 1, 7])),
        ("0/chunk", None),
        ("*/vectors", np.ones((4, 2))),
        ("*/vectors", np.full((4, 3), np.inf)),
        ("*/labels", np.full(60, 4)),
        ("*/labels", np.full(60, 0.5)),
        ("*/labels", np.zeros(3, np.int64)),
        ("*/points", np.ones((60, 2))),
        ("*/neighbors", np.array(10**12)),
        ("*/neighbors", np.array(0)),
        ("1/NearestCells/vectors", None),
    ],
)
def test_a_tampered_codebook_is_refused_in_one_line(assignment, name, value, tmp_path, rng):
    points = rng.standard_normal((60, 3))
    path = tmp_path / "codebook.npz"
    options = {"metric": "euclidean", "neighbors": 5, "assignment": assignment}
    GeodesicQuantizer(4, 2, **options).fit(points).save(path)
    assert GeodesicQuantizer.load(path).encode(points).shape == (60, 2)
    level = {"vote": "0/VoteCells", "geodesic": "0/GeodesicCells"}[assignment]
    rewritten(path, "codebook", **{name.replace("*", level): value})
    with pytest.raises(InputError, match=r"codebook\.npz: ") as found:
        GeodesicQuantizer.load(path)
    assert "\n" not in str(found.value)


def test_a_mark_is_one_line_of_json():
    assert json.loads(mark_text("model", files={}))["format"] == "geovq model"
