"""How long a fit takes is told once, after its first steps."""

import itertools
import time

import pytest

from geovq.codec.pace import Pace
from geovq.codec.settings import settings


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass between two looks at the clock, to be set."""
    seconds = [0.0]
    times = itertools.accumulate(itertools.repeat(0), lambda now, _: now + seconds[0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    return seconds


def test_it_is_told_once_and_evaluations_are_passed_on(clock, capsys):
    heard = []
    chosen = settings({"steps": 1000})  # of VAE, codes, decoder, three rounds and prior
    pace = Pace(chosen, lambda title: lambda step, values: heard.append((title, step, values)))
    log = pace("VAE")
    for step in (100, 200):  # read back from an earlier call, at once
        log(step, {"train": 1.0})
    assert capsys.readouterr().err == ""
    clock[0] = 10.0
    for step in (300, 400):
        log(step, {"train": 1.0})
    pace("prior")(100, {"train": 2.0})
    said = capsys.readouterr().err
    assert said == "All trainings take about 11:40 at most (7,000 steps); less if some stop early\n"
    assert heard[0] == ("VAE", 100, {"train": 1.0})
    assert [step for _, step, _ in heard] == [100, 200, 300, 400, 100]


def test_what_is_left_out_takes_no_time():
    chosen = settings({"train_ar": None}, absent=["train_vae", "refine"])
    assert Pace(chosen, lambda title: lambda step, values: None).steps == 0
