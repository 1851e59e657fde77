"""Attribute filters of a search (contract, 1.12): checked once, then applied to the attributes of each file.

A file that lacks the key does not match, except for `ne` and `nin`. Strings, numbers and booleans are never converted
into each other; order is for numbers only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ....engine.errors import InvalidRequest

Attributes = Mapping[str, str | int | float | bool]
Matches = Callable[[Attributes], bool]

_DEEPEST = 16
_MOST = 500  # comparisons; the database gives up at 1,000 in one chain
_MOST_VALUES = 5_000  # of all comparisons together; looking them up takes a time that grows with their number squared
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "gt": lambda have, want: have > want,
    "gte": lambda have, want: have >= want,
    "lt": lambda have, want: have < want,
    "lte": lambda have, want: have <= want,
}


def compiled(spec: Any, depth: int = 0) -> Matches:
    """The predicate that a filter object stands for.

    Raises:
        InvalidRequest: it is no filter (param filters); the message says what is wrong.
    """
    if not isinstance(spec, Mapping):
        raise _bad("a filter must be an object")
    fields = cast("Mapping[str, Any]", spec)
    if not depth:
        _check_size(fields)
    kind, key = fields.get("type"), fields.get("key")
    if kind in ("and", "or"):
        return _compound(fields, depth)
    if not isinstance(key, str):
        raise _bad("a comparison needs a 'key' that is a string")
    return _comparison(str(kind), key, fields.get("value"))


def _check_size(spec: Mapping[str, Any]) -> None:
    """Refuse what would keep the database busy; what is no filter at all is found later."""
    comparisons, values = 0, 0
    left: list[tuple[Any, int]] = [(spec, 0)]
    while left:
        part, depth = left.pop()
        if not isinstance(part, Mapping):
            continue
        fields = cast("Mapping[str, Any]", part)
        inner, value = fields.get("filters"), fields.get("value")
        if isinstance(inner, list | tuple) and depth <= _DEEPEST:
            left += [(one, depth + 1) for one in cast("Sequence[Any]", inner)]
        if "key" in fields:
            comparisons += 1
            values += len(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else 1
    if comparisons > _MOST or values > _MOST_VALUES:
        raise _bad(f"a filter may have {_MOST} comparisons and {_MOST_VALUES:,} values")


def _bad(reason: str) -> InvalidRequest:
    return InvalidRequest(f"Invalid 'filters': {reason}.", param="filters")


def _compound(spec: Mapping[str, Any], depth: int) -> Matches:
    inner = spec.get("filters")
    if depth >= _DEEPEST:
        raise _bad(f"filters may be nested {_DEEPEST} deep")
    if not isinstance(inner, list | tuple) or not inner:
        raise _bad(f"'{spec['type']}' needs a list of 'filters'")
    parts = [compiled(part, depth + 1) for part in cast("Sequence[Any]", inner)]
    if spec["type"] == "and":
        return lambda attributes: all(part(attributes) for part in parts)
    return lambda attributes: any(part(attributes) for part in parts)


def _comparison(kind: str, key: str, value: Any) -> Matches:
    if kind in ("in", "nin"):
        return _membership(kind, key, value)
    if not isinstance(value, str | int | float):  # bool is an int
        raise _bad(f"'{kind}' needs a 'value' that is a string, a number or a boolean")
    if kind == "eq":
        return lambda attributes: key in attributes and _same(attributes[key], value)
    if kind == "ne":
        return lambda attributes: key not in attributes or not _same(attributes[key], value)
    if kind in _ORDERS:
        return _order(kind, key, value)
    raise _bad("'type' must be one of eq, ne, gt, gte, lt, lte, in, nin, and, or")


def _membership(kind: str, key: str, value: Any) -> Matches:
    if not isinstance(value, list | tuple):
        raise _bad(f"'{kind}' needs a 'value' that is a list")
    wanted = cast("Sequence[Any]", value)

    def within(attributes: Attributes) -> bool:
        return key in attributes and any(_same(attributes[key], one) for one in wanted)

    return within if kind == "in" else lambda attributes: not within(attributes)


def _order(kind: str, key: str, value: str | float) -> Matches:
    compare = _ORDERS[kind]

    def ordered(attributes: Attributes) -> bool:
        have = attributes.get(key)
        if not (_is_number(have) and _is_number(value)):
            return False
        return compare(cast("float", have), cast("float", value))

    return ordered


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(have: Any, want: Any) -> bool:
    """Equal and of one kind: 1 is 1.0, but neither "1" nor true."""
    if _is_number(have) and _is_number(want):
        return bool(have == want)
    return type(have) is type(want) and bool(have == want)
