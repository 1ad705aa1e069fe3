"""What codes are worth: the class they tell, the nats they cost, whether another run finds them."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score
from torch import Tensor

from geovq.batches import as_pixels
from geovq.data.splits import Images
from geovq.errors import InputError
from geovq.evaluation.semantics import nmi, purity
from geovq.models.distortion import distortion
from geovq.models.likelihood import Bernoulli
from studies.scores import Row
from studies.semantics.latents import Arrays

LABELLED = (1, 4, 10)
GREY = 1e-3  # no mean pixel is nearer to 0 or 1, or one surprise would cost infinitely much


def piece(
    codes: list[Arrays], rows: list[np.ndarray], images: Images, seconds: list[float] | None
) -> Row:
    """Scores of one clustering at one K: a value a seed, but one of stability and of seconds.

    Parameters
    ----------
    codes : list of dict of ndarray
        Of each seed, the codes of every split.
    rows : list of ndarray
        The training images those of the training split belong to.
    images : Images
    seconds : list of float, optional
        That each clustering took.
    """
    if images.train.labels is None or images.test.labels is None:
        raise InputError("the images have no labels; the study needs them for its scores")
    pixels = as_pixels(images.train.images), as_pixels(images.test.images)
    labels = images.train.labels, images.test.labels
    each = []
    for seed, (found, seen) in enumerate(zip(codes, rows, strict=True)):
        pair = found["train"], found["test"]
        scores = class_scores(pair, (labels[0][seen], labels[1]), seed)
        scores["bce"] = mean_image_bce(pair, (pixels[0][seen], pixels[1]))
        scores["found"] = len(np.unique(found["train"]))
        each.append(scores)
    together = {"stability": stability(codes)}
    if seconds is not None:
        together["seconds"] = float(np.median(seconds))
    return {key: [scores[key] for scores in each] for key in each[0]} | together


def class_scores(
    codes: tuple[np.ndarray, np.ndarray], labels: tuple[np.ndarray, np.ndarray], seed: int
) -> dict[str, float]:
    """Of training and test images; `labelled_m`: accuracy when m images of each code have labels.

    The `probe` knows the label of every training image.
    """
    (train, test), (known, wanted) = codes, labels
    found = {"purity": purity(test, wanted), "nmi": nmi(test, wanted)}
    random, k = np.random.default_rng(seed), max(train.max(), test.max()) + 1
    for m in (*LABELLED, None):
        names = np.full(k, -1)
        for code in range(k):
            members = random.permutation(np.flatnonzero(train == code))[:m]
            names[code] = np.bincount(known[members]).argmax() if len(members) else -1
        key = "probe" if m is None else f"labelled_{m}"
        found[key] = float((names[test] == wanted).mean())
    return found


def mean_image_bce(codes: tuple[np.ndarray, np.ndarray], pixels: tuple[Tensor, Tensor]) -> float:
    """Nats of a test image under the mean training image of its code: what codes cost at least.

    No decoder can do better on the training images, so that codes compare without one.

    Parameters
    ----------
    codes : pair of ndarray of shape (N,)
        Of the training and the test images.
    pixels : pair of Tensor of shape (N, H, W)
    """
    train, test = (torch.from_numpy(part) for part in codes)
    size = int(max(train.max(), test.max())) + 1
    sums = torch.zeros(size, *pixels[0].shape[1:]).index_add_(0, train, pixels[0])
    counts = torch.bincount(train, minlength=size)[:, None, None]
    means = torch.where(counts > 0, sums / counts.clamp_min(1), pixels[0].mean(0))
    return distortion(means.clamp(GREY, 1 - GREY).logit()[test], pixels[1], Bernoulli())


def stability(codes: list[Arrays]) -> float:
    """Mean adjusted Rand index between seeds, on the validation images."""
    pairs = itertools.combinations(codes, 2)
    return float(np.mean([adjusted_rand_score(a["validation"], b["validation"]) for a, b in pairs]))
