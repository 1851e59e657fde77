"""Two JSON Schemas that must both hold, as one; and whether two of them can hold at once."""

from collections.abc import Sequence
from typing import Any, cast

from .gbnf import SchemaRefused, json_text

Schema = dict[str, Any]

_LARGER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_SMALLER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_ANNOTATIONS = frozenset(
    ("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$defs")
    + ("$schema", "$id", "$comment", "$anchor", "definitions", "discriminator")
)
_NUMBERS = frozenset(("integer", "number"))


def merged(parts: Sequence[Any], *, strict: bool) -> Schema:
    """One schema for all of `parts`; without `strict` the first one wins where they cannot be joined.

    Raises:
        SchemaRefused: they contradict each other, or cannot be joined.
    """
    whole: Schema = {}
    for part in parts:
        if part is True:
            continue
        if not isinstance(part, dict):
            raise SchemaRefused("a part of an allOf in it allows nothing")
        given = cast("Schema", part)
        if strict:
            _check_closed(whole, given)
            _check_closed(given, whole)
        for key, value in given.items():
            if key not in _ANNOTATIONS:
                whole[key] = _joined(key, whole[key], value, strict) if key in whole else value
    return whole


def _check_closed(closed: Schema, other: Schema) -> None:
    """Additional properties of one part may be properties of the other."""
    extra = closed.get("additionalProperties", True)
    foreign = _names(other) - _names(closed)
    if extra is not True and foreign and closed:
        raise SchemaRefused("parts of an allOf in it limit each other's properties")


def _names(schema: Schema) -> set[str]:
    named: Any = schema.get("properties")
    required: Any = schema.get("required")
    return {*(named if isinstance(named, dict) else ()), *(required or ())}


def _joined(key: str, one: Any, two: Any, strict: bool) -> Any:
    """The value of a keyword that both parts have."""
    if same_json(one, two):
        return one
    if key == "properties":
        return _joined_properties(one, two)
    if key == "required":
        return list(dict.fromkeys([*one, *two]))
    if key == "type":
        return _common_type(one, two)
    if key == "enum":
        return [value for value in one if any(same_json(value, other) for other in two)]
    if key in _LARGER:
        return max(one, two)
    if key in _SMALLER:
        return min(one, two)
    if strict:
        raise SchemaRefused(f"two values of {json_text(key)} in it cannot be joined")
    return one


def same_json(one: Any, two: Any) -> bool:
    """Whether two values are the same in JSON, where 1 is not true."""
    return json_text(one) == json_text(two)


def _joined_properties(one: Any, two: Any) -> Schema:
    if not isinstance(one, dict) or not isinstance(two, dict):
        raise SchemaRefused("properties are no object")
    one, two = cast("Schema", one), cast("Schema", two)
    both = {name: {"allOf": [one[name], two[name]]} for name in one.keys() & two.keys()}
    return {**one, **two, **both}


def _common_type(one: Any, two: Any) -> Any:
    first = [one] if isinstance(one, str) else list(one)
    second = [two] if isinstance(two, str) else list(two)
    common = [kind for kind in first if kind in second]
    if "integer" in (*first, *second) and "number" in (*first, *second) and not common:
        common = ["integer"]
    if not common:
        raise SchemaRefused("two types in it exclude each other")
    return common[0] if len(common) == 1 else common


def cannot_overlap(one: Any, two: Any) -> bool:
    """Whether it is plain that no value fits both schemas."""
    if not isinstance(one, dict) or not isinstance(two, dict):
        return False
    first, second = cast("Schema", one), cast("Schema", two)
    constants, others = _constants(first), _constants(second)
    if constants is not None and others is not None:
        return not any(same_json(one, other) for one in constants for other in others)
    if not _types(first) & _types(second):
        return True
    required = set(first.get("required") or ()) & set(second.get("required") or ())
    left: Any = first.get("properties") or {}
    right: Any = second.get("properties") or {}
    return any(
        name in left and name in right and cannot_overlap(left[name], right[name])
        for name in required
    )


def _constants(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    enum: Any = schema.get("enum")
    return list(enum) if isinstance(enum, list) else None  # pyright: ignore[reportUnknownArgumentType]


def _types(schema: Schema) -> set[str]:
    kind: Any = schema.get("type", ["object", "array", "string", "number", "boolean", "null"])
    kinds = {kind} if isinstance(kind, str) else {str(each) for each in kind}
    return {"number" if each in _NUMBERS else each for each in kinds}
