"""What the figures of a run say, in words."""

from __future__ import annotations

import math

from geovq.codec.folder import END_TO_END
from geovq.report.table import NAMES, Scores

__all__ = ["findings", "remarks", "sentences"]

CODED = [name for name in NAMES if name != "vae"]


def sentences(scores: Scores) -> list[str]:
    """For whoever reads no further: what was compared, who decodes best, what one token tells."""
    return [_compared(scores), _decoded(scores), _told(scores)]


def _compared(scores: Scores) -> str:
    data, rates = scores["data"], _rates(scores)
    if len(set(rates.values())) == 1:
        rate = f"{next(iter(rates.values())):g} bits each"
    else:
        rate = ", ".join(f"{bits:g} bits by {name}" for name, bits in rates.items())
    rivals = " and ".join(END_TO_END.values())
    return (
        f"Each of {data['test_images']:,} test images ({data['dataset']}) was turned into tokens, "
        f"{rate}, and decoded again: by geodesic codes and by k-means (Euclidean codes), both made "
        f"of the latents of one trained VAE, and by {rivals}, trained end to end."
    )


def _decoded(scores: Scores) -> str:
    order = sorted(CODED, key=lambda name: scores[name]["bce"])
    best, *others = [(NAMES[name], round(scores[name]["bce"], 1)) for name in order]
    behind = [
        f"{name} {loss - best[1]:.1f} nats behind" if loss > best[1] else f"{name} as good"
        for name, loss in others
    ]
    return (
        f"Best at decoding: {best[0]}, with {best[1]:.1f} nats of distortion an image (bce), "
        f"{' and '.join(behind)}; the VAE itself, not quantised, has {scores['vae']['bce']:.1f}."
    )


def _told(scores: Scores) -> str:
    if scores["geodesic"]["purity"] is None:
        return "What a token tells of the class is not known: the images have no labels."
    shares = [f"{100 * scores[name]['purity']:.1f} % with {NAMES[name]}" for name in CODED]
    return f"The first token alone tells the class of {', '.join(shares)} (purity)."


def remarks(scores: Scores) -> list[str]:
    """What a reader has to know before comparing rows."""
    said = []
    rates = _rates(scores)
    if len(set(rates.values())) > 1:
        listed = ", ".join(f"{name} {bits:g}" for name, bits in rates.items())
        said.append(f"rates differ ({listed} bits an image): rows of unequal rate do not compare")
    for key, name in NAMES.items():
        row, worst = scores[key], scores["data"]["mean_image_bce"]
        if row["bce"] >= worst:
            said.append(
                f"{name} did not learn: bce {row['bce']:.1f}, where the mean image has {worst:.1f}"
            )
        prior, marginal = row.get("ar_bits_per_token"), row.get("marginal_bits_per_token")
        if not prior or not marginal or row["code_length"] < 1.5 * prior * math.log(2):
            continue  # there is none, or a single token, of which it has nothing to learn
        if round(prior, 2) >= round(marginal, 2):
            said.append(
                f"the prior of {name} learnt nothing: {prior:.2f} bits a token, where the "
                f"frequencies at each position alone take {marginal:.2f}"
            )
    return said


def _rates(scores: Scores) -> dict[str, float]:
    return {NAMES[name]: scores[name]["bits_per_image"] for name in CODED}


def findings(scores: Scores) -> list[str]:
    """What the geodesic codes gain and lose against each rival, in words."""
    mine = scores["geodesic"]
    sentences = []
    for rival in ("euclidean", *END_TO_END):
        parts = []
        for key, unit, form in (
            ("bce", "nats of bce", "+.1f"),
            ("total", "nats in total", "+.1f"),
            ("purity", "purity", "+.3f"),
            ("recognition", "recognition", "+.3f"),
        ):
            if mine[key] is not None:
                # Adding 0 takes the sign off a zero.
                change = round(mine[key] - scores[rival][key], int(form[-2])) + 0.0
                parts.append(f"{change:{form}} {unit}")
        sentences.append(f"Geodesic minus {NAMES[rival]}: {', '.join(parts)}.")
    return sentences
