"""Models elsewhere: in memory, on a hub that is a folder, with a card for people."""

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import fsspec
import numpy as np
import pytest

from geovq import Codec
from geovq.codec.card import model_card
from geovq.codec.folder import load_info
from geovq.errors import InputError, WeightsFileError

FILES = {"codebook.npz", "prior.safetensors", "info.json", "geovq.json", "README.md"}


@pytest.fixture(scope="module")
def codec():
    latents = np.random.default_rng(0).standard_normal((80, 4))
    return Codec.fit_latents(latents, codes=4, tokens=2, steps=2)


@pytest.fixture(scope="module")
def other():
    latents = np.random.default_rng(1).standard_normal((80, 4))
    return Codec.fit_latents(latents, codes=4, tokens=2, train_ar=None)


@pytest.fixture
def memory():
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose repositories are folders, with the calls that are made of it."""
    home = tmp_path / "hub"

    class HfApi:
        def create_repo(self, repo_id, *, private, exist_ok):
            assert private
            assert exist_ok
            (home / repo_id).mkdir(parents=True, exist_ok=True)
            (home / repo_id / ".gitattributes").touch()

        def list_repo_files(self, repo_id, *, revision):
            return [path.name for path in (home / repo_id).iterdir()]

        def upload_folder(self, *, repo_id, folder_path, revision, commit_message, delete_patterns):
            for name in delete_patterns:
                (home / repo_id / name).unlink(missing_ok=True)
            shutil.copytree(folder_path, home / repo_id, dirs_exist_ok=True)

    def snapshot_download(repo_id, *, revision):
        if revision not in (None, "main") or not (home / repo_id).exists():
            raise OSError(f"404: no repository {repo_id}\nand much more")
        return str(home / repo_id)

    module = SimpleNamespace(HfApi=HfApi, snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return home


def same(one, two):
    tokens = np.array([[0, 0], [3, 1]])
    return (
        one.fingerprint == two.fingerprint
        and (one.decode_latents(tokens) == two.decode_latents(tokens)).all()
    )


@pytest.mark.parametrize("address", ["memory://bucket/model", "hf://lab/model", "folder/model"])
def test_what_is_pushed_can_be_had_again(codec, other, memory, hub, tmp_path, monkeypatch, address):
    monkeypatch.chdir(tmp_path)
    codec.push(address)
    found = Codec.from_pretrained(address, device="cpu")
    assert same(found, codec)
    assert (found.sample(5) == codec.sample(5)).all()
    other.push(address)
    again = Codec.from_pretrained(address)
    assert same(again, other)
    assert again.prior is None


def test_a_folder_or_an_address_holds_the_model_and_its_card(codec, memory, hub, tmp_path):
    codec.push(tmp_path / "model")
    codec.push("memory://bucket/model")
    codec.push("hf://lab/model")
    assert {path.name for path in (tmp_path / "model").iterdir()} == FILES
    assert {path.rpartition("/")[2] for path in memory.ls("bucket/model", detail=False)} == FILES
    assert {path.name for path in (hub / "lab/model").iterdir()} == FILES | {".gitattributes"}
    codec.save(tmp_path / "plain")
    for name in FILES - {"README.md", "geovq.json"}:
        content = (tmp_path / "plain" / name).read_bytes()
        assert (tmp_path / "model" / name).read_bytes() == content
        assert memory.cat(f"bucket/model/{name}") == content
    assert not (tmp_path / "plain" / "README.md").exists()


def test_a_model_without_a_prior_leaves_none_of_the_one_before(codec, other, memory, hub):
    for address in ("memory://bucket/model", "hf://lab/model"):
        codec.push(address)
        other.push(address)
    assert not memory.exists("bucket/model/prior.safetensors")
    assert not (hub / "lab/model/prior.safetensors").exists()


def test_a_card_may_be_changed_or_taken_away(codec, tmp_path):
    codec.push(tmp_path / "model")
    card = tmp_path / "model" / "README.md"
    card.write_text("in other words")
    assert load_info(tmp_path / "model") == codec.info
    card.unlink()
    assert same(Codec.load(tmp_path / "model"), codec)
    codec.save(tmp_path / "model")  # in its place
    assert not card.exists()


def test_the_card_says_what_the_model_is(codec):
    card = model_card(codec.info, "hf://lab/model")
    assert card.startswith("---\nlibrary_name: geovq\n")
    assert "Codec.from_pretrained('hf://lab/model')" in card
    assert "| vocabulary | 2 × 4 codes, 4 bits/latent |" in card
    error = codec.info["validation"]["squared_error"]
    assert f"| squared_error | {error:.5g} |" in card
    assert '"codes": 4' in card
    odd = {**codec.info, "vae": "own", "validation": {"<b>\n": 1.0}}
    assert "| &lt;b&gt;  | 1 |" in model_card(odd, "a")
    assert "from_pretrained('a', vae=yours)" in model_card(odd, "a")


def test_what_is_of_somebody_else_stays(codec, memory, hub):
    memory.pipe("bucket/notes/thesis.tex", b"words")
    memory.pipe("bucket/file", b"words")
    codec.push("memory://bucket/model")
    memory.pipe("bucket/model/mine.txt", b"words")
    (hub / "lab/model").mkdir(parents=True)
    (hub / "lab/model/info.json").write_text("{}")
    for address, name in (
        ("memory://bucket/notes", "thesis.tex"),
        ("memory://bucket/model", "mine.txt"),
        ("hf://lab/model", "info.json"),
    ):
        with pytest.raises(InputError, match=f"^{address}: holds {name}, which geovq did not"):
            codec.push(address)
    with pytest.raises(InputError, match="a file; allowed: a new place"):
        codec.push("memory://bucket/file")
    assert memory.cat("bucket/notes/thesis.tex") == b"words"
    assert (hub / "lab/model/info.json").read_text() == "{}"
    assert same(Codec.from_pretrained("memory://bucket/model"), codec)


def test_damage_is_named_by_its_address(codec, memory):
    address = "memory://bucket/model"
    codec.push(address)
    content = bytearray(memory.cat("bucket/model/prior.safetensors"))
    content[-1] ^= 1
    memory.pipe("bucket/model/prior.safetensors", bytes(content))
    with pytest.raises(InputError, match=f"^{address}/prior.safetensors: not the file that"):
        Codec.from_pretrained(address)
    memory.rm("bucket/model/prior.safetensors")
    with pytest.raises(InputError, match=f"^{address}/prior.safetensors: No such file"):
        Codec.from_pretrained(address)


def test_errors_keep_their_kind(memory, codec):
    from geovq.codec.sharing import fetched

    codec.push("memory://bucket/model")
    with (
        pytest.raises(WeightsFileError, match=r"^memory://bucket/model/x: gone"),
        fetched("memory://bucket/model") as folder,
    ):
        raise WeightsFileError(f"{folder}/x: gone")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("memory://nowhere", "no model that geovq wrote; allowed: a folder, hf://"),
        ("nowhere", "no such folder"),
        ("odd://place", "odd"),
        ("hf://model", "allowed: hf://ORGANISATION/NAME, or with @REVISION behind it"),
        ("hf://a/b/c", "allowed: hf://ORGANISATION/NAME"),
        ("hf:///b", "allowed: hf://ORGANISATION/NAME"),
        ("hf://lab/absent", "404: no repository lab/absent; allowed: a folder"),
        ("hf://lab/model@v2", "404: no repository lab/model; allowed: a folder"),
    ],
)
def test_an_address_without_a_model_is_named(memory, hub, address, message):
    with pytest.raises(InputError) as caught:
        Codec.from_pretrained(address)
    assert str(caught.value).startswith(f"{address}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "address", "line"),
    [
        ("huggingface_hub", "hf://lab/model", "pip install 'geovq[hub]'"),
        ("fsspec.core", "memory://model", "pip install fsspec"),
    ],
)
def test_what_is_not_installed_is_said(codec, monkeypatch, package, address, line):
    monkeypatch.setitem(sys.modules, package, None)
    for call in (codec.push, Codec.from_pretrained):
        with pytest.raises(ImportError) as caught:
            call(address)
        assert line in str(caught.value)


def test_the_calls_are_those_of_the_package():
    hub = pytest.importorskip("huggingface_hub")
    from inspect import signature

    for call, names in (
        (hub.HfApi.create_repo, {"repo_id", "private", "exist_ok"}),
        (hub.HfApi.list_repo_files, {"repo_id", "revision"}),
        (
            hub.HfApi.upload_folder,
            {"repo_id", "folder_path", "revision", "commit_message", "delete_patterns"},
        ),
        (hub.snapshot_download, {"repo_id", "revision"}),
    ):
        assert names <= signature(call).parameters.keys()


def test_an_old_model_opens_as_before(codec, tmp_path):
    codec.save(tmp_path / "model")
    assert same(Codec.from_pretrained(Path(tmp_path / "model")), codec)


@pytest.mark.parametrize("scheme", ["file://", "local://", "simplecache::file://"])
def test_addresses_of_this_machine_do_not_pass_by_its_one_writer(codec, tmp_path, scheme):
    codec.push(tmp_path / "model")
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    message = r"on this machine; allowed: the path itself, /"
    for use in (codec.push, Codec.from_pretrained):
        with pytest.raises(InputError, match=message):
            use(f"{scheme}{tmp_path}/model")
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
