"""What a parameter may be, in words: for messages and for the documentation."""

from __future__ import annotations

import reprlib
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

__all__ = ["allowed", "explain", "shown"]

NONE = type(None)
_short = reprlib.Repr()
_short.maxlevel, _short.maxstring, _short.maxother = 2, 80, 80


def shown(value: Any) -> str:
    """A value on one short line, whatever it is."""
    try:
        return _short.repr(value)
    except ValueError:  # an integer of too many digits
        return f"a number of {value.bit_length():,} bits" if isinstance(value, int) else "…"


def explain(error: ValidationError, root: type[BaseModel]) -> list[str]:
    """One line a mistake: the key's full name, its value, and what is allowed."""
    lines = [_explain(dict(part), root) for part in error.errors(include_url=False)]
    return list(dict.fromkeys(lines))  # one for all that a value might have been


def _explain(error: dict[str, Any], root: type[BaseModel]) -> str:
    error["loc"] = _place(root, error["loc"])
    key = ".".join(map(_name, error["loc"]))
    if error["type"] == "value_error":  # a validator that looks at several keys, already in full
        return f"{key}.{error['ctx']['error']}" if key else str(error["ctx"]["error"])
    if error["type"] == "missing":
        return f"{key}: missing"
    value = shown(error["input"])
    if error["type"] in ("extra_forbidden", "invalid_key"):
        (section, _), *_ = _alternatives(*_field(root, error["loc"][:-1]))
        found = key if error["type"] == "invalid_key" else f"{key} = {value}"
        return f"{found}: unknown key; allowed: {', '.join(section.model_fields)}"
    text = allowed(*_field(root, error["loc"]))
    return f"{key} = {value}; allowed: {text}" if key else f"{value}; allowed: {text}"


def _place(root: type[BaseModel], place: Sequence[str | int]) -> tuple[str | int, ...]:
    """Where a mistake is, less what pydantic adds: which of several types was tried."""
    for end in range(1, len(place)):
        annotation, constraints = _field(root, place[:end])
        kinds = [kind for kind, _ in _alternatives(annotation, constraints) if kind is not NONE]
        if len(kinds) > 1:
            return tuple(place[:end])
    return tuple(place)


def _name(part: str | int) -> str:
    return str(part) if isinstance(part, int) or part.isprintable() else shown(part)


def _field(root: type[BaseModel], place: Sequence[str | int]) -> tuple[Any, Sequence[Any]]:
    """Type and constraints of a key, or of an entry of its list."""
    annotation: Any = root
    constraints: list[Any] = []
    for part in place:
        (annotation, constraints), *_ = _alternatives(annotation, constraints)
        if isinstance(part, int):
            (annotation,), constraints = get_args(annotation), []
        elif part in getattr(annotation, "model_fields", {}):
            field = annotation.model_fields[part]
            annotation, constraints = field.annotation, field.metadata
    return annotation, constraints


def _alternatives(annotation: Any, constraints: Sequence[Any]) -> list[tuple[Any, list[Any]]]:
    """Types that an annotation stands for, each with its constraints; `None` comes last."""
    if get_origin(annotation) in (Union, types.UnionType):
        found = [_alternatives(part, constraints) for part in get_args(annotation)]
        return [one for part in found for one in part]
    if get_origin(annotation) is Annotated:
        annotation, *fields = get_args(annotation)
        inner = [one for field in fields if isinstance(field, FieldInfo) for one in field.metadata]
        return _alternatives(annotation, [*constraints, *inner])
    return [(annotation, list(constraints))]


def allowed(annotation: Any, constraints: Sequence[Any] = ()) -> str:
    """Values that a type with constraints takes, in words.

    Parameters
    ----------
    annotation : type
        As in a field of a pydantic model.
    constraints : sequence
        Its metadata: `Ge(1)` and the like.
    """
    return " or ".join(_one(*found) for found in _alternatives(annotation, constraints))


def _one(annotation: Any, constraints: Sequence[Any]) -> str:
    bound = {
        name: getattr(constraint, name)
        for constraint in constraints
        for name in ("ge", "gt", "le", "lt", "min_length", "max_length")
        if getattr(constraint, name, None) is not None
    }
    if annotation is NONE:
        return "null"
    if annotation is bool:
        return "true or false"
    if annotation is str and "min_length" not in bound:
        return "'rate' or so many times it, as '1.5 rate'"
    if annotation is str:
        return f"a path of {bound['min_length']} to {bound['max_length']:,} characters"
    if annotation in (int, float):
        kind = "an integer" if annotation is int else "a number"
        least, most = bound.get("ge", bound.get("gt")), bound.get("le", bound.get("lt"))
        if "ge" in bound and "le" in bound:
            return f"{kind} from {least:,} to {most:,}"
        lower = f"{'from' if 'ge' in bound else 'above'} {least:,}"
        return f"{kind} {lower}, {'at most' if 'le' in bound else 'below'} {most:,}"
    if get_origin(annotation) is Literal:
        *first, last = map(repr, get_args(annotation))
        return f"{', '.join(first)} or {last}" if first else last
    if get_origin(annotation) is list:
        (entry,) = get_args(annotation)
        count = f"{bound['min_length']} to {bound['max_length']}"
        return f"a list of {count} entries, each {allowed(entry)}"
    return f"a section of {', '.join(annotation.model_fields)}"
