"""The documentation as a site: `make docs` builds it, without network, warnings being errors."""

import logging
import os
import pkgutil
import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
TAKEN = {"index": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TQDM_DISABLE", "1")
logging.getLogger("faiss.loader").setLevel(logging.WARNING)
sys.path[:0] = [str(HERE.parent), str(HERE)]  # the library as it stands here, installed or not

from accessible import accessible  # noqa: E402
from docutils import nodes  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402

import geovq  # noqa: E402

project = "geovq"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples", "results/*/*"]
default_role = "py:obj"  # `name` in a docstring: a link where it names something, else code

myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 4  # as on GitHub
suppress_warnings = ["config.cache"]

autosummary_generate = False  # `_write_api` does it
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say types, and shapes too
numpydoc_show_class_members = False
python_maximum_signature_line_length = 80

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("geovq",),
    "reference_url": {"geovq": None},
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "furo"
html_title = "geovq"
html_math_renderer = "mathml"
html_copy_source = html_show_sphinx = html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["geovq.css"]


def _write_api(app):
    """One page of the API reference for each public module, and their index."""
    found = pkgutil.walk_packages(geovq.__path__, "geovq.")
    modules = {m.name: m.ispkg for m in found if "._" not in m.name}
    lines = "".join(f"   {name}\n" for name in modules)
    pages = {
        "index": "Python API\n==========\n\n"
        "Start with :class:`~geovq.codec.codec.Codec`, which turns images into tokens and back,\n"
        ":class:`~geovq.quantization.quantizer.GeodesicQuantizer`, which gives tokens to latents,\n"
        "and :class:`~geovq.clustering.geodesic_kmeans.GeodesicKMeans`, which clusters points.\n"
        "All are imported from ``geovq`` itself.\n\n"
        f".. autosummary::\n\n{lines}\n.. toctree::\n   :hidden:\n\n{lines}"
    }
    for name, is_package in modules.items():
        options = "" if is_package else "   :members:\n   :inherited-members:\n"
        pages[name] = f"{name}\n{'=' * len(name)}\n\n.. automodule:: {name}\n{options}"
    (HERE / "api").mkdir(exist_ok=True)
    scripts = {path.stem for path in HERE.glob("examples/*.py")} | {"index"}
    for folder, kept in (("api", set(pages)), ("gallery", scripts)):
        for page in HERE.glob(f"{folder}/*.rst"):
            if page.stem not in kept:  # of a module or a script that is no more
                page.unlink()
    for name, text in pages.items():
        path = HERE / "api" / f"{name}.rst"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _take(app, docname, source):
    """The front page is the README. Links to files become links to the pages made of them."""
    text = source[0]
    if docname in TAKEN:
        path = HERE.parent / TAKEN[docname]
        app.env.note_dependency(str(path))
        taken = re.sub(r"\]\((?!\w+:|#|docs/)", "](../", path.read_text()).replace("](docs/", "](")
        _, rest = text.split(f"](../{path.name}).\n", 1)
        text = taken + rest
    for page, name in TAKEN.items():
        text = text.replace(f"](../{name}", f"]({page}.md")
    text = text.replace("](examples/README.rst)", "](gallery/index.rst)")
    source[0] = re.sub(r"\]\(\.\./(geovq(?:/[a-z]\w*)+)\.py\)", _api_page, text)


def _api_page(match):
    return f"](api/{match[1].replace('/', '.')}.rst)"


def _skip(app, what, name, found, skip, options):
    """Leave out what a class has from other libraries, and functions that are a field's default."""
    found = getattr(found, "fget", found)
    foreign = not (getattr(found, "__module__", None) or "geovq").startswith("geovq")
    default = getattr(found, "__name__", name) != name
    return True if what == "class" and (foreign or default) else None


def _math(self, node):
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    # TeX sets a function apart from its argument; the converter does not.
    text = re.sub(r"(\\(?:log|min)(?:_\w)?) (?=[a-z\\])", r"\1\\,", node.astext().strip())
    self.body.append(convert(text, display=display))
    raise nodes.SkipNode


def _mend(app, exception):
    """Mend what the theme writes; pages that were not built anew are mended already."""
    for path in Path(app.outdir).glob("**/*.html"):
        html = path.read_text(encoding="utf-8")
        mended = accessible(path.relative_to(app.outdir).with_suffix("").as_posix(), html)
        if mended != html:
            path.write_text(mended, encoding="utf-8")


def setup(app):
    app.connect("build-finished", _mend)
    app.connect("builder-inited", _write_api, priority=400)
    app.connect("source-read", _take)
    app.connect("autodoc-skip-member", _skip)
    # MathML: browsers draw it themselves, without scripts or fonts from elsewhere.
    app.add_html_math_renderer("mathml", (_math, None), (_math, None))
