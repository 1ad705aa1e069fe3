"""The VQ-VAE: its losses, its codebooks, its tokens."""

import pytest
import torch
import torch.nn.functional as F

from geovq.errors import InputError
from geovq.models.code_decoder import CodeDecoder
from geovq.models.vqvae import VQVAE


def vqvae(**options):
    given = {"vocabulary": (5, 4, 4), "layout": "residual"} | options
    return VQVAE((8, 12), latent_dim=6, hidden=[16], **given)


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_vqvae_shapes_and_gradients(images, layout, update):
    model = vqvae(vocabulary=(5, 5, 5), layout=layout, codebook_update=update)
    before = [codebook.detach().clone() for codebook in model.codebooks]
    bce, penalty = model(images)
    assert bce.shape == penalty.shape == (40,)
    (bce + penalty).mean().backward()
    networks = [*model.encoder.parameters(), *model.decoder.parameters()]
    assert all(p.grad.abs().sum() > 0 for p in networks)
    for old, codebook in zip(before, model.codebooks, strict=True):
        if update == "gradient":
            assert codebook.grad.abs().sum() > 0
        else:
            assert codebook.grad is None
            assert not torch.equal(old, codebook)


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
def test_vqvae_round_trip(pictures, layout):
    model = VQVAE(pictures.shape[1:], 6, [16], (5, 5, 5), layout).eval()
    tokens = model.encode(pictures)
    assert tokens.shape == (40, 3)
    assert tokens.dtype == torch.int64
    assert model.prototypes().shape == (5, *pictures.shape[1:])
    quantized = model.quantize(model.encoder(pictures))[1]
    torch.testing.assert_close(model.decode(tokens), model.decoder(quantized))


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
@pytest.mark.parametrize("kind", ["vqvae", "posthoc"])
def test_the_first_tokens_decode_alone(layout, kind):
    """What is left out adds nothing; in a grid it is the mean code."""
    grid = layout == "grid"
    model = vqvae(vocabulary=(5, 5, 5), layout=layout).eval()
    if kind == "posthoc":
        model = CodeDecoder((8, 12), 6, [16], (5, 5, 5), grid=grid).eval()
        for codebook in model.codebooks:
            torch.nn.init.normal_(codebook)
    tokens = torch.randint(5, (40, 3))
    wide = [c.detach() for c in model.codebooks]  # what each code adds to the whole latent, (5, 6)
    if grid:
        wide = [F.pad(wide[0], (2 * t, 4 - 2 * t)) for t in range(3)]
    elif kind == "vqvae" and layout == "product":
        wide = [F.pad(c, (2 * t, 4 - 2 * t)) for t, c in enumerate(wide)]
    for count in (1, 2, 3):
        parts = [wide[t][tokens[:, t]] for t in range(count)]
        parts += [wide[t].mean(0).expand(40, 6) for t in range(count, 3) if grid]
        expected = model.decoder(torch.stack(parts).sum(0))
        torch.testing.assert_close(model.decode(tokens[:, :count]), expected)
    if not grid:
        torch.testing.assert_close(model.decode(torch.arange(5)[:, None]), model.prototypes())
    for wrong in (tokens[:, :0], tokens[:, [0, 0, 0, 0]]):
        with pytest.raises(InputError, match=r"tokens of shape .*; allowed: \(N, 1\) to \(N, 3\)"):
            model.decode(wrong)


def test_vqvae_losses_are_sums_over_dimensions(images):
    model = vqvae(vocabulary=(5,), commitment=0.25).eval()
    latents = model.encoder(images)
    _, _, codebook_loss, commitment_loss = model.quantize(latents)
    distance = torch.cdist(latents, model.codebooks[0]).min(1).values.square()
    torch.testing.assert_close(codebook_loss, distance)
    torch.testing.assert_close(commitment_loss, distance)
    torch.testing.assert_close(model(images)[1], 1.25 * distance)


@pytest.mark.parametrize("layout", ["residual", "product"])
@pytest.mark.parametrize("update", ["gradient", "ema"])
def test_each_term_of_the_penalty_moves_what_it_is_to_move(images, layout, update):
    """The commitment, times β, moves the encoder alone; the other term the codes alone."""
    model = vqvae(layout=layout, codebook_update=update, commitment=0.25).eval()
    caught = []
    model.encoder.register_forward_hook(lambda module, inputs, output: caught.append(output))
    penalty = model(images)[1]
    caught[0].retain_grad()
    penalty.sum().backward()
    tokens, expected = model.encode(images), torch.zeros(40, 6)
    rest = caught[0].detach()
    for level, codebook in enumerate(model.codebooks):
        dims = slice(None) if layout == "residual" else slice(2 * level, 2 * level + 2)
        gaps = rest[:, dims] - codebook.detach()[tokens[:, level]]
        expected[:, dims] += 2 * 0.25 * gaps
        if update == "gradient":
            moved = torch.zeros(codebook.shape).index_add(0, tokens[:, level], -2 * gaps)
            torch.testing.assert_close(codebook.grad, moved)
        if layout == "residual":
            rest = gaps
    torch.testing.assert_close(caught[0].grad, expected)


def test_the_decoder_gradient_passes_straight_through(images):
    """What reaches the encoder is the gradient at the quantised latents."""
    model = vqvae(commitment=0.0, codebook_update="ema").eval()
    caught = []

    def catch(module, inputs, output):
        output.register_hook(caught.append)

    model.encoder.register_forward_hook(catch)
    model(images)[0].sum().backward()
    quantized = model.quantize(model.encoder(images))[1].detach().requires_grad_()
    model.likelihood(model.decoder(quantized), images).sum().backward()
    torch.testing.assert_close(caught[0], quantized.grad)


def test_cells_of_a_grid_share_the_codebook_and_its_losses(images):
    model = VQVAE((8, 12), 12, [4, 4], (5,) * 6, "grid", architecture="conv").eval()
    latents = model.encoder(images)
    tokens, _, codebook_loss, _ = model.quantize(latents)
    distances = torch.cdist(latents.view(40, 6, 2), model.codebooks[0])
    assert (tokens == distances.argmin(2)).all()
    torch.testing.assert_close(codebook_loss, distances.min(2).values.square().sum(1))
    model.place_codes(images)
    assert len(model.encode(images).unique()) == 5


def test_moving_averages_reach_the_cell_means(images):
    model = vqvae(vocabulary=(3,), codebook_update="ema", decay=0.5)
    model.place_codes(images)
    with torch.no_grad():
        for _ in range(60):
            model(images)
        latents = model.encoder(images)
        tokens = model.quantize(latents)[0][:, 0]
        means = torch.stack([latents[tokens == c].mean(0) for c in range(3)])
    torch.testing.assert_close(model.codebooks[0].detach(), means, rtol=1e-3, atol=1e-4)


def test_a_step_of_the_moving_averages_is_their_formula(images):
    model = vqvae(vocabulary=(3,), codebook_update="ema", decay=0.9)
    model.place_codes(images)
    codes, counts = model.codebooks[0].clone(), model.counts.get_buffer("0").clone()
    latents = model.encoder(images).detach()
    tokens = model.encode(images)[:, 0]  # in training, encoding moves them too
    members = F.one_hot(tokens, 3).float()
    after = 0.9 * counts + 0.1 * members.sum(0)
    expected = (0.9 * counts[:, None] * codes + 0.1 * members.T @ latents) / after[:, None]
    torch.testing.assert_close(model.counts.get_buffer("0"), after)
    torch.testing.assert_close(model.codebooks[0].detach(), expected)
    model.eval()(images)
    torch.testing.assert_close(model.codebooks[0].detach(), expected)


def test_codes_are_placed_at_kmeans_centres_and_all_used(images):
    model = vqvae(vocabulary=(5, 4, 4)).eval()
    model.place_codes(images)
    tokens, rest = model.encode(images), model.encoder(images).detach()
    assert [len(t.unique()) for t in tokens.T] == [5, 4, 4]
    for codebook, token in zip(model.codebooks, tokens.T, strict=True):
        members = F.one_hot(token, len(codebook)).float()
        torch.testing.assert_close(codebook.detach(), members.T @ rest / members.sum(0)[:, None])
        rest = rest - codebook[token].detach()


@pytest.mark.parametrize("layout", ["residual", "product", "grid"])
def test_vectors_add_up_to_what_is_decoded(images, layout):
    model = vqvae(vocabulary=(5, 5, 5), layout=layout).eval()
    tokens, quantized, _, _ = model.quantize(model.encoder(images))
    parts = [model.vectors(t)[tokens[:, t]] for t in range(3)]
    torch.testing.assert_close(torch.stack(parts).sum(0), quantized)


def test_more_codes_than_images_can_be_placed(images):
    model = vqvae(vocabulary=(30,)).eval()
    model.place_codes(images[:10])
    assert torch.isfinite(model.codebooks[0]).all()
    assert len(model.codebooks[0].unique(dim=0)) == 30
    assert len(model.encode(images[:10]).unique()) == 10


def test_warm_up_does_not_quantise(images):
    model = vqvae()
    for _ in range(2):
        bce, penalty = model(images, quantized=False)
        assert penalty.eq(0).all()
        expected = model.likelihood(model.decoder(model.encoder(images)), images)
        torch.testing.assert_close(bce, expected)
        model.eval()


def test_prototypes_are_the_first_codes_alone(images):
    model = vqvae(vocabulary=(5, 5, 5), layout="product")
    with torch.no_grad():
        for codebook in model.codebooks[1:]:
            codebook.zero_()
    tokens = torch.stack([torch.arange(5), torch.zeros(5).long(), torch.zeros(5).long()], 1)
    torch.testing.assert_close(model.prototypes(), model.decode(tokens))


@pytest.mark.parametrize(("layout", "shared"), [("residual", 1), ("product", 1), ("grid", 2)])
def test_counts_begin_at_what_a_batch_holds(images, layout, shared):
    model = vqvae(vocabulary=(5, 5), layout=layout, codebook_update="ema")
    model.place_codes(images, batch_size=32)
    for counts in model.counts.buffers():
        assert counts.sum().item() == pytest.approx(32 * shared, abs=0.01)
    assert "counts.0" in model.state_dict()
