"""Which of the project's code can have a say in what a module does, found without running it.

A module imports more than it uses: whatever a package or a module shared by many imports, each of
its users loads. So names are followed from definition to definition, functions' own imports
included; what only annotates does not run. A method of a class that is reached counts once its name
is read as an attribute of anything, or occurs as a string; and if others may call it: special
methods, decorated ones, and those that have the name of a method inherited from another library.
"""

import ast
from collections import defaultdict
from collections.abc import Collection, Iterator
from importlib import import_module
from pathlib import Path

__all__ = ["Project", "chains"]

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
BODY = "<body>"  # statements of a module that bind no name, and run as it is imported
MAIN = "<main>"  # those that run only as it is the main one
DECORATORS = {"property", "classmethod", "staticmethod", "cached_property", "torch.no_grad()"}

Unit = tuple[str, str]  # a module, and in it NAME, CLASS.METHOD, BODY or MAIN
Imports = dict[str, list[str]]  # names, and the dotted names that they stand for, taken apart


class Project:
    """Packages of a folder, parsed; other libraries are not followed.

    Parameters
    ----------
    root : Path
    *packages : str
        Folders in it.

    Attributes
    ----------
    paths : dict of str to str
        Modules, and their files below the root.
    """

    def __init__(self, root: Path, *packages: str) -> None:
        self.paths: dict[str, str] = {}
        self._units: dict[Unit, list[ast.AST]] = defaultdict(list)
        self._names: dict[str, list[str]] = defaultdict(list)  # of the units of a module
        self._imports: dict[str, Imports] = {}
        self._read_before: dict[ast.AST, list[tuple[list[Unit], set[str]]]] = {}
        for path in (path for package in packages for path in (root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            module = ".".join(parts).removesuffix(".__init__")
            self.paths[module] = path.relative_to(root).as_posix()
            self._imports[module] = {}
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                for name, part in _units_of(node):
                    self._units[module, name].append(part)
                    self._names[module].append(name)
                if not isinstance(node, FUNCTIONS | ast.ClassDef):
                    self._imports[module] |= _imports(node)

    def definitions(self, path: str) -> set[str]:
        """Names of what a file defines; none of one that only imports."""
        return {name for module, name in self._units if self.paths[module] == path}

    def reached(self, start: str, but: Collection[str] = ()) -> dict[str, set[str]]:
        """What can have a say in what `python -m start` does.

        Parameters
        ----------
        start : str
        but : collection of str
            PATH or PATH:DEFINITION that nothing is reached through.

        Returns
        -------
        dict of str to set of str
            Files below the root, and the names of their definitions that are reached.
        """
        found: dict[str, set[str]] = defaultdict(set)
        mentioned: set[str] = set()  # names of attributes
        methods: set[Unit] = set()  # of classes that were reached
        waiting = [(start, name) for name in self._names[start]]
        while waiting:
            module, name = waiting.pop()
            path = self.paths[module]
            if name in found[path] or path in but or f"{path}:{name}" in but:
                continue
            found[path].add(name)
            waiting += self._run_by_importing(module)
            for node in self._units[module, name]:
                if node not in self._read_before:
                    self._read_before[node] = list(self._read(module, node))
                for units, attributes in self._read_before[node]:
                    waiting += units
                    mentioned |= attributes
                if isinstance(node, ast.ClassDef):
                    hooks = self._hooks(module, node)
                    for method in _methods(node):
                        unit = module, f"{name}.{method.name}"
                        calls_itself = method.name in hooks or _is_called_by_others(method)
                        (waiting.append if calls_itself else methods.add)(unit)
            called = {unit for unit in methods if unit[1].rpartition(".")[2] in mentioned}
            methods -= called
            waiting += called
        return {path: names for path, names in found.items() if names}

    def _run_by_importing(self, module: str) -> Iterator[Unit]:
        """Bare statements of a module, and of the packages it is in."""
        parts = module.split(".")
        for end in range(1, len(parts) + 1):
            unit = ".".join(parts[:end]), BODY
            if unit in self._units:
                yield unit

    def _read(self, module: str, node: ast.AST) -> Iterator[tuple[list[Unit], set[str]]]:
        """Definitions that a piece of code names, and attributes of whatever else it names."""
        imports, local = self._imports[module] | _imports(node), _bound(node)
        for part in _running(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield [], {part.value}
        for first, *rest in chains(node):
            if (module, first) in self._units:
                yield [(module, first)], set(rest)
            elif first not in imports:
                yield [], set(rest)
            elif first in local:  # may be either
                yield self._meant([*imports[first], *rest], strict=False)[0], set(rest)
            else:
                yield self._meant([*imports[first], *rest])

    def _meant(self, names: list[str], strict: bool = True) -> tuple[list[Unit], set[str]]:
        """Definitions of the project that dotted names stand for, and the names left over."""
        if names[0] not in self.paths:
            return [], set()
        end = 1
        while end < len(names) and ".".join(names[: end + 1]) in self.paths:
            end += 1
        module, rest = ".".join(names[:end]), names[end:]
        if not rest:  # the module as such, of which all may be used
            return [(module, name) for name in self._names[module] if name != MAIN], set()
        if (module, rest[0]) in self._units:
            return [(module, rest[0])], set(rest[1:])
        if rest[0] in self._imports[module]:
            return self._meant([*self._imports[module][rest[0]], *rest[1:]], strict)
        if strict and not rest[0].startswith("__"):
            raise LookupError(f"{'.'.join(names)}: not found in {self.paths[module]}")
        return [], set()

    def _hooks(self, module: str, node: ast.ClassDef) -> set[str]:
        """Names of all that a class inherits from other libraries."""
        found: set[str] = set()
        for first, *rest in (chain for base in node.bases for chain in chains(base)):
            if (module, first) in self._units:
                names = [*module.split("."), first, *rest]
            else:
                names = [*self._imports[module].get(first, ["builtins", first]), *rest]
            if names[0] not in self.paths:
                found |= set(dir(_imported(names)))
                continue
            for home, name in self._meant(names)[0]:
                for base in self._units[home, name]:
                    if isinstance(base, ast.ClassDef):
                        found |= self._hooks(home, base)
        return found


def chains(node: ast.AST) -> Iterator[list[str]]:
    """Dotted names in a piece of code, taken apart; of what has no name, "" and attributes."""
    parts = list(_running(node))
    inner = {id(part.value) for part in parts if isinstance(part, ast.Attribute)}
    for part in parts:
        if id(part) in inner or not isinstance(part, ast.Name | ast.Attribute):
            continue
        rest: list[str] = []
        while isinstance(part, ast.Attribute):
            rest.append(part.attr)
            part = part.value
        yield [part.id if isinstance(part, ast.Name) else "", *reversed(rest)]


def _units_of(node: ast.stmt) -> Iterator[tuple[str, ast.AST]]:
    """Names of what a statement of a module defines, and the code of each."""
    if isinstance(node, FUNCTIONS | ast.ClassDef):
        yield node.name, node
        if isinstance(node, ast.ClassDef):
            for method in _methods(node):
                yield f"{node.name}.{method.name}", method
        return
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    if docstring or isinstance(node, ast.Import | ast.ImportFrom) or _is_for_type_checkers(node):
        return
    main = isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"
    for name in [MAIN] if main else _bound(node) or [BODY]:
        if name != "__all__":
            yield name, node


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [part for part in node.body if isinstance(part, FUNCTIONS)]


def _is_called_by_others(method: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    decorators = {ast.unparse(decorator) for decorator in method.decorator_list}
    return method.name.startswith("__") or not decorators <= DECORATORS


def _is_for_type_checkers(node: object) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All parts of a piece of code that run; of a class, no methods."""
    yield node
    for name, value in ast.iter_fields(node):
        if name == "returns" or (name == "annotation" and isinstance(node, ast.arg)):
            continue
        for child in value if isinstance(value, list) else [value]:
            method = isinstance(node, ast.ClassDef) and isinstance(child, FUNCTIONS)
            if isinstance(child, ast.AST) and not method and not _is_for_type_checkers(child):
                yield from _running(child)


def _imports(node: ast.AST) -> Imports:
    """What the import statements in a piece of code bind."""
    found: Imports = {}
    for part in _running(node):
        if isinstance(part, ast.Import):
            for alias in part.names:
                whole = alias.name.split(".")
                found[alias.asname or whole[0]] = whole if alias.asname else whole[:1]
        elif isinstance(part, ast.ImportFrom):
            if part.level or part.names[0].name == "*":
                raise LookupError(f"{ast.unparse(part)}: cannot be followed")
            for alias in part.names:
                found[alias.asname or alias.name] = [*str(part.module).split("."), alias.name]
    return found


def _bound(node: ast.AST) -> set[str]:
    """Names that a piece of code binds by assignment or as arguments."""
    parts = list(_running(node))
    stored = {p.id for p in parts if isinstance(p, ast.Name) and isinstance(p.ctx, ast.Store)}
    return stored | {part.arg for part in parts if isinstance(part, ast.arg)}


def _imported(names: list[str]) -> object:
    """What dotted names stand for in another library."""
    found: object = import_module(names[0])
    for end, name in enumerate(names[1:], 2):
        if not hasattr(found, name):
            import_module(".".join(names[:end]))
        found = getattr(found, name)
    return found
