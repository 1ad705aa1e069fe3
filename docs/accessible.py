"""What axe-core finds in the theme's HTML, mended."""

import re

# Page, or any; what is wrong; how it should be. Each leaves alone what it has mended.
MENDED = [
    # A heading has a level.
    ("", r'role="heading">', r'role="heading" aria-level="2">'),
    # Two landmarks of a kind have names.
    ("", r'<aside class="sidebar-drawer">', r'<aside class="sidebar-drawer" aria-label="Site">'),
    ("", r'<aside class="(toc-drawer[^"]*)">', r'<aside class="\1" aria-label="This page">'),
    # The keyboard scrolls what is wider than the page.
    ("", r'<div class="((?:table|math)-wrapper[^"]*)">', r'<div class="\1" tabindex="0">'),
    ("", r"<pre>", r'<pre tabindex="0">'),
    # Parameters of a signature, each on a line, are defined elsewhere.
    ("", r"<dl>(?=\n<dd>)", r'<dl role="presentation">'),
    # A corner of a table heads nothing.
    ("", r'<th class="head([^"]*)"><p></p></th>', r'<td class="head\1"></td>'),
    # Links under pictures keep their names where they are not shown.
    (
        "gallery/index",
        r'<a class="reference internal" href="([^"]*)"><span class="doc">([^<]*)</span>',
        r'<a class="reference internal" href="\1" aria-label="\2"><span class="doc">\2</span>',
    ),
    ("search", r'(?<!</h1>)<div id="search-results">', r'<h1>Search</h1><div id="search-results">'),
]


def accessible(page: str, html: str) -> str:
    """HTML of a page, whose name is that of its source, without the faults known here."""
    for name, wrong, right in MENDED:
        if name in ("", page):
            html = re.sub(wrong, right, html)
    return html
