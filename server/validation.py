"""pydantic's validation errors, said in the API's own words (contract, 5.4).

One table: pydantic's error type -> how to say it. Only the first error is told, as the hosted service does. Knows
no request and no response.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ..engine.errors import InvalidRequest

Told = tuple[str, str | None]
"""(message, code)"""


def invalid_request(error: ValidationError) -> InvalidRequest:
    """The first problem of `error` with its dotted path."""
    first = error.errors(include_url=False)[0]
    param = path(first["loc"])
    message, code = _TABLE.get(first["type"], _otherwise)(param, first)
    return InvalidRequest(message, code=code, param=param or None)


def path(loc: tuple[int | str, ...]) -> str:
    """`('tools', 0, 'type')` -> `tools[0].type`."""
    text = ""
    for part in loc:
        if part == "[key]":  # pydantic's way to say: the key itself is at fault
            continue
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def listed(values: tuple[str, ...] | list[str]) -> str:
    """`'a', 'b', and 'c'`."""
    names = [f"'{value}'" for value in values]
    if len(names) < 3:
        return " and ".join(names)
    return f"{', '.join(names[:-1])}, and {names[-1]}"


def unsupported_value(value: Any, supported: tuple[str, ...] | list[str]) -> str:
    """The text for a value outside an enumeration."""
    return f"Invalid value: '{_short(value)}'. Supported values are: {listed(supported)}."


def out_of_range(param: str, value: int | float, bound: int | float, *, below: bool) -> Told:
    """A number outside its range; whether it counts as integer or decimal follows the bound."""
    kind = "integer" if isinstance(bound, int) else "decimal"
    side, sign, code = ("below minimum", ">=", "min") if below else ("above maximum", "<=", "max")
    shown = bound if isinstance(bound, int) else f"{bound:g}"
    text = f"Invalid '{param}': {kind} {side} value. Expected a value {sign} {shown}, "
    code = f"{kind}_{'below_min' if below else 'above_max'}_value"
    return f"{text}but got {_short(value)} instead.", code


def wrong_type(param: str, expected: str, value: Any) -> Told:
    """A value of another JSON type than expected."""
    where = f" for '{param}'" if param else ""
    text = f"Invalid type{where}: expected {expected}, but got {_type_name(value)} instead."
    return text, "invalid_type"


def missing(param: str) -> Told:
    """A required parameter that is not there."""
    return f"Missing required parameter: '{param}'.", "missing_required_parameter"


# --- one function per kind of mistake --------------------------------------------------------------


def _type(expected: str) -> Callable[[str, ErrorDetails], Told]:
    return lambda param, error: wrong_type(param, expected, error["input"])


def _our_type(param: str, error: ErrorDetails) -> Told:
    return wrong_type(param, _context(error)["expected"], error["input"])


def _missing(param: str, _: ErrorDetails) -> Told:
    return missing(param)


def _unknown(param: str, _: ErrorDetails) -> Told:
    return f"Unknown parameter: '{param}'.", "unknown_parameter"


def _literal(param: str, error: ErrorDetails) -> Told:
    supported = re.findall(r"'([^']*)'", _context(error)["expected"])
    if isinstance(error["input"], str):
        return unsupported_value(error["input"], supported), "invalid_value"
    return wrong_type(param, f"one of {listed(supported)}", error["input"])


def _string_too_long(param: str, error: ErrorDetails) -> Told:
    limit, length = _context(error)["max_length"], len(error["input"])
    what = "property name" if error["loc"][-1] == "[key]" else "string"
    text = f"Invalid '{param}': {what} too long. Expected a string with maximum length {limit}, "
    return f"{text}but got a string with length {length} instead.", "string_above_max_length"


def _string_too_short(param: str, error: ErrorDetails) -> Told:
    limit, length = _context(error)["min_length"], len(error["input"])
    text = f"Invalid '{param}': string too short. Expected a string with minimum length {limit}, "
    return f"{text}but got a string with length {length} instead.", "string_below_min_length"


def _pattern(param: str, error: ErrorDetails) -> Told:
    text = f"Invalid '{param}': string does not match pattern. Expected a string that matches "
    return f"{text}the pattern '{_context(error)['pattern']}'.", "invalid_value"


def _too_long(param: str, error: ErrorDetails) -> Told:
    limit, length = _context(error)["max_length"], len(error["input"])
    if isinstance(error["input"], Mapping):
        text = f"Invalid '{param}': too many properties. Expected an object with at most {limit} properties, "
        told = f"{text}but got an object with {length} properties instead."
        return told, "object_above_max_properties"
    text = f"Invalid '{param}': array too long. Expected an array with maximum length {limit}, "
    return f"{text}but got an array with length {length} instead.", "array_above_max_length"


def _too_short(param: str, error: ErrorDetails) -> Told:
    limit = _context(error)["min_length"]
    text = f"Invalid '{param}': empty array. Expected an array with minimum length {limit}, "
    return f"{text}but got an empty array instead.", "empty_array"


def _too_low(param: str, error: ErrorDetails) -> Told:
    return out_of_range(param, error["input"], _context(error)["ge"], below=True)


def _too_high(param: str, error: ErrorDetails) -> Told:
    return out_of_range(param, error["input"], _context(error)["le"], below=False)


def _not_finite(param: str, _: ErrorDetails) -> Told:
    return f"Invalid '{param}': expected a finite number.", "invalid_value"


def _rule(_: str, error: ErrorDetails) -> Told:
    return error["msg"], "invalid_value"


def _otherwise(param: str, error: ErrorDetails) -> Told:
    where = f" for '{param}'" if param else ""
    return f"Invalid value{where}: {error['msg']}.", "invalid_value"


_TABLE: Mapping[str, Callable[[str, ErrorDetails], Told]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _literal,
    "string_type": _type("a string"),
    "int_type": _type("an integer"),
    "int_from_float": _type("an integer"),
    "float_type": _type("a decimal"),
    "bool_type": _type("a boolean"),
    "dict_type": _type("an object"),
    "mapping_type": _type("an object"),
    "model_type": _type("an object"),
    "model_attributes_type": _type("an object"),
    "list_type": _type("an array"),
    "tuple_type": _type("an array"),
    "wrong_type": _our_type,
    "string_too_long": _string_too_long,
    "string_too_short": _string_too_short,
    "string_pattern_mismatch": _pattern,
    "too_long": _too_long,
    "too_short": _too_short,
    "greater_than_equal": _too_low,
    "less_than_equal": _too_high,
    "finite_number": _not_finite,
    "rule": _rule,
}


def _context(error: ErrorDetails) -> dict[str, Any]:
    return error.get("ctx", {})


def _type_name(value: Any) -> str:
    """The JSON type of `value`, with its article."""
    if value is None:
        return "null"
    for kind, name in (
        (bool, "a boolean"),
        (int, "an integer"),
        (float, "a decimal"),
        (str, "a string"),
        (Mapping, "an object"),
    ):
        if isinstance(value, kind):
            return name
    return "an array"


def _short(value: Any) -> str:
    """`value` as text, cut: what a client sent may be of any size."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "a very large number"
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
