"""Strings and numbers of a JSON Schema as grammars, within their bounds."""

import math
from decimal import Decimal
from typing import Any

from .formats import FORMATS
from .gbnf import Rules, SchemaRefused, json_text
from .numbers import Bound, decimals, integers
from .patterns import pattern_rule

Schema = dict[str, Any]

_MOST_CHARS = 4096
_BLOCK = 64  # characters that are counted together


def scalar(rules: Rules, schema: Schema, kind: str, *, strict: bool) -> str:
    """The expression of a schema whose type is `kind`: string, integer or number.

    Raises:
        SchemaRefused: a grammar cannot hold it (with `strict`: all of it).
    """
    if kind == "string":
        return _string(rules, schema, strict=strict)
    return _number(rules, schema, kind, strict=strict)


def _string(rules: Rules, schema: Schema, *, strict: bool) -> str:
    low, high = count(schema, "minLength", 0), count(schema, "maxLength", None)
    pattern, form = schema.get("pattern"), schema.get("format")
    inner = FORMATS.get(form) if isinstance(form, str) else None
    bound = [pattern is not None, inner is not None, low > 0 or high is not None]
    if sum(bound) > 1 and strict:
        raise SchemaRefused("a string in it has two of pattern, format and length")
    if isinstance(pattern, str):
        try:
            return pattern_rule(rules, pattern)
        except SchemaRefused:
            if strict:
                raise
    if inner is not None:
        return rules.add(f'"\\"" {inner} "\\""')
    return rules.add(f'"\\"" {_chars(rules, low, high)} "\\""') if bound[2] else "string"


def _chars(rules: Rules, low: int, high: int | None) -> str:
    """So many characters, counted in blocks so that the grammar stays small."""
    if low > _MOST_CHARS:
        raise SchemaRefused(f"minLength is more than {_MOST_CHARS}")
    block = rules.add(f"char{{{_BLOCK}}}")
    start = f"{block}{{{low // _BLOCK}}} char{{{low % _BLOCK}}}"
    if high is None:
        return f"{start} char*"
    more = min(high, _MOST_CHARS) - low
    if more < 0:
        raise SchemaRefused("minLength is more than maxLength")
    blocks, rest = divmod(more, _BLOCK)
    whole = f"{block}{{{blocks}}} char{{0,{rest}}}"
    if not blocks:
        return f"{start} char{{0,{rest}}}"
    return f"{start} ({block}{{0,{blocks - 1}}} char{{0,{_BLOCK - 1}}} | {whole})"


def _number(rules: Rules, schema: Schema, kind: str, *, strict: bool) -> str:
    step = schema.get("multipleOf")
    if strict and step is not None and not (step == 1 and kind == "integer"):
        raise SchemaRefused('"multipleOf" has no counterpart in a grammar')
    low = _tighter(schema, "minimum", "exclusiveMinimum", 1)
    high = _tighter(schema, "maximum", "exclusiveMaximum", -1)
    if low is None and high is None:
        return kind
    if kind == "number":
        return rules.add(decimals(low, high))
    return rules.add(integers(_whole(low, 1), _whole(high, -1)))


def count(schema: Schema, key: str, default: Any) -> Any:
    """The value of a keyword that is a count.

    Raises:
        SchemaRefused: it is none.
    """
    value = schema.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value % 1:
        raise SchemaRefused(f"{json_text(key)} is no count")
    return int(value)


def _tighter(schema: Schema, closed: str, opened: str, sign: int) -> Bound | None:
    """The bound that holds of two; `sign`: 1 for lower bounds, -1 for upper ones."""
    bounds = [_bound(schema, closed, is_open=False), _bound(schema, opened, is_open=True)]
    given = [bound for bound in bounds if bound is not None]
    return max(given, key=lambda bound: (sign * bound.value, bound.open), default=None)


def _bound(schema: Schema, key: str, *, is_open: bool) -> Bound | None:
    value = schema.get(key)
    if value is None or isinstance(value, bool):
        return None
    if not isinstance(value, int | float) or not abs(value) < 1e15:
        raise SchemaRefused(f"{json_text(key)} is no number of at most 15 digits")
    return Bound(Decimal(repr(value)), is_open)


def _whole(bound: Bound | None, sign: int) -> int | None:
    """The outermost integer within a bound; `sign` as for `_tighter`."""
    if bound is None:
        return None
    nearest = sign * math.ceil(sign * bound.value)
    return nearest + sign if bound.open and nearest == bound.value else nearest
