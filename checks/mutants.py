"""Do the tests notice faults? `python -m checks.mutants [GROUP|MODULE ...] [--list]`.

`faults/GROUP.yaml` beside this module has the faults, each such as somebody could make: a piece of
a module, what it is changed to, and the test files that should fail. One at a time they are put
into a copy of the project, where these tests run in a process forked from this one, which spares
the import of torch and its like. A mutant is killed if a test fails, hung if none has failed when
the time is over, and has survived if all pass. Linux only.
"""

import argparse
import importlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
TABLES = Path(__file__).parent / "faults"
OURS = ("geovq", "stages", "studies", "tools", "checks", "benchmarks", "tests")
NEEDED = (*OURS, "docs", "pyproject.toml", "params.yaml", "dvc.yaml", "dvc.lock", "README.md")
SLOW_IMPORTS = ("faiss", "matplotlib.pyplot", "numba", "PIL.Image", "scipy.sparse.csgraph",
                "sklearn.cluster", "torch", "torchmetrics.image.fid", "torchvision")  # fmt: skip
MEMORY = 6 << 30  # bytes of address space beyond what is in use when a mutant starts
OUTCOMES = ("killed", "hung", "survived")


@dataclass(frozen=True)
class Mutant:
    """A fault.

    Attributes
    ----------
    group, module : str
        The latter a path below the root.
    was, now : str
        What occurs once in the module, and what takes its place.
    tests : tuple of str
        Files, some test of which should fail.
    """

    group: str
    module: str
    was: str
    now: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        was, now = (" ".join(text.split()) for text in (self.was, self.now))
        return f"{self.module}: {was}  →  {now or 'nothing'}"

    def applied(self, text: str) -> str:
        """The module's text with the fault in it."""
        if (count := text.count(self.was)) != 1:
            raise ValueError(f"{self.module}: {count} times {self.was!r}; allowed: once")
        return text.replace(self.was, self.now)


def mutants(names: Sequence[str] = ()) -> list[Mutant]:
    """All of them, or those of some groups and modules."""
    found = []
    for path in sorted(TABLES.glob("*.yaml")):
        for part in YAML(typ="safe").load(path):
            for fault in part["faults"]:
                tests = tuple(fault.get("tests", part["tests"]))
                made = Mutant(path.stem, part["module"], fault["was"], fault["now"], tests)
                if not names or {made.group, made.module} & set(names):
                    found.append(made)
    return found


def copied(target: Path) -> None:
    """Copy all that the tests need."""
    for name in NEEDED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "_build")
            shutil.copytree(source, target / name, ignore=ignored)
        elif source.exists():
            shutil.copy2(source, target / name)


def tested(project: Path, tests: Sequence[str], limit: float, log: Path) -> str:
    """What comes of the tests of a copy of the project: one of `OUTCOMES`."""
    child = os.fork()
    if not child:
        _test(project, tests, log)
    end = time.monotonic() + limit
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "hung"
        time.sleep(0.05)
    code = os.waitstatus_to_exitcode(done[1])  # below 0 for a signal: the mutant has crashed
    if code > pytest.ExitCode.INTERRUPTED:
        raise RuntimeError(f"pytest ended with {code}:\n{log.read_text()[-2000:]}")
    return "survived" if code == pytest.ExitCode.OK else "killed"


def _test(project: Path, tests: Sequence[str], log: Path) -> None:
    """Run pytest in this process, a forked one, and end it."""
    code = int(pytest.ExitCode.INTERNAL_ERROR)
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a shell has set
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.RLIM_INFINITY))
        with open(log, "wb") as stream:
            for descriptor in (1, 2):
                os.dup2(stream.fileno(), descriptor)
        os.chdir(project)
        os.environ["PYTHONPATH"] = str(project)
        sys.path[:] = [str(project), *(path for path in sys.path if Path(path) != ROOT)]
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            del sys.modules[name]
        import geovq

        assert Path(geovq.__file__).is_relative_to(project)
        options = ("-x", "-q", "-p", "no:cacheprovider", "--basetemp", str(project / "made"))
        code = pytest.main([*options, *tests])
    finally:
        sys.stdout.flush()
        os._exit(int(code))


def run(chosen: Sequence[Mutant], limit: float) -> list[tuple[Mutant, str]]:
    """Put one after another into a copy and test it; prints a line for each."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        project, log = Path(folder) / "project", Path(folder) / "log"
        project.mkdir()
        copied(project)
        # No stale code: bytecode is known by its age in seconds; numba's cache, by its age in ns.
        os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": f"{folder}/numba"}
        sys.dont_write_bytecode = True
        for name in SLOW_IMPORTS:
            importlib.import_module(name)
        everything = sorted({test for mutant in chosen for test in mutant.tests})
        start = time.monotonic()
        if tested(project, everything, 60 * limit, log) != "survived":
            raise RuntimeError(f"the tests fail as it is:\n{log.read_text()[-2000:]}")
        print(f"{time.monotonic() - start:.0f} s: all tests pass without a mutant", flush=True)
        for mutant in chosen:
            path = project / mutant.module
            path.write_text(mutant.applied(path.read_text()))
            start = time.monotonic()
            outcome = tested(project, mutant.tests, limit, log)
            shutil.copy2(ROOT / mutant.module, path)
            print(f"{outcome:8} {time.monotonic() - start:5.1f} s  {mutant}", flush=True)
            found.append((mutant, outcome))
    return found


def summary(found: Sequence[tuple[Mutant, str]]) -> str:
    """A table of the outcomes by group."""
    rows = []
    for group in [*dict.fromkeys(mutant.group for mutant, _ in found), "all"]:
        outcomes = [outcome for mutant, outcome in found if group in (mutant.group, "all")]
        counts = [outcomes.count(outcome) for outcome in OUTCOMES]
        rows.append([group, sum(counts), *counts, f"{1 - counts[-1] / sum(counts):.1%}"])
    return tabulate(rows, ["group", "mutants", *OUTCOMES, "noticed"])


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="groups or modules; all, if none")
    parser.add_argument("--list", action="store_true", help="print them, and run nothing")
    parser.add_argument("--limit", type=float, default=300, help="seconds a mutant may take")
    arguments = parser.parse_args()
    chosen = mutants(arguments.names)
    if arguments.list or not chosen:
        print(*chosen, sep="\n")
        return
    start = time.monotonic()
    found = run(chosen, arguments.limit)
    print(f"\n{summary(found)}\n\n{time.monotonic() - start:.0f} s")
    for mutant, outcome in found:
        if outcome == "survived":
            print(f"survived: {mutant}")


if __name__ == "__main__":
    main()
