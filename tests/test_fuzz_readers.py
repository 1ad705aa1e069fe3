"""Readers and damaged files: a short run of the benchmark; what it found is in their own tests."""

from checks.fuzz_readers import fuzz


def test_damaged_files_are_read_or_refused_and_nothing_else():
    counts, faults = fuzz(400, seed=2)
    assert not faults
    assert sum(count["refused"] for count in counts.values()) > 200
    assert sum(count["unchanged"] for count in counts.values()) > 0
