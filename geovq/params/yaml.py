"""YAML that strangers wrote: plain values, or one line that says why not."""

from __future__ import annotations

from typing import Any

__all__ = ["YAMLTextError", "from_yaml"]

MOST_BYTES = 100_000
MOST_VALUES = 10_000  # once aliases are followed, for merging keys copies them
DEEPEST = 20


class YAMLTextError(ValueError):
    """Why a text gives no values, on one line."""


def from_yaml(text: bytes | str) -> Any:
    """Values of a YAML 1.2 document, as DVC reads it.

    Raises
    ------
    YAMLTextError
        It is not YAML, not plain values, or too large for parameters.
    """
    from ruamel.yaml import YAML, YAMLError
    from ruamel.yaml.error import MarkedYAMLError

    if len(text) > MOST_BYTES:
        raise YAMLTextError(f"{len(text):,} bytes; allowed: at most {MOST_BYTES:,}")
    try:
        _check_size(text)
        return YAML(typ="safe").load(text)
    except YAMLTextError:
        raise
    except MarkedYAMLError as error:
        place = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise YAMLTextError(f"not YAML: {place}{_one_line(error.problem)}") from None
    except (YAMLError, ValueError) as error:
        raise YAMLTextError(f"not YAML: {_one_line(str(error).splitlines()[0])}") from None


def _check_size(text: bytes | str) -> None:
    """Refuse what is harmless as a text, and huge or endless as values."""
    from ruamel.yaml import YAML, events

    open_nodes: list[tuple[str | None, int]] = [(None, 0)]  # with their anchors, and values so far
    sizes: dict[str | None, int] = {}
    for event in YAML(typ="safe").parse(text):
        anchor, size = getattr(event, "anchor", None), 1
        if isinstance(event, events.CollectionStartEvent):
            open_nodes.append((anchor, 1))
            size = 0
        elif isinstance(event, events.CollectionEndEvent):
            anchor, size = open_nodes.pop()
        elif isinstance(event, events.AliasEvent):
            size = MOST_VALUES if anchor in dict(open_nodes) else sizes.get(anchor, 1)
        elif not isinstance(event, events.ScalarEvent):
            continue
        sizes[anchor] = size
        above, values = open_nodes.pop()
        open_nodes.append((above, values + size))
        if values + size > MOST_VALUES or len(open_nodes) > DEEPEST:
            raise YAMLTextError(
                f"too many values; allowed: {MOST_VALUES:,}, aliases followed, {DEEPEST} levels"
            )


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())
