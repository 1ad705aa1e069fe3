"""What is installed: every import is asked for by the extra that needs it, and said why."""

import ast
import re
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import geovq

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
OURS = {"geovq", "stages", "studies", "tools", "checks", "benchmarks", "tests"}
OURS |= {path.stem for path in Path(__file__).parent.glob("*.py")}
ASKED_FOR = {
    "huggingface_hub",  # by the extra `hub`, which need not be installed
    "onebatch",  # a rival whose benchmark says how to install it
}


def named(requirements):
    """Names of packages, without versions; those of an extra that is named as well."""
    found = set()
    for requirement in requirements:
        name, extra = re.match(r"([\w.-]+)(?:\[(\w+)\])?", requirement).groups()
        found |= named(EXTRAS[extra]) if extra else {re.sub(r"[._-]+", "-", name).lower()}
    return found


def imported(folder):
    """Packages that a folder's modules import, in functions too."""
    owners, modules = packages_distributions(), set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules.add(node.module)
    tops = {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - OURS
    return named({owners[top][0] for top in tops - ASKED_FOR})


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("geovq", ["images"]),
        *((folder, ["pipeline"]) for folder in ("stages", "tools")),
        *((folder, ["dev"]) for folder in ("studies", "checks", "benchmarks", "tests")),
    ],
)
def test_what_is_imported_is_asked_for(folder, extras):
    asked = named(PROJECT["dependencies"] + [f"geovq[{extra}]" for extra in extras])
    assert imported(folder) <= asked


def test_each_is_pinned_and_has_its_reason():
    asked = named(PROJECT["dependencies"] + [f"geovq[{extra}]" for extra in EXTRAS])
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert asked <= named(pins)
    page = (ROOT / "docs" / "dependencies.md").read_text()
    patterns = [
        name.replace(".", "-")
        for row in re.findall(r"^\| ([^|]+) \|", page, re.MULTILINE)
        for name in row.split(", ")
    ]
    assert [name for name in asked if not any(fnmatch(name, one) for one in patterns)] == []


def test_who_cites_names_the_version():
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    assert citation["version"] == geovq.__version__
    assert citation["license"] == PROJECT["license"]
