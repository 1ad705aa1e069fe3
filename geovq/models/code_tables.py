"""Code vectors that are trained, in the tables of a layout: what two models decode from."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geovq.quantization.layout import Layout

__all__ = ["CodeTables"]


class CodeTables(nn.Module):
    """A base class: from tokens to a latent.

    Attributes
    ----------
    layout : Layout
    codebooks : ParameterList
        Codes (K, `layout.width`) of each of the layout's tables.
    """

    layout: Layout
    codebooks: nn.ParameterList

    def vectors(self, position: int) -> Tensor:
        """What each code of a position adds to the latent, (K, D)."""
        places = slice(position, position + 1)
        return self._wide(self.codebooks[self.layout.table(position)], places)

    def latents(self, tokens: Tensor) -> Tensor:
        """Tokens (N, t) → (N, D), as `geovq.codec.tokenizer.Tokenizer.decode` has it."""
        given = self.layout.given(tokens)
        found = [
            self._wide(codes[tokens[:, places]].flatten(1), places)
            for codes, places in zip(self.codebooks, self.layout.tables, strict=True)
            if places.start < given
        ]
        absent = range(given, self.layout.positions)
        codes = [self.codebooks[self.layout.table(t)] for t in absent]
        filled = [
            self._wide(vector[None], slice(t, t + 1))
            for t, vector in zip(absent, self.layout.left_out(codes), strict=False)
        ]
        latents = torch.stack(found).sum(0)
        return latents + torch.cat(filled).sum(0) if filled else latents

    def alone(self, position: int) -> Tensor:
        """Latents (K, D) of a position's codes, each in all positions that share them."""
        places = self.layout.sharing(position)
        codes = self.codebooks[self.layout.table(position)]
        return self._wide(codes.repeat(1, places.stop - places.start), places)

    def _wide(self, vectors: Tensor, places: slice) -> Tensor:
        """Vectors that begin where codes of these positions do → (·, D), 0 elsewhere."""
        before = self.layout.part(places).start
        return F.pad(vectors, (before, self.layout.dimensions - before - vectors.shape[1]))
