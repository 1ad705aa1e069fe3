"""The autoregressive prior: p(tokens) = Π_t p(token_t | token_<t)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from geovq.errors import InputError
from geovq.models.layers import check_size, perceptron

__all__ = ["Prior"]

HEADS = 4


class Prior(nn.Module):
    """GRU, LSTM or causal transformer over an image's tokens, or a perceptron over their latent.

    Each position has a vocabulary of its own (a code of the second residual level is another
    thing than a code of the first), so token c of position t is symbol c + Σ_{s<t} K_s, and only
    the symbols of position t have probability there.

    The perceptron sees what the tokens so far decode from, the sum of their code vectors, in place
    of the symbols: near codes then tell it of each other.

    Parameters
    ----------
    vocabulary : sequence of int of length T
        Codes at each position.
    cell : {'gru', 'lstm', 'transformer', 'mlp'}
    embed_dim : int
        Width of the embeddings, and of the transformer.
    hidden_dim : int
        Width of the recurrent state, of the transformer's feed-forward layers, or of the
        perceptron's.
    layers : int
    context : int
        The longest sequence the position embedding holds; at least T.
    latent_dim : int
        D of the code vectors, which only cell `mlp` has.
    codebook : str
        Fingerprint of the code vectors of its tokens.

    Attributes
    ----------
    vectors : Tensor of shape (Σ K_t + 1, D)
        What each symbol adds to the latent; the last begins a sequence, and adds nothing.
    """

    vectors: Tensor

    def __init__(
        self,
        vocabulary: Sequence[int],
        cell: str = "gru",
        embed_dim: int = 64,
        hidden_dim: int = 128,
        context: int = 32,
        layers: int = 1,
        latent_dim: int = 0,
        codebook: str = "",
    ) -> None:
        super().__init__()
        if cell == "mlp" and latent_dim < 1:
            raise InputError(f"latent_dim = {latent_dim}; allowed with cell mlp: at least 1")
        if context < len(vocabulary):
            raise InputError(f"context = {context}; allowed: at least {len(vocabulary)} tokens")
        self.config: dict[str, Any] = {
            "vocabulary": list(vocabulary),
            "cell": cell,
            "embed_dim": embed_dim,
            "hidden_dim": hidden_dim,
            "context": context,
            "layers": layers,
            "latent_dim": latent_dim,
            "codebook": codebook,
        }
        self.vocabulary = tuple(vocabulary)
        symbols = sum(vocabulary)
        seen = cell == "mlp"  # symbols through their code vectors
        check_size(
            "weights of the prior's symbols", symbols + 1, max(embed_dim, hidden_dim, latent_dim)
        )
        check_size("weights of the prior's positions", context, embed_dim)
        check_size("the prior's mask", len(vocabulary), symbols)
        check_size("weights of the prior's layers", 4, layers, embed_dim + hidden_dim, hidden_dim)
        self.embedding: nn.Module = (
            nn.Linear(latent_dim, embed_dim) if seen else nn.Embedding(symbols + 1, embed_dim)
        )
        self.position = nn.Embedding(context, embed_dim)
        self.network: nn.Module
        if seen:
            layout = [embed_dim, *[hidden_dim] * layers]
            self.network = nn.Sequential(*perceptron(layout), nn.GELU())
        else:
            network = {"gru": nn.GRU, "lstm": nn.LSTM, "transformer": _Transformer}[cell]
            self.network = network(embed_dim, hidden_dim, layers, batch_first=True)
        self.head = nn.Linear(embed_dim if cell == "transformer" else hidden_dim, symbols)
        self.register_buffer("vectors", torch.zeros(symbols + 1, latent_dim), persistent=seen)
        # Their device is said, for they have values even where the weights are but shapes.
        sizes = torch.tensor(self.vocabulary, device="cpu")
        self.offsets: Tensor
        self.foreign: Tensor
        self.register_buffer("offsets", sizes.cumsum(0) - sizes, persistent=False)
        places = torch.arange(len(sizes), device="cpu")
        owner = torch.repeat_interleave(places, sizes)
        foreign = owner[None, :] != places[:, None]  # (T, symbols)
        self.register_buffer("foreign", foreign, persistent=False)

    def see(self, vectors: Tensor) -> None:
        """Take code vectors (Σ K_t, D), those of the first position first, for cell `mlp`."""
        self.vectors[:-1] = vectors

    @torch.no_grad()
    def begin_with(self, frequencies: Tensor) -> None:
        """Make it the prior without memory whose codes have frequencies (Σ K_t,), none of them 0.

        From there training can but gain, whatever there is to learn.
        """
        self.head.weight.zero_()
        self.head.bias.copy_(frequencies.log())

    def _step(self, symbols: Tensor, first: int, state: Any) -> tuple[Tensor, Any]:
        """Log-probabilities (N, L, symbols) of positions first, first + 1, ..., first + L − 1."""
        positions = torch.arange(first, first + symbols.shape[1], device=symbols.device)
        places = self.position(positions)
        if self.config["cell"] == "mlp":
            latents = self.vectors[symbols].cumsum(1) + (0 if state is None else state)
            hidden, state = self.network(self.embedding(latents) + places), latents[:, -1:]
        else:
            hidden, state = self.network(self.embedding(symbols) + places, state)
        logits = self.head(hidden).masked_fill(self.foreign[positions], -torch.inf)
        return logits.log_softmax(-1), state

    def _begin(self, count: int) -> Tensor:
        return self.offsets.new_full((count, 1), sum(self.vocabulary))

    def forward(self, tokens: Tensor) -> Tensor:
        """Log-probability of every token given those before it.

        Parameters
        ----------
        tokens : Tensor of shape (N, T), int64

        Returns
        -------
        Tensor of shape (N, T), nats
        """
        symbols = tokens + self.offsets
        inputs = torch.cat([self._begin(len(tokens)), symbols[:, :-1]], 1)
        log_probabilities, _ = self._step(inputs, 0, None)
        return log_probabilities.gather(2, symbols[:, :, None])[:, :, 0]

    @torch.no_grad()
    def sample(
        self, count: int, *, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw token sequences, one token at a time.

        Parameters
        ----------
        count : int
        temperature : float
            Logits are divided by it: below 1 the likely tokens gain.
        generator : torch.Generator, optional

        Returns
        -------
        Tensor of shape (count, T), int64
        """
        symbol, state, drawn = self._begin(count), None, []
        for position in range(len(self.vocabulary)):
            log_probabilities, state = self._step(symbol, position, state)
            probabilities = (log_probabilities[:, 0] / temperature).softmax(-1)
            symbol = torch.multinomial(probabilities, 1, generator=generator)
            drawn.append(symbol)
        return torch.cat(drawn, 1) - self.offsets


class _Transformer(nn.Module):
    """Pre-norm transformer in which a position sees itself and those before it.

    Called as the recurrent networks are; its state is all the inputs so far.
    """

    def __init__(self, width: int, feedforward: int, layers: int, *, batch_first: bool) -> None:
        super().__init__()
        if width % HEADS:
            raise InputError(f"embed_dim = {width}; allowed with cell transformer: multiples of 4")
        layer = nn.TransformerEncoderLayer(
            width,
            HEADS,
            feedforward,
            dropout=0.0,
            activation="gelu",
            batch_first=batch_first,
            norm_first=True,
        )
        norm = nn.LayerNorm(width)
        self.layers = nn.TransformerEncoder(layer, layers, norm, enable_nested_tensor=False)

    def forward(self, inputs: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = inputs if state is None else torch.cat([state, inputs], 1)
        length = seen.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length, device=seen.device)
        hidden = self.layers(seen, mask, is_causal=True)
        return hidden[:, -inputs.shape[1] :], seen
