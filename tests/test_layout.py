"""Layouts: what they say of positions, and that nobody else has to know one."""

import json
from typing import get_args

import numpy as np
import pytest
import torch

from geovq.codec.tokenizer import PostHocTokenizer
from geovq.errors import InputError
from geovq.files.store import save_npz
from geovq.models.code_decoder import CodeDecoder
from geovq.models.vae import VAE
from geovq.models.vqvae import VQVAE
from geovq.params.sections import GeodesicQuantize
from geovq.quantization.layout import (
    LAYOUTS,
    Grid,
    LayoutName,
    Product,
    Residual,
    balanced_chunks,
    layout_of,
    refined_layout,
    sample_cells,
)
from geovq.quantization.quantizer import GeodesicQuantizer


def test_layouts_are_known_by_their_names():
    assert tuple(LAYOUTS) == get_args(LayoutName)
    assert GeodesicQuantize.model_fields["layout"].annotation == LayoutName
    for name, cls in LAYOUTS.items():
        assert layout_of(name, 3, 6) == cls(3, 6)
    for name in ("tree", ["grid"], None):
        with pytest.raises(InputError, match=r"^layout = .*; allowed: residual, product, grid$"):
            layout_of(name, 3, 6)


@pytest.mark.parametrize("cls", [Product, Grid])
@pytest.mark.parametrize("tokens", [0, 4])
def test_latents_are_cut_into_equal_parts(cls, tokens):
    message = f"^tokens = {tokens}: the {cls.name} layout cuts latent_dim = 6 into .* its divisors$"
    with pytest.raises(InputError, match=message):
        cls(tokens, 6)
    with pytest.raises(InputError, match=f"^a.b = {tokens}: .* cuts c = 6 into"):
        cls.check(tokens, 6, "a.b", "c")
    Residual(4, 6)


@pytest.mark.parametrize("cls", LAYOUTS.values())
def test_codebooks_and_dimensions_of_positions(cls):
    layout, positions = cls(3, 6), np.arange(3)
    assert np.concatenate([positions[places] for places in layout.tables]).tolist() == [0, 1, 2]
    for t in range(3):
        assert layout.sharing(t) == layout.tables[layout.table(t)]
        assert t in positions[layout.sharing(t)]
    parts = [layout.part(slice(t, t + 1)) for t in range(3)]
    assert {part.stop - part.start for part in parts} == {layout.width}
    if cls is Residual:
        assert layout.width == 6
    else:
        assert parts == [slice(0, 2), slice(2, 4), slice(4, 6)]
        assert layout.part(slice(1, 3)) == slice(2, 6)
    assert len(layout.tables) == (1 if cls is Grid else 3)
    assert refined_layout(layout.shared) == (Grid if cls is Grid else Residual)


@pytest.mark.parametrize("arrays", [np.asarray, torch.as_tensor])
@pytest.mark.parametrize("cls", LAYOUTS.values())
def test_what_is_left_over_and_left_out(cls, arrays, rng):
    layout, points, codes = cls(3, 6), arrays(rng.random((5, 6))), arrays(rng.random((4, 2)))
    rest = layout.rest(points, points - 1)
    assert (rest == (1 if cls is Residual else points)).all()
    found = layout.left_out([codes, codes + 1])
    if cls is Grid:
        means = np.asarray(codes).mean(0)
        np.testing.assert_allclose(np.stack([np.asarray(x) for x in found]), [means, means + 1])
    else:
        assert found == []
    which, counted = layout.counted(arrays(np.arange(15).reshape(5, 3)))
    expected = range(15) if cls is Grid else range(0, 15, 3)
    assert counted.tolist() == list(expected)
    assert which == ("all cells" if cls is Grid else "first token")


@pytest.mark.parametrize("cls", LAYOUTS.values())
def test_blocks_are_fitted_alike(cls, rng):
    layout, latents, kl = cls(3, 6), rng.random((5, 6)), np.array([1.0, 2, 3, 4, 5, 6])
    rows = layout.fitted_on(latents, seed=0)
    chunks = layout.chunks(lambda: kl)
    assert rows.shape == (5 * layout.blocks, 6 // layout.blocks)
    assert len(chunks) * layout.blocks == 3
    assert {chunk.dtype for chunk in chunks} == {np.dtype(np.int64)}
    if cls is Residual:
        assert [chunk.tolist() for chunk in chunks] == [list(range(6))] * 3
    else:
        assert sorted(np.concatenate(chunks)) == list(range(6 // layout.blocks))
    clustered = [layout.clustered(t) for t in range(3)]
    assert clustered == ([True, False, False] if cls is Residual else [True] * 3)


@pytest.mark.parametrize("cls", LAYOUTS.values())
def test_what_pictures_show(cls):
    layout = cls(6, 12)
    assert layout.cells((2, 3)) == ((2, 3) if cls is Grid else None)
    assert layout.cells((2, 2)) is layout.cells(None) is None
    assert layout.mapped == (("middle cell", 4) if cls is Grid else ("first token", 0))
    shown = [len(range(6)[places]) for places in layout.shown]
    assert shown == {Residual: [1], Product: [1] * 6, Grid: [6]}[cls]


@pytest.mark.parametrize("change", [{"layout": "tree"}, {"layout": "product", "tokens": 4}])
def test_a_file_with_a_layout_that_cannot_be_is_named(latents, tmp_path, change):
    quantizer, path = GeodesicQuantizer(8).fit(*latents), tmp_path / "codebook.npz"
    quantizer.set_params(**change)
    names = {"parameters": np.array(json.dumps(quantizer.get_params()))}
    save_npz(path, "codebook", scale=quantizer.scale_, **names)
    with pytest.raises(InputError, match=r"codebook\.npz: (layout = 'tree'|tokens = 4: the prod)"):
        GeodesicQuantizer.load(path)


class Halves(Product):
    """A product whose chunks are as they come."""

    name = "halves"

    def chunks(self, kl):
        return super(Product, self).chunks(kl)

    @property
    def mapped(self):
        return "last token", self.positions - 1


def test_a_new_layout_is_a_class(latents, images, tmp_path, monkeypatch):
    monkeypatch.setitem(LAYOUTS, "halves", Halves)
    quantizer = GeodesicQuantizer(5, 2, layout="halves", metric="euclidean").fit(latents[0])
    assert [chunk.tolist() for chunk in quantizer.chunks_] == [[0, 1, 2], [3, 4, 5]]
    quantizer.save(tmp_path / "codebook.npz")
    again = GeodesicQuantizer.load(tmp_path / "codebook.npz")
    assert (again.encode(latents[0]) == quantizer.encode(latents[0])).all()
    vae = VAE((8, 12), 6, [16]).eval()
    for tokenizer in (
        PostHocTokenizer(vae, quantizer),
        PostHocTokenizer(vae, quantizer, CodeDecoder.of(vae, quantizer, candidates=2)),
        VQVAE((8, 12), 6, [16], (5, 5), "halves"),
    ):
        tokens = tokenizer.encode(images)
        assert tokenizer.decode(tokens).shape == images.shape
        assert tokenizer.layout == Halves(2, 6)
        assert tokenizer.layout.mapped == ("last token", 1)
    with pytest.raises(InputError, match="tokens = 4: the halves layout cuts latent_dim = 6"):
        GeodesicQuantizer(5, 4, layout="halves").fit(*latents)


def test_a_sample_has_no_cell_twice(monkeypatch):
    monkeypatch.setattr("geovq.quantization.layout.SAMPLE", 100)
    rows = sample_cells(150, seed=1)
    assert len(rows) == 100
    assert (np.diff(rows) > 0).all()
    assert (rows == sample_cells(150, seed=1)).all()
    assert (rows != sample_cells(150, seed=2)).any()
    assert (sample_cells(100, seed=1) == np.arange(100)).all()


def test_chunks_are_balanced_by_kl():
    kl = np.array([9, 1, 5, 4, 3, 2.0])
    chunks = balanced_chunks(kl, 2)
    assert sorted(np.concatenate(chunks)) == list(range(6))
    assert [len(c) for c in chunks] == [3, 3]
    assert abs(kl[chunks[0]].sum() - kl[chunks[1]].sum()) <= 2
    assert abs(kl[:3].sum() - kl[3:].sum()) == 6
