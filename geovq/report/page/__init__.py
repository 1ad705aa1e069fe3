"""The page of a run: one HTML file that carries its pictures, styles and script with it.

`content` says what it shows, `explore` and `codebooks` compute that, `tiles` hands it to the
script, `render` writes it.
"""

from geovq.report.page.content import Codebook, Content, TokenSteps, Way
from geovq.report.page.render import render

__all__ = ["Codebook", "Content", "TokenSteps", "Way", "render"]
