"""Charts as SVG that stands in the page itself and takes its colours from the style sheet."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

import matplotlib
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from geovq.report.page.content import TokenSteps
from geovq.report.plots import COLORS, GREY, plot_rate_distortion
from geovq.report.table import NAMES, Scores

__all__ = ["inline_svg", "rate_distortion", "rate_distortion_alt"]

# What a style sheet may recolour: matplotlib's black, what is grey, the first colours of a series.
RECOLOURED = {"#000000": "currentColor", GREY: f"var(--soft, {GREY})"} | {
    color.lower(): f"var(--series-{i}, {color})" for i, color in enumerate(COLORS[:3])
}


def inline_svg(figure: Figure, name: str, alt: str) -> Markup:
    """A figure as an `<svg>` element, with the same bytes at every call.

    Parameters
    ----------
    figure : Figure
    name : str
        Unique in the page: ids in the SVG begin with it.
    alt : str
        What the figure shows, for those who do not see it.
    """
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    for color, recoloured in RECOLOURED.items():
        svg = svg.replace(color, recoloured)
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{escape(alt)}"', 1))


def rate_distortion(scores: Scores, steps: Mapping[str, TokenSteps]) -> Figure:
    """Mean bce against the bits of the first 1, 2, ..., T tokens, with the ends of the scale."""
    figure = Figure(figsize=(4.8, 3.6), layout="constrained")
    axes = figure.subplots()
    lines = {
        "mean image": scores["data"]["mean_image_bce"],
        "VAE, not quantised": scores["vae"]["bce"],
    }
    if floor := scores["data"]["pixel_entropy"]:
        lines["pixel entropy: the least possible"] = floor
    curves = {NAMES[name]: (step.bits, step.bce) for name, step in steps.items()}
    plot_rate_distortion(curves, lines, ax=axes)
    return figure


def rate_distortion_alt(scores: Scores, steps: Mapping[str, TokenSteps]) -> str:
    """The same in words."""
    parts = [
        f"{NAMES[name]} from {s.bce[0]:.1f} nats at {s.bits[0]:.0f} bits "
        f"to {s.bce[-1]:.1f} at {s.bits[-1]:.0f}"
        for name, s in steps.items()
    ]
    return (
        f"Distortion against rate: {'; '.join(parts)}. The VAE, not quantised, "
        f"{scores['vae']['bce']:.1f}; the least possible {scores['data']['pixel_entropy']:.1f}; "
        f"mean image {scores['data']['mean_image_bce']:.1f}."
    )
