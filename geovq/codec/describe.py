"""What a codec is, by its `info`: a few lines for a console, a table for a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from geovq.codec.folder import END_TO_END

__all__ = ["as_html", "as_text", "facts"]

VAES = {"geovq": "VAE", "own": "VAE of your own", **END_TO_END}


def facts(info: Mapping[str, Any]) -> dict[str, str]:
    """Title → text: what is coded, the rate, the parts, and what the validation split gave.

    Parameters
    ----------
    info : mapping
        As `geovq.codec.folder.about` makes it.
    """
    size, vocabulary = info["image_size"], info["vocabulary"]
    latents = f"latents of {info['latent_dim']} numbers"
    alike = len(set(vocabulary)) == 1
    codes = f"{len(vocabulary)} × {vocabulary[0]}" if alike else ", ".join(map(str, vocabulary))
    rate = f"{info['bits_per_image']:.4g} bits/{'image' if size else 'latent'}"
    parts = [VAES.get(info["vae"], "quantiser alone")]
    parts += ["refined codes"] if info["refined"] else []
    parts += ["prior" if info["prior"] else "no prior"]
    figures = [f"{name} {value:.4g}" for name, value in info["validation"].items()]
    return {
        "codes": f"images {' × '.join(map(str, size))}, by {latents}" if size else latents,
        "vocabulary": f"{codes} codes, {rate}",
        "parts": ", ".join(parts),
        "fitted to": f"{info['training_rows']:,} rows, {info['validation_rows']:,} held out",
        "validation": ", ".join(figures) or "no figures",
    }


def as_text(info: Mapping[str, Any], device: str) -> str:
    """A line for each fact, the first one naming the class."""
    found = {**facts(info), "device": device}
    first, *rest = (f"{title}: {text}" for title, text in found.items())
    return "\n".join([f"Codec, {first}", *(f"  {line}" for line in rest)])


def as_html(info: Mapping[str, Any], device: str) -> str:
    """The same as a table; all text is escaped, and nothing is loaded or run."""
    found = {**facts(info), "device": device}
    rows = (
        f"<tr><th scope='row' style='text-align:left'>{escape(title)}</th>"
        f"<td style='text-align:left'>{escape(text)}</td></tr>"
        for title, text in found.items()
    )
    return f"<table><caption>geovq Codec</caption>{''.join(rows)}</table>"
