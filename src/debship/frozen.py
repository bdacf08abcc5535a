"""Frozen values as JSON, and back: what they are is in their types."""

import types
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Give what ``json.dumps`` takes: of a dataclass its fields, of a path its text."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [to_json(inner) for inner in value]
    return str(value) if isinstance(value, PurePath) else value


def from_json(kind: type[T], facts: Any) -> T:
    """Give the value that ``to_json`` was given.

    Args:
        kind: its class: a dataclass whose fields are text, numbers, paths, tuples, such dataclasses,
            or one of those and None.
        facts: what ``json.loads`` gave.

    Raises:
        TypeError: it is no such value.
    """
    value: T = _value(kind, facts)
    return value


def paths(value: Any) -> Iterator[Path]:
    """Give the paths of this machine that are in a value."""
    if is_dataclass(value):
        for field in fields(value):
            yield from paths(getattr(value, field.name))
    elif isinstance(value, tuple):
        for inner in value:
            yield from paths(inner)
    elif isinstance(value, Path):
        yield value


_hints = cache(get_type_hints)


def _value(kind: Any, facts: Any) -> Any:
    origin = get_origin(kind)
    if facts is None or kind in (str, int, bool, float) or origin is Literal:
        return facts
    if origin in (Union, types.UnionType):
        kind, *others = (one for one in get_args(kind) if one is not type(None))
        if others:
            raise TypeError(f"{kind} may be one of several")
        return _value(kind, facts)
    if origin is tuple:
        kinds = get_args(kind)
        if kinds[-1] is ...:
            return tuple(facts) if kinds[0] is str else tuple(_value(kinds[0], f) for f in facts)
        return tuple(_value(inner, fact) for inner, fact in zip(kinds, facts, strict=True))
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        return kind(**{name: _value(hints[name], fact) for name, fact in facts.items()})
    if isinstance(kind, type) and issubclass(kind, (str, PurePath)):
        return kind(facts)
    raise TypeError(f"{kind} is not known")
