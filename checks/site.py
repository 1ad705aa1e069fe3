"""The site that `make docs` built, seen by axe-core in Chromium: what is hard to use, what is long.

    python -m checks.site

prints a line for each fault and each page of results above 3,000 pixels, and fails if there is one.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

SITE = Path("docs/_build/html")
WIDTHS = (1280, 400)
LONGEST = 3000


def faults() -> Iterator[str]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        for width in WIDTHS:
            page = browser.new_page(viewport={"width": width, "height": 900})
            for path in sorted(SITE.glob("**/*.html")):
                page.goto(path.resolve().as_uri())
                where = f"{path.relative_to(SITE)} at {width} pixels"
                for fault in Axe().run(page).response["violations"]:
                    nodes = [node["html"] for node in fault["nodes"]]
                    yield f"{where}: {fault['id']} ({fault['impact']}), {len(nodes)}: {nodes[0]}"
                height = page.evaluate("document.documentElement.scrollHeight")
                if width == WIDTHS[0] and path.parent.name == "results" and height > LONGEST:
                    yield f"{where}: {height} high"


def main() -> None:
    if not any(SITE.glob("*.html")):
        sys.exit(f"error: {SITE}: no page; `make docs` builds them")
    found = list(faults())
    print(*found, sep="\n")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
