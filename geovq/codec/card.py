"""The model card: what a codec is, for people, as the README.md of its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from typing import Any

from geovq.codec.describe import facts

__all__ = ["model_card"]

HEADER = """---
library_name: geovq
tags:
- vector-quantization
- discrete-representations
---

# A codec of {what}

Fitted by geovq. `info.json` has all of this for programs, `geovq.json` the hash of each file.

"""
USE = """
```python
from geovq import Codec

codec = Codec.from_pretrained({address!r}{vae})
```

## Figures

On the rows that were held out, which also stopped the training: bits or nats an image, or a squared
error.

"""


def model_card(info: Mapping[str, Any], address: str) -> str:
    """A Markdown page with the hub's header.

    Parameters
    ----------
    info : mapping
        Of the codec.
    address : str
        Where it will be, for the example of how to open it.
    """
    what = "images" if info["image_size"] else "latents"
    figures = {name: f"{value:.5g}" for name, value in info["validation"].items()}
    told = {title: text for title, text in facts(info).items() if title != "validation"}
    settings = json.dumps(info["settings"], indent=2)
    return "".join(
        [
            HEADER.format(what=what),
            _table(told),
            USE.format(address=address, vae=", vae=yours" if info["vae"] == "own" else ""),
            _table(figures),
            f"\n## Settings\n\n```json\n{settings}\n```\n",
        ]
    )


def _table(rows: Mapping[str, str]) -> str:
    cells = (
        f"| {escape(name)} | {escape(text)} |".replace("\n", " ") for name, text in rows.items()
    )
    return "\n".join(["| | |", "|---|---|", *cells, ""])
