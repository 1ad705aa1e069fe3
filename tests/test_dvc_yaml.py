"""dvc.yaml says of each stage what its outs depend on: all of the code, and all parameters.

`test_pipeline.py` compares it with what the stages use as they run.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
from reached import Project, chains
from ruamel.yaml import YAML

from checks.small import Copy
from geovq.params.sections import Params

ROOT = Path(__file__).parents[1]
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
PROJECT = Project(ROOT, "geovq", "stages")
# Code that runs, but cannot change what an out holds.
EXEMPT = {
    "stages/__init__.py": "how a process begins",
    "stages/_dvc.py": "when it ends",
    "geovq/__init__.py": "the version, part of each file's mark: a release computes nothing anew",
    "geovq/moved.py": "where names are that have moved",
    "geovq/process.py": "how a process ends",
    "geovq/threads.py": "what threads do while they have no work",
    "geovq/errors.py": "names of errors",
    "geovq/clustering/beyond_labels.py": "read off a fitted estimator, when somebody asks",
    "geovq/codec/describe.py": "how a codec shows itself in a console",
    "geovq/params/explain.py": "what messages say",
    "geovq/quantization/counts.py": "refuses, or lets be",
    "geovq/params/yaml.py": "reads params.yaml, whose values DVC compares itself",
    "geovq/params/reading.py": "the same",
    "geovq/params/sections.py": "the same",
    "geovq/files/reading.py": "opens a file, or says why not",
    "geovq/files/places.py": "where may be written",
    "geovq/files/writing.py": "how files are written, whatever is in them",
    "geovq/training/checkpoints.py": "a training that goes on comes to what it would have come to",
    "geovq/training/failures.py": "warns when all is done",
    "geovq/training/prior.py:check_prior": "the same",
    "geovq/training/vqvae.py:check_vqvae": "the same",
}


def covers(dependency, path):
    return path == dependency or path.startswith(f"{dependency}/")


def beside(path):
    """Files of a module's folder that are no modules: templates and the like."""
    folder = (ROOT / path).parent
    return {
        other.relative_to(ROOT).as_posix()
        for other in folder.iterdir()
        if other.is_file() and other.suffix not in (".py", ".typed")
    }


def check(stage, missing, unused):
    """Fail with one line that says what to change."""
    wrong = [f"{name} is missing" for name in sorted(missing)]
    wrong += [f"{name} is listed, but not used" for name in sorted(unused)]
    assert not wrong, f"dvc.yaml, {stage}: {'; '.join(wrong)}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_can_come_to_run(stage):
    module = f"stages.{stage}"
    needed = set(PROJECT.reached(module, EXEMPT))
    needed = needed.union(*map(beside, needed))
    used = needed | set(PROJECT.reached(module))
    listed = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("geovq", "stages"))]
    # Of a folder that is listed, all is used.
    code = {path for path in PROJECT.paths.values() if PROJECT.definitions(path)}
    wanted = {path for path in code if any(covers(dep, path) for dep in listed)}
    idle = {dep for dep in listed if not any(covers(dep, path) for path in used)}
    missing = {path for path in needed if not any(covers(dep, path) for dep in listed)}
    check(stage, missing, (wanted - used) | idle)


def test_what_is_exempt_is_there_and_runs():
    runs = [PROJECT.reached(f"stages.{stage}") for stage in STAGES]
    for entry in EXEMPT:
        path, _, name = entry.partition(":")
        found = set().union(*(reached.get(path, set()) for reached in runs))
        assert name in found if name else found, entry


def keys_read(stage):
    """Parameters that a stage's own file reads, and sections that it hands on or names anew."""
    tree = ast.parse((ROOT / "stages" / f"{stage}.py").read_text())
    named = {"params": []}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            first, *rest = next(chains(node.value))
            if first == "params" and isinstance(node.targets[0], ast.Name):
                named[node.targets[0].id] = rest
    for first, *rest in chains(tree):
        if first in named:
            section, key = Params, []
            for name in (*named[first], *rest):
                if name not in getattr(section, "model_fields", {}):
                    break  # a method, or a property
                key.append(name)
                section = section.model_fields[name].annotation
            yield ".".join(key)


def are_one(key, other):
    """Whether two keys are the same, or one a section that has the other in it."""
    return f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_parameters_that_its_file_reads(stage):
    read, listed = set(keys_read(stage)), STAGES[stage]["params"]
    all_at_once = "" in read  # or rather, any of them
    missing = {key for key in read - {""} if not any(are_one(key, other) for other in listed)}
    idle = {key for key in listed if not any(are_one(key, other) for other in read)}
    check(stage, missing, set() if all_at_once else idle)


def change(path):
    """Put the negatives of the images of a file in their place."""
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, images=255 - arrays.pop("images"), **arrays)


@pytest.mark.slow
def test_a_file_of_ones_own_is_never_passed_over(tmp_path, warm):
    copy = Copy(tmp_path / "project", warm)
    images = copy.folder / "data" / "images.npz"
    assert copy.repro("prepare") == {"prepare"}
    assert copy.repro("prepare") == set()
    before = images.read_bytes()
    change(copy.folder / "own.npz")
    assert copy.repro("prepare") == {"prepare"}
    assert images.read_bytes() != before

    other = tmp_path / "not of the project, nor plainly named.npz"
    (copy.folder / "own.npz").rename(other)
    assert "own.npz" in copy("dvc", "repro", "prepare", fails=True)
    copy.change(prepare={"file": str(other)})
    assert copy.repro("prepare") == {"prepare"}
    change(other)
    assert copy.repro("prepare") == {"prepare"}
    assert images.read_bytes() == before

    copy.change(prepare={"dataset": "digits", "file": None})
    assert copy.repro("prepare") == {"prepare"}
    assert copy.repro("prepare") == set()
