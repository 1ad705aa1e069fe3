"""How T codes make up a latent of D dimensions; all that depends on the layout asks it here.

========== ================================== ========================= ==========================
layout     position t quantises               its codes                 when it is left out
========== ================================== ========================= ==========================
residual   what the positions before it       its own, (K_t, D)         nothing is added
           leave over, all D dimensions
product    a chunk of D/T dimensions          its own, (K_t, D/T)       nothing is added
grid       a cell, D/T dimensions one after   all cells share them,     its cell holds the mean of
           another                            (K, D/T)                  the codes
========== ================================== ========================= ==========================

A new layout is a class here, with its name in `LayoutName` and itself in `LAYOUTS`. Arrays are
NumPy's or torch's: methods keep to what both can do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from geovq.errors import InputError

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "LAYOUTS",
    "Layout",
    "LayoutName",
    "balanced_chunks",
    "layout_of",
    "refined_layout",
    "sample_cells",
]

LayoutName = Literal["residual", "product", "grid"]
SAMPLE = 60_000  # cells that a shared codebook is fitted on

Array = TypeVar("Array", bound=Any)


@dataclass(frozen=True)
class Layout:
    """What T positions are to a latent of D dimensions; here, what most layouts have in common.

    Parameters
    ----------
    positions : int
        T.
    dimensions : int
        D.

    Raises
    ------
    InputError
        T has to divide D, and does not.
    """

    positions: int
    dimensions: int

    name: ClassVar[LayoutName]
    cut: ClassVar[bool] = True  # latents are, into T equal parts
    shared: ClassVar[bool] = False  # one codebook for all positions
    first_level: ClassVar[bool] = False  # whose codebook may have a size of its own
    spatial: ClassVar[bool] = False  # positions are cells of a network's grid
    decodable: ClassVar[bool] = True  # what a position sees, all else at the prior's mean

    def __post_init__(self) -> None:
        self.check(self.positions, self.dimensions)

    @classmethod
    def check(
        cls, tokens: int, dimensions: int, of: str = "tokens", into: str = "latent_dim"
    ) -> None:
        """Raise `InputError` unless so many tokens suit so many dimensions, by their names."""
        if cls.cut and (tokens < 1 or dimensions % tokens):
            raise InputError(
                f"{of} = {tokens}: the {cls.name} layout cuts {into} = {dimensions} "
                "into that many equal chunks; allowed: its divisors"
            )

    def given(self, tokens: Any) -> int:
        """How many positions tokens (N, t) are of, from the first on.

        Raises
        ------
        InputError
            None, or more than there are.
        """
        if not 1 <= tokens.shape[1] <= self.positions:
            raise InputError(
                f"tokens of shape {tuple(tokens.shape)}; allowed: (N, 1) to (N, {self.positions})"
            )
        return tokens.shape[1]

    # --- codebooks

    def sharing(self, position: int) -> slice:
        """Positions that have the same codebook as this one."""
        return slice(0, self.positions) if self.shared else slice(position, position + 1)

    @property
    def tables(self) -> list[slice]:
        """Positions of each codebook."""
        return [self.sharing(t) for t in range(1 if self.shared else self.positions)]

    def table(self, position: int) -> int:
        """Which of the `tables` a position has."""
        return 0 if self.shared else position

    def part(self, positions: slice) -> slice:
        """Dimensions that codes at these positions fill."""
        width = self.dimensions // self.positions
        return slice(positions.start * width, positions.stop * width)

    @property
    def width(self) -> int:
        """Dimensions that one code fills."""
        return self.part(slice(0, 1)).stop

    def rest(self, points: Array, vectors: Array) -> Array:
        """What is left to quantise of points (N, D), of which a position has got its codes."""
        return points

    def left_out(self, codes: Sequence[Array]) -> list[Array]:
        """What left-out positions hold all the same, by their codes (K, F): a vector (F,) each."""
        return []

    # --- fitted to the latents of a trained VAE

    @property
    def blocks(self) -> int:
        """Equal parts of a latent that are quantised alike, each as if it were a latent."""
        return 1

    def fitted_on(self, rows: Array, seed: int) -> Array:
        """Rows (n, D / blocks) that codebooks are fitted on, of the latents' (N, D)."""
        return rows

    def chunks(self, kl: Callable[[], np.ndarray]) -> list[np.ndarray]:
        """Dimensions of a block that each position in it sees, int64.

        Parameters
        ----------
        kl : callable
            KL to the prior of each dimension, in nats; not asked where nothing depends on it.
        """
        import numpy as np  # late, here and below: to check parameters does without

        dimensions = np.arange(self.dimensions)
        each = range(self.positions // self.blocks)
        return [dimensions[self.part(slice(t, t + 1))] for t in each]

    def clustered(self, position: int) -> bool:
        """Whether a position is a partition of what it sees, not a correction of others."""
        return True

    # --- shown

    @property
    def shown(self) -> list[slice]:
        """Positions of each codebook that is worth looking at."""
        return self.tables

    def cells(self, grid: tuple[int, int] | None) -> tuple[int, int] | None:
        """Rows and columns of the network's grid of latents, if positions are its cells."""
        return None

    def counted(self, tokens: Array) -> tuple[str, Array]:
        """Which of the tokens (N, T) use the first codebook: in words, and flat."""
        return "first token", tokens[:, 0]

    @property
    def mapped(self) -> tuple[str, int]:
        """The position that says most of an image: in words, and which."""
        return "first token", 0


class Residual(Layout):
    """T levels over all D dimensions, each of what the levels before it leave over."""

    name = "residual"
    cut = False
    first_level = True

    def part(self, positions: slice) -> slice:
        return slice(0, self.dimensions)

    def rest(self, points: Array, vectors: Array) -> Array:
        return points - vectors

    def clustered(self, position: int) -> bool:
        return position == 0

    @property
    def shown(self) -> list[slice]:
        return self.tables[:1]  # decoded alone, a correction shows little


class Product(Layout):
    """T chunks of dimensions, each with codes of its own."""

    name = "product"

    def chunks(self, kl: Callable[[], np.ndarray]) -> list[np.ndarray]:
        return balanced_chunks(kl(), self.positions)


class Grid(Layout):
    """T cells, which share one codebook; in a latent they come one after another."""

    name = "grid"
    shared = True
    spatial = True
    decodable = False

    def left_out(self, codes: Sequence[Array]) -> list[Array]:
        return [vectors.mean(0) for vectors in codes]

    @property
    def blocks(self) -> int:
        return self.positions

    def fitted_on(self, rows: Array, seed: int) -> Array:
        cells = rows.reshape(len(rows) * self.positions, -1)
        return cells[sample_cells(len(cells), seed)]

    def cells(self, grid: tuple[int, int] | None) -> tuple[int, int] | None:
        return grid if grid and grid[0] * grid[1] == self.positions else None

    def counted(self, tokens: Array) -> tuple[str, Array]:
        return "all cells", tokens.reshape(-1)  # a corner alone is mostly background

    @property
    def mapped(self) -> tuple[str, int]:
        return "middle cell", (self.positions + isqrt(self.positions)) // 2


LAYOUTS: dict[str, type[Layout]] = {cls.name: cls for cls in (Residual, Product, Grid)}


def layout_of(name: Any, positions: int, dimensions: int) -> Layout:
    """The layout of that name.

    Raises
    ------
    InputError
        There is none, or T has to divide D, and does not.
    """
    for known, cls in LAYOUTS.items():
        if name == known:
            return cls(positions, dimensions)
    raise InputError(f"layout = {name!r}; allowed: {', '.join(LAYOUTS)}")


def refined_layout(shared: bool) -> type[Layout]:
    """Layout of codes that are trained on with a decoder, by whether positions share them.

    Codes of their own are bound to no dimensions then, whatever chunk they began in.
    """
    return Grid if shared else Residual


def balanced_chunks(kl: np.ndarray, chunks: int) -> list[np.ndarray]:
    """Cut D dimensions into equal chunks of nearly equal KL.

    The largest KL goes, one after another, to the chunk with the least so far that has room.

    Parameters
    ----------
    kl : ndarray of shape (D,)
        KL to the prior of each dimension, in nats.
    chunks : int
        A divisor of D.

    Returns
    -------
    list of ndarray of shape (D / chunks,), int64
    """
    import numpy as np

    members: list[list[int]] = [[] for _ in range(chunks)]
    for dimension in np.argsort(-kl, kind="stable"):
        free = [c for c in members if len(c) < len(kl) // chunks]
        min(free, key=lambda c: kl[c].sum()).append(int(dimension))
    return [np.sort(c) for c in members]


def sample_cells(n: int, seed: int) -> np.ndarray:
    """Rows of the cells that a shared codebook is fitted on: at most `SAMPLE` of n, in order."""
    import numpy as np

    if n <= SAMPLE:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, SAMPLE, replace=False))
