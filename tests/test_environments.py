"""Places and surroundings that are not those of a developer's machine.

`test_pipeline.py` runs all stages in some more: a folder with a difficult name, and one process
whose code and home cannot be written, without git, in ASCII.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from checks.small import Copy
from geovq.data.folders import save_folder

ROOT = Path(__file__).parents[1]
COMMANDS = """
import sys
from geovq.__main__ import main
for words in sys.argv[1:]:
    try:
        main(words.split("|"))
    except SystemExit as end:
        print(end.code)
"""


def test_a_stage_says_where_it_has_to_run(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "stages.prepare"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "error: params.yaml: no such file; run from the folder that holds it\n"


@pytest.mark.slow
def test_files_have_any_name_in_any_locale(tmp_path):
    pictures = tmp_path / "Bilder, schöne"
    save_folder(pictures, (load_digits().images[:60] * 15.9).astype("uint8"))
    (pictures / "00.png").rename(pictures / "Größe → ×.png")
    commands = [
        "fit|Bilder, schöne|modèle|--steps|3|--codes|4|--latent-dim|3|-S|train_vae.hidden=[4]",
        "encode|modèle|Bilder, schöne|t é.npz",
        "decode|modèle|t é.npz|wieder, größer",
        "info|nicht dà",
    ]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *commands],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), **ascii_only},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-3:] == ["0", "0", "2"]
    assert "error: nicht d\\udcc3\\udca0: no such file\n" in done.stderr
    assert (tmp_path / "wieder, größer" / "Größe → ×.png").exists()


@pytest.mark.slow
def test_without_git_it_says_what_to_do_and_then_runs(tmp_path, warm):
    copy = Copy(tmp_path, warm)
    shutil.rmtree(tmp_path / ".git")
    said = copy("python", "-m", "tools.mend", fails=True)
    assert said == (
        f"error: {tmp_path} is not a git repository; `git init` makes it one, "
        "`dvc config --local core.no_scm true` does without\n"
    )
    copy("dvc", "config", "--local", "core.no_scm", "true")
    copy.changes = {"PATH": str(Path(sys.executable).parent)}
    assert copy("python", "-m", "tools.mend") == ""
    assert copy.repro("prepare") == {"prepare"}


@pytest.mark.slow
def test_two_workers_of_a_queue_do_not_disturb_each_other(tmp_path, warm):
    copy = Copy(tmp_path / "queue", warm)
    sizes = {"narrow": 3, "wide": 7}
    for name, size in sizes.items():
        setting = f"train_vae.latent_dim={size}"
        copy("dvc", "exp", "run", "--queue", "--name", name, "-S", setting, "train_vae")
    copy("dvc", "queue", "start", "-j", "2")
    for _ in range(600):
        said = copy("dvc", "queue", "status")
        if not ("Queued" in said or "Running" in said):
            break
        time.sleep(1)
    assert said.count("Success") == 2
    refs = copy("git", "for-each-ref", "refs/exps", "--format=%(refname)").split()
    for name, size in sizes.items():
        (ref,) = (ref for ref in refs if ref.endswith(f"/{name}"))
        found = YAML().load(copy("git", "show", f"{ref}:dvc.lock"))["stages"]["train_vae"]
        copy.change(train_vae={"latent_dim": size})
        copy("dvc", "repro", "--force", "train_vae")
        assert YAML().load(copy.lock())["stages"]["train_vae"] == found
