"""Rows of a study: written after every piece, so that an interrupted run goes on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from geovq.errors import InputError
from geovq.files.store import save_json
from geovq.params.sections import Params

Row = dict[str, Any]


class Scores:
    """All rows so far, in `folder/scores.json`.

    Parameters
    ----------
    folder : Path
    about : dict
        Everything that decides what a row says. Rows of another `about` are refused, for they do
        not compare; code is not part of it: after a change of code, delete the file.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.path = folder / "scores.json"
        self.about = json.loads(json.dumps(about))
        self.rows: list[Row] = []
        if self.path.exists():
            found = json.loads(self.path.read_text())
            if found.get("about") != self.about:
                raise InputError(
                    f"{self.path}: its rows are of other parameters; delete it, or choose another "
                    "folder"
                )
            self.rows = found["rows"]

    def piece(self, key: Row, make: Callable[[], Iterable[Row]]) -> list[Row]:
        """Rows of this key: those of the file, or what `make` yields, each with the key."""
        found = [row for row in self.rows if key.items() <= row.items()]
        if not found:
            start = time.perf_counter()
            found = [{**key, **row} for row in make()]
            self.rows += found
            save_json(self.path, {"about": self.about, "rows": self.rows})
            named = ", ".join(f"{name} {value}" for name, value in key.items())
            sys.stderr.write(f"{named}: {time.perf_counter() - start:.0f} s\n")
        return found


def settings(params: Params, *sections: str) -> dict[str, Any]:
    """Those sections of the parameters, as plain values."""
    tree = params.model_dump(mode="json", include={"seed", *sections})
    # Where the files of a data set are does not change what is in them.
    tree.get("prepare", {}).pop("root", None)
    return tree
