"""Interrupt pipeline and command line at random moments, and see what the next run makes of it.

    python -m checks.interruptions                      # 200 moments
    python -m checks.interruptions --seconds 600 --seed 1

Half of the moments fall on `dvc repro` with one stage to run, chosen at random, or with all of
them, on a few small images: SIGKILL, SIGTERM or SIGINT to the stage, to DVC or to both, or a limit
to memory or to the size of files, which fails as a full disk does. Then what `make run` does,
`tools.mend` and `dvc repro`, has to finish and to leave every out, metric, picture and `dvc.lock`
as after a run that nothing disturbed, and no other file. The other half falls on commands that
write where nothing is or replace what is there: they have to leave all of the old or all of the
new, and when they are run again, the new and no other file.

Prints what happened, by where and how. The exit status is 1 if a check failed.
"""

import argparse
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from dvc.utils.serialize import modify_yaml
from tabulate import tabulate

from checks.small import IN_ORDER, Copy, environment
from checks.warm import Warm
from geovq.files.writing import PARTIAL

SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
LIMITS = {"FSIZE": (4 << 10, 60 << 10), "AS": (1 << 20, 200 << 20)}  # bytes
ALL_STAGES = "all stages"
FIT = "--steps 20 --codes 8 --tokens 2 --latent-dim 4 -S train_vae.hidden=[16]"
# What it writes, the command, and the one for the other version that it replaces.
COMMANDS = {
    "fit": ("fitted", f"fit own.npz fitted {FIT}", f"fit own.npz fitted {FIT} --seed 1"),
    "encode": ("coded.npz", "encode model own.npz coded.npz", "encode model few.npz coded.npz"),
    "decode": ("decoded", "decode model tokens.npz decoded", "decode model fewer.npz decoded"),
    "sample": ("drawn", "sample model drawn -n 20", "sample model drawn -n 9 --seed 1"),
    "sample, npz": ("d.npz", "sample model d.npz -n 20", "sample model d.npz -n 9 --seed 1"),
    "info": ("", "info model", ""),
}
Tree = dict[str, bytes]


def tree(path: Path) -> Tree:
    """Bytes of a file, or of the files of a folder; nothing where nothing is."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


class Trials:
    """Commands that are interrupted in a copy of the project, and what became of it."""

    def __init__(self, copy: Copy, warm: Warm, seed: int) -> None:
        self.copy, self.warm, self.random = copy, warm, random.Random(seed)
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.failures: list[str] = []
        self.where = self.how = ""

    def count(self, what: str) -> None:
        self.counts[self.where, self.how, what] += 1

    def check(self, right: bool, what: str, said: str = "") -> None:
        """Note a failure, unless all is right."""
        if not right:
            self.count(what)
            self.failures.append(f"{self.where}, {self.how}: {what}\n{said}")

    def interrupt(self, where: str, command: str, seconds: float, child: float = 0) -> None:
        """Run a command that takes so many seconds, as may a child of it, not to its end."""
        self.where, self.how = where, self.random.choice([*SIGNALS, *LIMITS])
        limit = {self.how: self.random.randint(*LIMITS[self.how])} if self.how in LIMITS else {}
        with tempfile.NamedTemporaryFile() as file:
            output = Path(file.name)
            pid = self.warm.start(command.split(), self.copy.folder, environment(), output, **limit)
            if not limit:
                start = time.perf_counter()
                if self.random.random() < 0.7 * bool(child):
                    while not children(pid) and time.perf_counter() < start + seconds:
                        time.sleep(0.01)
                    seconds = child
                time.sleep(self.random.uniform(0, seconds))
                self.send(pid)
            status = self.warm.wait(120)
            if status is None:  # OpenBLAS asks for memory without end
                self.count("hung")
                self.check(self.how == "AS", "hangs")
                for process in (*children(pid), psutil.Process(pid)):
                    process.kill()
                status = self.warm.wait()
            said = output.read_text(encoding="utf-8", errors="replace")
        self.count("interrupted")
        self.count("no effect" if status == 0 else "stopped")
        # What the interpreter itself ignores (a Ctrl-C in logging's hook of a fork) has no effect.
        said = re.sub(r"Exception ignored in: .*\nTraceback(.*\n)+?\w+:? ?.*\n", "", said)
        if "Traceback" in said:  # libraries raise anything where memory is short
            self.count("traceback")
            self.check(self.how == "AS", "unexpected", said)

    def send(self, pid: int) -> None:
        """Send the signal to the process, to what it has started, or to both."""
        number, stages = signal.Signals[self.how], children(pid)
        whom = self.random.choice(["dvc", "stage", "both"]) if stages else ""
        self.how += f" to {whom}" if whom else ""
        with suppress(psutil.NoSuchProcess):
            if whom != "stage":
                psutil.Process(pid).send_signal(number)
            for process in stages if whom != "dvc" else ():
                process.send_signal(number)


class Stages(Trials):
    """Interruptions of `dvc repro`."""

    def __init__(self, copy: Copy, warm: Warm, seed: int, stages: list[str]) -> None:
        super().__init__(copy, warm, seed)
        copy.repro()
        self.whole = copy.lock()
        self.outs, self.names = copy.outs(), set(self.found())
        self.locks: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.alone: dict[str, float] = {}
        for stage in stages:  # undisturbed
            self.forget(stage)
            start = time.perf_counter()
            copy.repro()
            self.seconds[stage] = time.perf_counter() - start
            self.locks[stage] = copy.lock()
            self.where, self.how = stage, "nothing"
            self.compare(stage)
            start = time.perf_counter()
            if stage != ALL_STAGES:
                copy("python", "-m", *f"stages.{stage}".split("@"))
                self.alone[stage] = time.perf_counter() - start

    def found(self) -> Iterator[str]:
        """Names of all files that are no object in a cache."""
        for path in self.copy.folder.rglob("*"):
            name = path.relative_to(self.copy.folder)
            parts = name.parts
            hashed = parts[:2] == (".dvc", "cache") and not path.name.endswith(".tmp")
            if not (hashed or parts[0] == ".git" or "__pycache__" in parts):
                yield str(name)

    def forget(self, stage: str) -> None:
        """Leave nothing of a stage in the workspace, in dvc.lock, or in the cache."""
        folder = self.copy.folder
        shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)
        if stage == ALL_STAGES:
            shutil.rmtree(folder / ".dvc/cache")
            for path in self.copy.written():
                path.unlink()
            self.copy("git", "checkout", "-q", "HEAD", "--", "dvc.lock", "metrics")
            return
        (folder / "dvc.lock").write_text(self.whole)  # the order in it is that of the first runs
        with modify_yaml(folder / "dvc.lock") as lock:
            outs = lock["stages"].pop(stage)["outs"]
            others = {out["md5"] for entry in lock["stages"].values() for out in entry["outs"]}
        for out in outs:
            remove(folder / out["path"])
            for md5 in {out["md5"], *self.inside(out["md5"])} - others:
                remove(self.object(md5))

    def object(self, md5: str) -> Path:
        return self.copy.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]

    def inside(self, md5: str) -> list[str]:
        """Hashes of the files in a folder."""
        if not (md5.endswith(".dir") and self.object(md5).exists()):
            return []
        return [entry["md5"] for entry in json.loads(self.object(md5).read_text())]

    def trial(self) -> None:
        """Interrupt a stage, and run it again."""
        stage = self.random.choice([*self.seconds])
        self.forget(stage)
        self.interrupt(stage, "dvc repro", self.seconds[stage], self.alone.get(stage, 0))
        partial = [
            name
            for name, content in self.copy.outs().items()
            if content != self.outs.get(name)
            # What grows, what a next run sweeps, and what is still another run's.
            and not name.startswith("data/curves/")
            and PARTIAL not in name
            and not (stage == ALL_STAGES and name.startswith("metrics/"))
        ]
        self.check(not partial, "partial", str(partial))
        status, said = self.copy.run("python", "-m", "tools.mend")
        self.check(status == 0, "mend fails", said)
        if "mended:" in said:
            self.count("mended")
        status, said = self.copy.run("dvc", "repro")
        self.check(status == 0, "no second run", said)
        self.compare(stage)

    def compare(self, stage: str) -> None:
        """See that all is as after a run that nothing disturbed."""
        outs = self.copy.outs()
        differing = {name for name in outs | self.outs if outs.get(name) != self.outs.get(name)}
        self.check(not differing, "other outs", str(differing))
        self.check(self.copy.lock() == self.locks[stage], "another dvc.lock")
        more = set(self.found()) - self.names
        self.check(not more, "left behind", str(more))
        for name in more:
            remove(self.copy.folder / name)


class Commands(Trials):
    """Interruptions of the command line."""

    def __init__(self, copy: Copy, warm: Warm, seed: int, names: list[str]) -> None:
        super().__init__(copy, warm, seed)
        folder = copy.folder
        with np.load(folder / "own.npz") as file:
            np.savez(folder / "few.npz", images=file["images"][:50])
        for command in (
            f"fit own.npz model {FIT}",
            "encode model own.npz tokens.npz",
            "encode model few.npz fewer.npz",
        ):
            copy("python", "-m", "geovq", *command.split())
        self.trees: dict[str, tuple[Tree, Tree]] = {}
        self.seconds: dict[str, float] = {}
        for name in names:
            target, command, other = COMMANDS[name]
            trees = []
            for words in filter(None, (other, command)):
                remove(folder / target) if target else None
                start = time.perf_counter()
                copy("python", "-m", "geovq", *words.split())
                self.seconds[name] = time.perf_counter() - start
                trees.append(tree(folder / target) if target else {})
            self.trees[name] = trees[0], trees[-1]
            remove(folder / target) if target else None
        self.names = {path.name for path in folder.iterdir()}

    def trial(self) -> None:
        """Interrupt a command, and run it again."""
        name = self.random.choice([*self.seconds])
        target, command, other = COMMANDS[name]
        path, (old, new) = self.copy.folder / target, self.trees[name]
        if not target:
            before, force = {}, ""
        elif self.random.random() < 0.5:
            self.copy("python", "-m", "geovq", *other.split())
            before, force = old, " --force"
        else:
            before, force = {}, ""
        self.interrupt(name, f"python -m geovq {command}{force}", self.seconds[name])
        if target:
            after = tree(path)
            self.check(after in (before, new), "mixed", f"{sorted(after)}")
            force = " --force" if path.exists() else ""
        status, said = self.copy.run("python", "-m", "geovq", *f"{command}{force}".split())
        self.check(status == 0, "no second run", said)
        if target:
            self.check(tree(path) == new, "other outs")
            remove(path)
        more = {path.name for path in self.copy.folder.iterdir()} - self.names
        self.check(not more, "left behind", str(more))
        for name in more:
            remove(self.copy.folder / name)


def table(counts: Counter[tuple[str, str, str]], key: int) -> str:
    """What happened, by where (0) or how (1)."""
    columns = sorted({what for *_, what in counts}, key=lambda what: (what != "interrupted", what))
    rows: dict[str, Counter[str]] = {}
    for labels, number in counts.items():
        for label in (labels[key], "in all"):
            rows.setdefault(label, Counter())[labels[2]] += number
    lines = [[label, *(rows[label][column] for column in columns)] for label in sorted(rows)]
    return tabulate(lines, ["", *columns])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warm = Warm()
    with tempfile.TemporaryDirectory() as folder:
        one, other = (Copy(Path(folder) / name, warm) for name in ("stages", "commands"))
        stages = Stages(one, warm, options.seed, [*IN_ORDER, ALL_STAGES])
        commands = Commands(other, warm, options.seed, [*COMMANDS])
        end = time.monotonic() + options.seconds
        for number in range(options.trials):
            if time.monotonic() > end:
                break
            (stages, commands)[number % 2].trial()
            sys.stderr.write(f"{number + 1} done\n")
    warm.close()
    counts = stages.counts + commands.counts
    failures = stages.failures + commands.failures
    for text in (*failures, table(counts, 0), "", table(counts, 1)):
        sys.stdout.write(f"{text}\n")
    sys.stdout.write(f"\n{len(failures)} failures\n")
    sys.exit(len(failures) > 0)


if __name__ == "__main__":
    main()
