"""What a decoder's output says of an image: −log p(x | logits), in nats.

Whatever the likelihood, sigmoid(logits) is the pixel that is expected: the mean of a Bernoulli
variable, the centre of a logistic one. Logits and images have one shape, (N, H, W) or
(N, H, W, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geovq.errors import InputError
from geovq.models.layers import colours

__all__ = ["Bernoulli", "DiscretizedLogistic", "Likelihood", "likelihood_of"]

LEVELS = 256  # of an 8-bit pixel; x is a multiple of 1 / 255
START = 0.05  # scale before training, where white is 1: about that of a blurred photograph


class Bernoulli(nn.Module):
    """A pixel is white with probability p: −Σ_pixels [x log p + (1 − x) log(1 − p)].

    With grey values x in [0, 1], as is usual, it is no distribution over 8-bit images: nats are
    no bits/dim. It has no parameters.
    """

    def forward(self, logits: Tensor, images: Tensor) -> Tensor:
        """−log p(x | logits) of each image, (N,), in nats."""
        # log(1 + e^l) − x·l, summed by two contiguous reductions: faster than the fused loss on a
        # CPU.
        return (F.softplus(logits) - images * logits).flatten(1).sum(1)

    def least(self, images: Tensor) -> Tensor:
        """The least that any logits reach, (N,): the pixel entropy Σ_pixels H(x), in nats."""
        x = images
        return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).flatten(1).sum(1)

    def calibrated(self, logits: Tensor, images: Tensor) -> Bernoulli:
        """Itself: nothing but logits can be adapted to images."""
        return self


class DiscretizedLogistic(nn.Module):
    """The probability that a logistic variable falls on a pixel's own one of 256 levels.

    p(x) = F((x + 1/510 − m)/s) − F((x − 1/510 − m)/s) with F the logistic function and
    m = sigmoid(logits); black and white take the tails (PixelCNN++, Salimans et al. 2017,
    https://arxiv.org/abs/1701.05517). One scale s for each channel is learnt along with the
    decoder (Rybkin et al. 2021, https://arxiv.org/abs/2006.13202). Over the 256 levels p sums to
    one, so nats per image are those of an 8-bit image: divided by log 2 times the number of values
    in it, H·W·channels, they are bits/dim.

    Parameters
    ----------
    channels : int
        1 or 3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full((channels,), START).log())

    def forward(self, logits: Tensor, images: Tensor) -> Tensor:
        """−log p(x | logits) of each image, (N,), in nats."""
        narrow = torch.exp(-self.log_scale.to(logits))  # figures may be taken elsewhere, in float64
        half = 0.5 / (LEVELS - 1)
        gap = images - logits.sigmoid()
        above, below = (gap + half) * narrow, (gap - half) * narrow
        # F(a) − F(b) = F(a) · F(−b) · (1 − e^(b − a)), whose logarithm cannot underflow; a − b
        # depends on the scale alone. A tail has only one of the first two factors.
        width = (-torch.expm1(-2 * half * narrow)).log()
        black, white = images <= 0, images >= 1
        nats = F.softplus(-above).masked_fill(white, 0) + F.softplus(below).masked_fill(black, 0)
        return (nats - width * ~(black | white)).flatten(1).sum(1)

    def least(self, images: Tensor) -> Tensor:
        """The least that any logits and scales reach, (N,): 0, for a level may be certain."""
        return images.new_zeros(len(images))

    def calibrated(self, logits: Tensor, images: Tensor) -> DiscretizedLogistic:
        """The one whose scales suit these logits and images best (L-BFGS)."""
        best = deepcopy(self).requires_grad_()
        optimizer = torch.optim.LBFGS(
            best.parameters(), max_iter=100, line_search_fn="strong_wolfe"
        )

        def mean() -> Tensor:
            optimizer.zero_grad()
            nats = best(logits, images).mean()
            nats.backward()
            return nats

        optimizer.step(mean)
        return best


Likelihood = Bernoulli | DiscretizedLogistic


def likelihood_of(name: str, image_shape: Sequence[int]) -> Likelihood:
    """A likelihood by its name in `train_vae.likelihood`: bernoulli or logistic.

    Raises
    ------
    InputError
        The name is another.
    """
    if name == "bernoulli":
        return Bernoulli()
    if name == "logistic":
        return DiscretizedLogistic(colours(image_shape))
    raise InputError(f"likelihood = {name!r}; allowed: bernoulli, logistic")
