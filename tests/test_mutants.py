"""The table of mutants stays true to the code; `python -m checks.mutants` runs them."""

from collections import Counter

import pytest

from checks.mutants import ROOT, main, mutants, summary

ALL = mutants()


def test_every_group_has_its_share():
    counts = Counter(mutant.group for mutant in ALL)
    assert counts.keys() == {"engine", "files", "metrics", "models", "quantiser"}
    assert min(counts.values()) >= 30
    assert len({(mutant.module, mutant.was, mutant.now) for mutant in ALL}) == len(ALL)


@pytest.mark.parametrize("module", sorted({mutant.module for mutant in ALL}))
def test_every_mutant_changes_what_is_there_once_and_is_code(module):
    text = (ROOT / module).read_text()
    for mutant in ALL:
        if mutant.module == module:
            changed = mutant.applied(text)
            assert changed != text
            compile(changed, module, "exec")
            assert all((ROOT / test).is_file() for test in mutant.tests)


def test_a_fault_that_is_no_longer_there_is_told():
    with pytest.raises(ValueError, match=r"0 times .*; allowed: once"):
        ALL[0].applied("other text")


def test_groups_and_modules_are_chosen_by_name(capsys, monkeypatch):
    assert {mutant.group for mutant in mutants(["metrics"])} == {"metrics"}
    chosen = mutants(["geovq/files/npz.py"])
    assert {mutant.module for mutant in chosen} == {"geovq/files/npz.py"}
    monkeypatch.setattr("sys.argv", ["mutants", "--list", "geovq/files/npz.py"])
    main()
    assert capsys.readouterr().out.splitlines() == [str(mutant) for mutant in chosen]


def test_shares_are_counted_by_group_and_together():
    shown = summary([(ALL[0], "killed"), (ALL[0], "hung"), (ALL[-1], "survived")])
    assert [line.split()[1:] for line in shown.splitlines()[2:]] == [
        ["2", "1", "1", "0", "100.0%"],
        ["1", "0", "0", "1", "0.0%"],
        ["3", "1", "1", "1", "66.7%"],
    ]
