"""Input that is not as it should be is refused in one line, and costs nobody anything."""

from collections import Counter

from tests.malformed import cases
from tests.malformed.kit import tried


def test_every_kind_of_malformed_input_is_refused_in_one_line():
    found = [(f"{case.family}: {case.name}", trouble) for case, trouble, _ in tried(cases())]
    assert [(name, trouble) for name, trouble in found if trouble] == []
    assert len(found) > 400
    assert max(Counter(name for name, _ in found).values()) == 1
