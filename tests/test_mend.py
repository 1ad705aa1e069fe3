"""What a killed DVC leaves broken is mended, and what a living one holds is left alone."""

import json
import subprocess
import sys
from pathlib import Path

import dvc.lock
import pytest
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.rwlock import rwlock
from ruamel.yaml import YAML

from geovq.errors import InputError
from geovq.files.writing import PARTIAL
from tools.mend import main

AUTHOR = ["-c", "user.name=t", "-c", "user.email=t@t"]
STAGES = {
    name: {"cmd": f"echo {name}", "outs": [{"path": name, "hash": "md5", "md5": 32 * "a"}]}
    for name in ("one", "two")
}
# A process whose name says that it is DVC, and which holds a file as a stage's run does.
HOLDER = """
import sys, time
from dvc.fs import localfs
from dvc.rwlock import rwlock
with rwlock(".dvc/tmp", localfs, "dvc repro", [], [sys.argv[1]], False):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A committed project of two stages, with a dvc.lock."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    Repo.init().close()
    YAML().dump(
        {"stages": {name: {"cmd": s["cmd"]} for name, s in STAGES.items()}}, Path("dvc.yaml")
    )
    YAML().dump({"schema": "2.0", "stages": STAGES}, Path("dvc.lock"))
    subprocess.run(["git", "add", "-A"], check=True)
    subprocess.run(["git", *AUTHOR, "commit", "-qm", "start"], check=True)
    (tmp_path / ".dvc" / "tmp").mkdir(exist_ok=True)
    return tmp_path


@pytest.fixture
def lock(project):
    return project / "dvc.lock"


@pytest.fixture
def held(project):
    return project / ".dvc" / "tmp" / "rwlock"


def loads(project):
    """Whether DVC can read the project."""
    try:
        with Repo() as repo:
            return {stage.name for stage in repo.index.stages} == {"one", "two"}
    except DvcException:
        return False


def test_a_project_in_order_stays_as_it_is(project, held, capsys):
    held.write_text("{}")
    before = {p: p.read_bytes() for p in project.glob("*") if p.is_file()}
    main()
    assert {p: p.read_bytes() for p in project.glob("*") if p.is_file()} == before
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["", "{", "[]", '{"write": {"x": 3}}', "\0\0\0\0"])
def test_a_broken_rwlock_is_emptied(text, held, capsys):
    held.write_text(text)
    main()
    assert json.loads(held.read_text()) == {}
    assert "mended: " in capsys.readouterr().err


def test_only_entries_of_processes_that_are_gone_are_taken_out(project, held):
    one = subprocess.Popen([sys.executable, "-c", HOLDER, "one"], stdout=subprocess.PIPE)
    two = subprocess.Popen([sys.executable, "-c", HOLDER, "two"], stdout=subprocess.PIPE)
    other = subprocess.Popen(["sleep", "60"])  # has the number of a DVC that is gone
    try:
        assert one.stdout.readline() == two.stdout.readline() == b"held\n"
        before = held.read_text()
        main()
        assert held.read_text() == before
        tree = json.loads(before)
        tree["read"] = {"x": [{"pid": other.pid, "cmd": "dvc"}, {"pid": one.pid, "cmd": "dvc"}]}
        held.write_text(json.dumps(tree))
        two.kill()  # and is not waited for: a zombie
        two.stdout.read()
        main()
        tree["read"]["x"].pop(0)
        del tree["write"]["two"]
        assert json.loads(held.read_text()) == tree
    finally:
        for process in (one, two, other):
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()
    main()
    assert not any(json.loads(held.read_text()).values())


def test_nothing_is_mended_while_another_dvc_works(project, held, monkeypatch, capsys):
    monkeypatch.setattr(dvc.lock, "DEFAULT_TIMEOUT", 0.1)
    held.write_text("")
    with Repo() as repo, repo.lock:
        main()
    assert held.read_text() == ""
    assert "held by a DVC that runs" in capsys.readouterr().err


@pytest.mark.parametrize("committed", [True, False])
def test_a_dvc_lock_that_was_cut_off_gives_way_to_the_last_commits(committed, lock, capsys):
    whole = lock.read_bytes()
    if not committed:
        subprocess.run(["git", "rm", "-q", "--cached", "dvc.lock"], check=True)
        subprocess.run(["git", *AUTHOR, "commit", "-qm", "without"], check=True)
    for length in (*range(0, len(whole), 40), len(whole) - 1):
        lock.write_bytes(whole[:length])
        main()
        said = capsys.readouterr().err
        assert ("mended" in said) == (lock.read_bytes() != whole[:length])
        assert loads(lock.parent)
        if "mended" in said:
            assert lock.read_bytes() == (whole if committed else b"schema: '2.0'\n")
    assert not Path("dvc.lock.broken").exists()


def test_what_git_does_not_have_is_kept_aside(lock):
    whole = lock.read_bytes()
    lock.write_bytes(b"stages:\n  three: [\n")
    main()
    assert lock.read_bytes() == whole
    assert Path("dvc.lock.broken").read_bytes() == b"stages:\n  three: [\n"


def test_conflicts_of_a_merge_are_left_to_the_user(lock):
    text = b"schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n=======\n>>>>>>> other\n"
    lock.write_bytes(text)
    main()
    assert lock.read_bytes() == text


def test_temporary_files_of_killed_stages_are_swept(project):
    models = project / "data" / "models"
    models.mkdir(parents=True)
    for name in (f"{PARTIAL}0123", ".hidden", "vae.safetensors"):
        (models / name).touch()
    main()
    assert {path.name for path in models.iterdir()} == {".hidden", "vae.safetensors"}


def test_where_nothing_can_run_it_says_why(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no DVC project; run from the folder of dvc"):
        main()
    Repo.init(no_scm=True).close()
    main()
    (tmp_path / ".dvc" / "config").write_text("")
    with pytest.raises(InputError, match="not a git repository; `git init` makes it one"):
        main()


def test_dvc_itself_can_use_what_was_mended(held):
    held.write_text("")
    main()
    with Repo() as repo, rwlock(str(held.parent), repo.fs, "dvc", [], ["one"], False):
        assert "one" in json.loads(held.read_text())["write"]
