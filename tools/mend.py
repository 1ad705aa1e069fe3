"""Mend what a DVC that was killed can leave broken; `make run` does so first.

    python -m tools.mend

- `.dvc/tmp/rwlock`, which says who reads and writes which files, may be left empty, or with entries
  of processes that are gone. (The locks beside it are the system's, which frees them itself.)
- `dvc.lock` may be left empty or cut off. The one of the last commit takes its place, for what has
  run since is still in DVC's cache. One that is broken otherwise is kept as `dvc.lock.broken`.
- Temporary files lie beside what was being written, where they would become part of a dependency.

What a DVC that is alive holds stays as it is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
from dvc.exceptions import NotDvcRepoError
from dvc.lock import LockError, make_lock
from dvc.repo import Repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK, SCHEMA
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.scm import SCMError
from dvc.utils.serialize import YAMLFileCorruptedError, parse_yaml
from voluptuous import Invalid

from geovq.errors import InputError
from geovq.files.writing import new_file, sweep
from geovq.process import in_one_line

__all__ = ["main"]

LOCK = Path("dvc.lock")
WRITTEN = ("data", "metrics", "plots")
NO_STAGE = b"schema: '2.0'\n"


def main() -> None:
    """Mend this folder's project.

    Raises
    ------
    InputError
        There is no project here, or none that DVC can run.
    """
    try:
        repo = Repo()
    except NotDvcRepoError:
        raise InputError(f"{Path.cwd()}: no DVC project; run from the folder of dvc.yaml") from None
    except SCMError as error:
        raise InputError(
            f"{error}; `git init` makes it one, `dvc config --local core.no_scm true` does without"
        ) from None
    folder = Path(repo.tmp_dir)
    try:
        with repo.lock:
            mend_rwlock(folder, repo.config["core"].get("hardlink_lock", False))
            mend_dvc_lock(Path(repo.root_dir) / LOCK)
            sweep_all(Path(repo.root_dir))
    except LockError:
        say(f"{folder / 'lock'}: held by a DVC that runs, or ran with core.hardlink_lock; left")
    finally:
        repo.close()


def say(what: str) -> None:
    sys.stderr.write(f"mended: {what}\n")


def mend_rwlock(folder: Path, hardlink: bool) -> None:
    """Take out of the rwlock whatever no process can hold."""
    path = folder / RWLOCK_FILE
    with make_lock(str(folder / RWLOCK_LOCK), tmp_dir=str(folder), hardlink_lock=hardlink):
        if not path.exists():
            return
        before = path.read_bytes()
        try:
            held = SCHEMA(json.loads(before))
        except (ValueError, Invalid):
            kept: dict[str, Any] = {}
        else:
            readers = {
                name: [entry for entry in entries if alive(entry["pid"])]
                for name, entries in held["read"].items()
            }
            writers = held["write"].items()
            kept = {
                "read": {name: entries for name, entries in readers.items() if entries},
                "write": {name: entry for name, entry in writers if alive(entry["pid"])},
            }
            if kept == held:
                return
        with new_file(path, path.suffix) as stream:
            stream.write(json.dumps(kept).encode())
        say(f"{path}: entries of processes that are gone, or unreadable ones")


def alive(pid: int) -> bool:
    """Whether a process may be the DVC that it was when it made an entry."""
    try:
        process = psutil.Process(pid)
        if pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
            return False
        words = " ".join([process.name(), *process.cmdline()])
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return "dvc" in words or "python" in words  # the number may be another process's by now


def mend_dvc_lock(path: Path) -> None:
    """Put the committed dvc.lock in place of one that cannot be read or was cut off."""
    if not path.exists():
        return
    before = path.read_bytes()
    if b"\n<<<<<<< " in before or whole(before, path):
        return  # conflicts of a merge are the user's to settle
    after = committed(path)
    if after is None or not whole(after, path):
        after = NO_STAGE
    if not (after.startswith(before) or cut_off(before, path)):
        with new_file(path.with_name(f"{path.name}.broken"), ".broken") as stream:
            stream.write(before)
    with new_file(path, path.suffix) as stream:
        stream.write(after)
    say(f"{path.name}: broken; now {'empty' if after is NO_STAGE else 'that of the last commit'}")


def whole(text: bytes, path: Path) -> bool:
    """Whether DVC can read a dvc.lock, and it ends as DVC ends it."""
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text.decode(), path))
    except (UnicodeDecodeError, YAMLFileCorruptedError, Invalid):
        return False
    return text.endswith(b"\n")


def cut_off(text: bytes, path: Path) -> bool:
    """Whether it is the beginning of what DVC writes: all but its last lines can be read."""
    lines = text.splitlines(keepends=True)
    return any(whole(b"".join(lines[: -last or None]), path) for last in range(10))


def committed(path: Path) -> bytes | None:
    """Give the file as it is in the last commit, if there is one."""
    command = ["git", "show", f"HEAD:./{path.name}"]
    try:
        found = subprocess.run(command, cwd=path.parent, capture_output=True)
    except FileNotFoundError:  # no git
        return None
    return None if found.returncode else found.stdout


def sweep_all(root: Path) -> None:
    """Take away temporary files in the folders that stages write to."""
    for name in WRITTEN:
        for folder in [root / name, *(path for path in (root / name).rglob("*") if path.is_dir())]:
            sweep(folder)


if __name__ == "__main__":
    with in_one_line(bad_input=1):
        main()
