"""DVC's own page of plots, with its scripts inside: it can be read offline.

    python -m tools.plots                # this checkout; open dvc_plots/index.html
    python -m tools.plots HEAD~1 HEAD    # revisions or experiments, one over another

What `dvc plots show` and `dvc plots diff` write loads Vega from the network; this hands them a
template that carries it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import vl_convert

from geovq.process import in_one_line

VEGA_LITE = "5.21"  # DVC's plots are written for version 5
# The bundle is in a function of its own: the page has global variables that its must not meet.
TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>geovq: plots</title>
<style>body {{ font: 1rem system-ui, sans-serif; }} table {{ border-spacing: 1rem; }}</style>
<script>(() => {{
{bundle}
}})();</script>
</head>
<body>
{{plot_divs}}
</body>
</html>
"""


def main(revisions: list[str]) -> int:
    # Its stub asks for a snippet to add, which it does not need.
    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]
    with tempfile.TemporaryDirectory() as folder:
        template = Path(folder) / "plots.html"
        template.write_text(TEMPLATE.format(bundle=bundle), encoding="utf-8")
        command = ["diff", *revisions] if revisions else ["show"]
        done = subprocess.run(["dvc", "plots", *command, "--html-template", str(template)])
    return done.returncode


if __name__ == "__main__":
    with in_one_line(bad_input=2):
        sys.exit(main(sys.argv[1:]))
