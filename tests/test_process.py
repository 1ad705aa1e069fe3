"""How stages and the command line end: in one line, with a status, and with nothing half done."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from geovq.cli.commands import main

ROOT = Path(__file__).parents[1]
STAGE = """
import os, signal, sys, time
from geovq.errors import InputError, WeightsFileError, WriteError
from stages.common import run

def stage(params):
    try:
        {}
        time.sleep(60)
    finally:
        print("cleaned up")

run(stage)
"""


def python(code, **changes):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | changes,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "error: terminated"),
        ("os.kill(os.getpid(), signal.SIGINT)", 130, "error: interrupted"),
        ("raise InputError('codes = 1')", 1, "error: codes = 1"),
        ("raise WeightsFileError('x: absent')", 1, "error: x: absent; `dvc repro` computes it"),
        ("open('/nowhere/x')", 1, "error: [Errno 2] No such file or directory: '/nowhere/x'"),
        ("raise WriteError('x', 'No space left')", 1, "error: x: not written: No space left"),
        ("bytearray(1 << 60)", 1, "error: out of memory"),
        ("raise RuntimeError('cannot allocate memory: you tried')", 1, "error: out of memory"),
        ('raise RuntimeError("can\'t start new thread")', 1, "error: can't start new thread"),
    ],
)
def test_whatever_ends_a_stage_is_one_line(what, status, said):
    code, out, err = python(STAGE.format(what))
    assert (code, out) == (status, "cleaned up\n")
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback():
    code, _, err = python(STAGE.format("raise RuntimeError('own')"))
    assert code == 1
    assert "Traceback" in err


def test_a_second_sigterm_does_not_stop_the_cleaning_up():
    kill = "os.kill(os.getpid(), signal.SIGTERM)"
    code = STAGE.format(kill).replace("finally:", f"finally:\n        {kill}")
    assert python(code) == (143, "cleaned up\n", "error: terminated\n")


@pytest.mark.parametrize("module", ["stages", "geovq.__main__"])
def test_an_interruption_while_importing_is_one_line(module):
    code, _, err = python(f"import {module}; raise KeyboardInterrupt")
    assert (code, err) == (-signal.SIGINT, "error: interrupted\n")
    code, _, err = python(f"import {module}; raise MemoryError")
    assert (code, err) == (1, "error: out of memory\n")


def test_what_a_terminal_cannot_show_is_escaped():
    prints = STAGE.format(r"print('8 \xd7 8 \u2192 \xe9'); raise InputError('\xfcber')")
    for changes in ({"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}):
        code, out, err = python(prints, PYTHONUTF8="0", **changes)
        assert (code, out) == (1, "8 \\xd7 8 \\u2192 \\xe9\ncleaned up\n")
        assert err == "error: \\xfcber\n"


def test_a_stage_ends_with_the_dvc_that_started_it(tmp_path):
    stage, said = tmp_path / "stage.py", tmp_path / "said"
    stage.write_text(STAGE.format(f"open({str(said)!r}, 'w').write(str(os.getpid()))"))
    start = "import subprocess, sys; subprocess.run([sys.executable, sys.argv[1]])"
    parent = subprocess.Popen(
        [sys.executable, "-c", start, stage],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_STAGE": "x"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait(lambda: said.exists() and said.read_text())
    parent.kill()
    parent.wait()
    child = Path(f"/proc/{said.read_text()}/cmdline")
    wait(lambda: not child.exists() or not child.read_bytes())


def wait(until):
    for _ in range(600):
        if until():
            return
        time.sleep(0.05)
    raise TimeoutError


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (MemoryError(), 1, "error: out of memory"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device\n"),
    ],
)
def test_the_command_line_ends_alike(error, status, said, monkeypatch, tmp_path):
    def load(model, device):
        raise error

    monkeypatch.setattr("geovq.cli.commands.load", load)
    before = signal.getsignal(signal.SIGTERM)
    result = CliRunner().invoke(main, ["sample", "model", str(tmp_path / "x.npz")])
    assert result.exit_code == status
    assert said in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before
