"""Attribute filters (contract, 1.12) as SQL over file_attributes.

A file that lacks the key passes `ne` and `nin` only. Strings, numbers and booleans are never converted into each other;
order is for numbers only. It trusts that the filter is one; what is wrong with one that is not, the tools say.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from ..engine.errors import StorageFault
from . import rows

_DEEPEST = 32
_ORDERS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_LARGEST = 2**63 - 1  # integers beyond are stored as floats, as JSON numbers are

Bind = Callable[[Any], str]
"""Takes a value, gives the placeholder that stands for it."""


def condition(spec: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """A condition on a row `f` of vector_store_files, with its parameters; it uses :stores, a JSON list, too.

    Raises:
        StorageFault: `spec` is no filter.
    """
    values: dict[str, Any] = {}

    def bind(value: Any) -> str:
        name = f"filter{len(values)}"
        values[name] = _bindable(value)
        return f":{name}"

    return _any(spec, bind, 0), values


def _any(spec: Any, bind: Bind, depth: int) -> str:
    if not isinstance(spec, Mapping):
        raise _no_filter()
    fields = cast("Mapping[str, Any]", spec)
    kind, parts = str(fields.get("type")), fields.get("filters")
    if kind in ("and", "or"):
        if not isinstance(parts, list | tuple) or not parts or depth >= _DEEPEST:
            raise _no_filter()
        inner = [_any(part, bind, depth + 1) for part in cast("Sequence[Any]", parts)]
        return f"({f' {kind.upper()} '.join(inner)})"
    if not isinstance(fields.get("key"), str) or "value" not in fields:
        raise _no_filter()
    return _comparison(kind, fields["key"], fields["value"], bind)


def _comparison(kind: str, key: str, value: Any, bind: Bind) -> str:
    if kind in ("eq", "ne"):
        found = _equal([value], bind)
    elif kind in ("in", "nin") and isinstance(value, list | tuple):
        found = _equal(cast("Sequence[Any]", value), bind)
    elif kind in _ORDERS:
        number = _kind(value) == "number"
        found = f"kind = 'number' AND value {_ORDERS[kind]} {bind(value)}" if number else "FALSE"
    else:
        raise _no_filter()
    sign = "NOT IN" if kind in ("ne", "nin") else "IN"
    return (
        f"f.seq {sign} (SELECT store_file FROM file_attributes WHERE vector_store_id IN "
        f"(SELECT value FROM json_each(:stores)) AND name = {bind(key)} AND ({found}))"
    )


def _equal(wanted: Sequence[Any], bind: Bind) -> str:
    """Whether kind and value are those of one of `wanted`."""
    by_kind: dict[str, list[Any]] = {}
    for value in wanted:
        by_kind.setdefault(_kind(value), []).append(value)
    by_kind.pop("", None)
    return (
        " OR ".join(
            f"kind = '{kind}' AND value IN ({', '.join(map(bind, values))})"
            for kind, values in by_kind.items()
        )
        or "FALSE"
    )


def _kind(value: Any) -> str:
    """As in file_attributes; "" for what no attribute can be."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else ""


def _bindable(value: Any) -> Any:
    if isinstance(value, str):
        return rows.clean(value)
    if isinstance(value, int) and abs(value) > _LARGEST:
        return _nearest(value)
    return value


def _nearest(number: int) -> float:
    try:
        return float(number)
    except OverflowError:  # JSON has no end of digits
        return float("inf") if number > 0 else float("-inf")


def _no_filter() -> StorageFault:
    return StorageFault("The store was asked for files with something that is no attribute filter.")
