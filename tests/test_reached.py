"""What `reached` finds in a project of a few lines."""

import pytest
from reached import Project

FILES = {
    "ours/__init__.py": "from ours.hub import shared\n__all__ = ['shared']",
    "ours/main.py": """
from __future__ import annotations
from collections.abc import Mapping
from typing import TYPE_CHECKING
from ours import hub, shared
from ours.kinds import Kind
from ours.words import Word
if TYPE_CHECKING:
    from ours.types import Type
def main(kind: Kind, word: Word, type: Type) -> None:
    from ours import late
    shared(late.value)
    hub.listed()
if __name__ == "__main__":
    main(Kind(), None, None)
""",
    "ours/hub.py": """
from ours.table import ROWS
def shared(value):
    return value.measure()
def listed():
    return ROWS
def unused():
    from ours.never import nothing
    return nothing()
if __name__ == "__main__":
    unused()
""",
    "ours/table.py": "from ours.rows import row\nROWS = {'row': row}",
    "ours/rows.py": "def row(): ...",
    "ours/late.py": "import ours.effects\nvalue = 1\nours.effects.start()",
    "ours/effects.py": "def start(): ...",
    "ours/kinds.py": """
from collections.abc import Mapping
from ours.measured import length
class Base(Mapping):
    def __len__(self):
        from ours.special import special
        return special()
class Kind(Base):
    def measure(self):
        return length()
    def keys(self):  # a Mapping's own methods may call it
        from ours.hooks import hook
        return hook()
    def forget(self):
        from ours.never import nothing
        return nothing()
""",
    "ours/measured.py": "def length(): ...",
    "ours/special.py": "def special(): ...",
    "ours/hooks.py": "def hook(): ...",
    "ours/never.py": "def nothing(): ...",
    "ours/words.py": "class Word: ...",
    "ours/types.py": "class Type: ...",
}
RUN = {"main", "hub", "table", "rows", "late", "effects", "kinds", "measured", "special", "hooks"}


@pytest.fixture
def project(tmp_path):
    def write(**changes):
        for name, text in (
            FILES | {f"ours/{name}.py": text for name, text in changes.items()}
        ).items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text)
        return Project(tmp_path, "ours")

    return write


def test_what_is_used_is_found_however_it_is_imported_and_no_more(project):
    found = project().reached("ours.main")
    assert set(found) == {f"ours/{name}.py" for name in RUN}
    assert found["ours/hub.py"] == {"shared", "listed"}
    assert "Kind.forget" not in found["ours/kinds.py"]


def test_nothing_is_reached_through_what_is_left_out(project):
    found = project().reached("ours.main", {"ours/table.py", "ours/kinds.py:Kind.keys"})
    assert {f"ours/{name}.py" for name in RUN} - set(found) == {
        "ours/table.py",
        "ours/rows.py",
        "ours/hooks.py",
    }


def test_a_local_name_may_hide_an_import(project):
    hidden = (
        "from ours import late, rows\ndef main(rows):\n    return rows.append(late.value)\nmain([])"
    )
    assert {"ours/late.py", "ours/rows.py"} & set(project(main=hidden).reached("ours.main")) == {
        "ours/late.py"
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("from ours.rows import *", r"from ours.rows import \*: cannot be followed"),
        ("from . import rows", "from . import rows: cannot be followed"),
        ("from ours import rows\nrows.none()", "ours.rows.none: not found in ours/rows.py"),
    ],
)
def test_what_cannot_be_followed_is_said(project, text, said):
    with pytest.raises(LookupError, match=said):
        project(main=text).reached("ours.main")
