"""DVC and the stages in processes that are forked with everything imported.

A stage imports for seconds what it then uses for tenths of one on a few images. What runs here is
the code of the folder it runs in: only libraries are imported beforehand.
"""

import importlib
import json
import os
import resource
import runpy
import select
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NoReturn

__all__ = ["Warm"]

LIBRARIES = [
    "dvc.cli",
    "dvc.commands.repro",
    "dvc.repo.reproduce",
    "dvc.stage.cache",
    "dvc.stage.run",
    "dvclive",
    "faiss",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "numba",
    "pydantic",
    "ruamel.yaml",
    "safetensors.torch",
    "sklearn.datasets",
    "sklearn.manifold",
    "sklearn.model_selection",
    "torch",
    "torchmetrics.image.fid",
    "tqdm",
]


class Warm:
    """A process that has imported the libraries and forks one job at a time.

    Nothing in it has started a thread, which a forked process would miss.
    """

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "checks.warm"],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # an answer is either in the pipe or read
        )

    @staticmethod
    def knows(command: Sequence[str]) -> bool:
        """Whether it can run the command: `dvc …` or `python -m …`."""
        return command[0] == "dvc" or list(command[:2]) == ["python", "-m"]

    def start(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        output: Path,
        **limits: int,
    ) -> int:
        """Start a command, its output going to a file; the number of its process and its group.

        `limits` are `FSIZE`, bytes of any file, and `AS`, bytes of memory beyond what it has.
        """
        job = {"command": command, "folder": str(folder), "env": dict(env), "output": str(output)}
        job["limits"] = limits
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(job).encode() + b"\n")
        return self._answer()

    def wait(self, seconds: float | None = None) -> int | None:
        """Wait for the end of what was started; its exit status, or minus the signal.

        None if it has not ended after so many seconds.
        """
        assert self._server.stdout is not None
        ready, _, _ = select.select([self._server.stdout], [], [], seconds)
        return self._answer() if ready else None

    def run(self, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> tuple[int, str]:
        """Run a command; its exit status, and what it said."""
        with tempfile.NamedTemporaryFile() as output:
            self.start(command, folder, env, Path(output.name))
            status = self.wait()
            assert status is not None
            return status, output.read().decode(errors="replace")

    def close(self) -> None:
        """End the process."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait()
        self._server.stdout.close()

    def _answer(self) -> int:
        assert self._server.stdout is not None
        return int(self._server.stdout.readline())


def serve() -> None:
    """Fork the jobs that come in, one a line; say the number of each, and how it ended."""
    for name in LIBRARIES:
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if not child:
            work(**job)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    os._exit(0)  # taking all of it apart would take seconds


def work(
    command: Sequence[str],
    folder: str,
    env: Mapping[str, str],
    output: str,
    limits: Mapping[str, int],
) -> NoReturn:
    """Become a command."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with open(os.devnull) as nothing, open(output, "w") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    for name, amount in limits.items():
        used = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
        allowed = amount + (used if name == "AS" else 0)
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (allowed, allowed))
    if command[0] != "dvc":
        become(lambda: module(command[2:], folder, env))
    import dvc.cli
    import dvc.stage.run

    dvc.stage.run._run = forked
    os.chdir(folder)
    replace_environment(env)
    become(lambda: sys.exit(dvc.cli.main(command[1:])))


def forked(executable: str, cmd: str, cwd: str, env: Mapping[str, str], **_: Any) -> None:
    """Run a stage's command, in place of `dvc.stage.run._run`."""
    from dvc.stage.exceptions import StageCmdFailedError

    program, _m, *words = shlex.split(cmd)
    assert (program, _m) == ("python", "-m"), cmd
    sys.stdout.flush()
    child = os.fork()
    if not child:
        become(lambda: module(words, cwd, env))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        signal.signal(signal.SIGINT, before)
    if status:
        raise StageCmdFailedError(cmd, status)


def module(words: Sequence[str], folder: str, env: Mapping[str, str]) -> None:
    """Run a module of the folder as `python -m` does.

    Of a stage that DVC runs, `RECORD` in the environment is the folder for what it uses.
    """
    os.chdir(folder)
    replace_environment(env)
    for name in [
        n for n in sys.modules if n.split(".")[0] in ("checks", "geovq", "stages", "tools")
    ]:
        del sys.modules[name]
    sys.path[0] = folder
    sys.argv = list(words)
    record, stage = env.get("RECORD"), env.get("DVC_STAGE")
    with ExitStack() as stack:
        if record and stage:
            from checks.recorded import recorded

            stack.enter_context(recorded(Path(folder), Path(record, f"{stage}.json")))
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)


def replace_environment(env: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(env)


def become(main: Callable[[], None]) -> NoReturn:
    """Run to the end of this process, never back into what it was forked from."""
    status = 1
    try:
        main()
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        else:
            status = end.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    serve()
