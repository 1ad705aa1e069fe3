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
    from geovq import params

    load = params.load_params
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

    def load_and_watch(path: str | os.PathLike[str]) -> params.Params:
        tree = load(path)
        _watch(params, keys)
        sys.addaudithook(opened)
        profile.enable()
        return tree

    params.load_params = load_and_watch
    try:
        yield
    finally:
        profile.disable()
        called = [c for c, *_ in profile.getstats() if isinstance(c, CodeType)]
        functions = [code for code in called if code.co_flags & inspect.CO_OPTIMIZED]  # no classes
        names = {"code": {code.co_filename for code in functions}, "files": files.copy()}
        found = {
            kind: [os.path.relpath(name, folder) for name in those if Path(name).is_file()]
            for kind, those in names.items()
        }
        path.write_text(json.dumps({**found, "params": list(keys)}))


def _watch(params: Any, found: set[str]) -> None:
    """Note the full names of parameters that are read."""
    section_class, prefixes = params.Section, dict(_sections(params.Params))
    get, dump = section_class.__getattribute__, section_class.model_dump

    def watched_get(section: Any, name: str) -> Any:
        value = get(section, name)
        if name in type(section).model_fields and not isinstance(value, section_class):
            found.add(prefixes[type(section)] + name)
        return value

    def watched_dump(section: Any, **options: Any) -> dict[str, Any]:
        values: dict[str, Any] = dump(section, **options)
        found.update(_leaves(values, prefixes[type(section)]))
        return values

    section_class.__getattribute__, section_class.model_dump = watched_get, watched_dump


def _sections(section: Any, prefix: str = "") -> Iterator[tuple[type, str]]:
    """Classes of sections, and what the full names of their keys begin with."""
    yield section, prefix
    for name, field in section.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from _sections(field.annotation, f"{prefix}{name}.")


def _leaves(values: dict[str, Any], prefix: str) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name
