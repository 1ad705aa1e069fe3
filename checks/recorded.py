"""What a stage uses of the project once its parameters are read: for tests of dvc.yaml."""

import cProfile
import inspect
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType
from typing import Any

__all__ = ["recorded"]


@contextmanager
def recorded(folder: Path, path: Path) -> Iterator[None]:
    """Write to a JSON file what is used in a folder from the moment that `load_params` returns.

    There are three lists: `code`, files with functions that were called; `files`, others that were
    opened to be read; `params`, keys that were read. Paths are relative to the folder. Whatever
    watches stays until the process ends.
    """
    from geovq.params import reading, sections

    load = reading.load_params
    files: set[str] = set()
    keys: set[str] = set()
    profile = cProfile.Profile(builtins=False)

    def opened(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and not isinstance(arguments[0], int):
            name, _, flags = arguments
            file = Path(os.path.abspath(os.fsdecode(name)))
            read = not flags & (os.O_WRONLY | os.O_RDWR)
            if read and file.suffix != ".py" and file.parent.name != "__pycache__":
                files.add(str(file))

    def load_and_watch(*given: Any, **options: Any) -> sections.Params:
        tree = load(*given, **options)
        _watch(sections.Section, tree, keys)
        sys.addaudithook(opened)
        profile.enable()
        return tree

    reading.load_params = load_and_watch
    try:
        yield
    finally:
        profile.disable()
        called = [c for c, *_ in profile.getstats() if isinstance(c, CodeType)]
        # No bodies of classes, and no comprehensions of modules: imports run both.
        functions = [
            code
            for code in called
            if code.co_flags & inspect.CO_OPTIMIZED and not code.co_qualname.startswith("<")
        ]
        names = {"code": {code.co_filename for code in functions}, "files": files.copy()}
        found = {
            kind: [os.path.relpath(name, folder) for name in those if Path(name).is_file()]
            for kind, those in names.items()
        }
        path.write_text(json.dumps({**found, "params": list(keys)}))


def _watch(base: Any, tree: Any, found: set[str]) -> None:
    """Note the full names of parameters of a tree, and of copies of its parts, that are read."""
    get, dump, copy = base.__getattribute__, base.model_dump, base.model_copy
    known = {id(section): (section, prefix) for section, prefix in _sections(base, tree)}

    def watched_get(section: Any, name: str) -> Any:
        value = get(section, name)
        key = id(section) in known and name in type(section).model_fields
        if key and not isinstance(value, base):
            found.add(known[id(section)][1] + name)
        return value

    def watched_dump(section: Any, **options: Any) -> dict[str, Any]:
        values: dict[str, Any] = dump(section, **options)
        if id(section) in known:
            found.update(_leaves(values, known[id(section)][1]))
        return values

    def watched_copy(section: Any, **options: Any) -> Any:
        copied = copy(section, **options)
        if id(section) in known:
            known[id(copied)] = copied, known[id(section)][1]
        return copied

    base.__getattribute__, base.model_dump, base.model_copy = (
        watched_get,
        watched_dump,
        watched_copy,
    )


def _sections(base: type, section: Any, prefix: str = "") -> Iterator[tuple[Any, str]]:
    """A section, those in it, and what the full names of their keys begin with."""
    yield section, prefix
    for name in type(section).model_fields:
        if isinstance(part := getattr(section, name), base):
            yield from _sections(base, part, f"{prefix}{name}.")


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name
