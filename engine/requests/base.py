"""What all request bodies share: frozen, unknown keys refused, null read as "not given".

Field types with the contract's limits stand here too. Knows no HTTP: what a mistake reads like to a client is
decided where pydantic's errors are translated.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError


class Body(BaseModel):
    """Base of everything a client may send.

    A key whose value is null counts as not given. In the fields named by `clearable` null is kept and means
    "clear this"; `model_fields_set` tells it from a field that was not sent.

    `max_bytes` is the longest JSON that is read for a body of this kind, None being the server's own limit. What is
    stored as one object has a small one: pages hold a hundred of them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    clearable: ClassVar[frozenset[str]] = frozenset()
    max_bytes: ClassVar[int | None] = 4 * 1024 * 1024

    @model_validator(mode="before")
    @classmethod
    def _null_is_not_given(cls, data: Any) -> Any:
        given = as_object(data)
        if given is None:
            return data
        return {k: v for k, v in given.items() if v is not None or k in cls.clearable}


def as_object(value: Any) -> Mapping[str, Any] | None:
    """`value` if it is a JSON object."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else None


def as_array(value: Any) -> Sequence[Any] | None:
    """`value` if it is a JSON array."""
    return cast(Sequence[Any], value) if isinstance(value, list | tuple) else None


def without_nulls(value: Any) -> Any:
    """`value` with every null entry of its objects left out, at any depth."""
    if (given := as_object(value)) is not None:
        return {key: without_nulls(item) for key, item in given.items() if item is not None}
    if (items := as_array(value)) is not None:
        return [without_nulls(item) for item in items]
    return value


def problem(
    kind: str | PydanticCustomError, loc: tuple[str | int, ...], value: Any, **context: Any
) -> ValidationError:
    """A validation error of `kind` (pydantic's, or one of ours) at `loc`, to be raised in a validator."""
    detail = InitErrorDetails(type=kind, loc=loc, input=value, ctx=context)
    return ValidationError.from_exception_data("request", [detail])


def wrong_type(expected: str) -> PydanticCustomError:
    """The value is of the wrong JSON type; `expected` with its article, as in "an object"."""
    return PydanticCustomError("wrong_type", "expected {expected}", {"expected": expected})


def rule(message: str) -> PydanticCustomError:
    """A rule that no single field states; `message` is the whole text for the client."""
    return PydanticCustomError("rule", "{message}", {"message": message})


def choose(value: Any, kinds: Mapping[str, type[Body]]) -> Body:
    """Validate `value` as the body that its `type` names."""
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    given = as_object(value)
    if given is None:
        raise wrong_type("an object")
    kind = given.get("type")
    if kind is None:
        raise problem("missing", ("type",), value)
    if not isinstance(kind, str):
        raise problem("string_type", ("type",), kind)
    if kind not in kinds:
        raise problem("literal_error", ("type",), kind, expected=quoted(tuple(kinds)))
    return kinds[kind].model_validate(given)


def quoted(values: tuple[str, ...]) -> str:
    """'a', 'b' or 'c': the way pydantic lists a literal's values."""
    names = [repr(value) for value in values]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _attribute(value: Any) -> str | int | float | bool:
    """One attribute: text up to 512 characters, a finite number or a truth value."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        try:  # an integer stays one, but what no client can read as a number is none
            representable = isfinite(float(value))
        except OverflowError:
            representable = False
        if not representable:
            raise problem("finite_number", (), value)
        return value
    if not isinstance(value, str):
        raise wrong_type("a string, number or boolean")
    if len(value) > 512:
        raise problem("string_too_long", (), value, max_length=512)
    return value


def finite(value: Any) -> Any:
    """`value`, if every number in it can be written as JSON (1e400 reads as infinity and cannot)."""
    if isinstance(value, float) and not isfinite(value):
        raise problem("finite_number", (), value)
    for item in (as_object(value) or {}).values():
        finite(item)
    for item in as_array(value) or ():
        finite(item)
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(finite)]
"""Any JSON object, such as a function's parameters; nulls inside it stay."""

Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]

Key = Annotated[str, Field(max_length=64)]
Metadata = Annotated[dict[Key, Annotated[str, Field(max_length=512)]], Field(max_length=16)]
"""At most 16 pairs of strings, keys up to 64 characters, values up to 512."""

Attributes = Annotated[
    dict[
        Key,
        Annotated[
            str | int | float | bool,
            BeforeValidator(
                _attribute,
                json_schema_input_type=Annotated[str, Field(max_length=512)] | float | bool,
            ),
        ],
    ],
    Field(max_length=16),
]
"""Like metadata, but values may also be numbers and truth values."""

Instructions = Annotated[str, Field(max_length=256_000)]
Temperature = Annotated[Number, Field(ge=0, le=2)]
TopP = Annotated[Number, Field(ge=0, le=1)]
Unit = Annotated[Number, Field(ge=0, le=1)]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

__all__ = [
    "Attributes",
    "Body",
    "Flag",
    "Instructions",
    "Integer",
    "JsonObject",
    "Metadata",
    "Number",
    "ReasoningEffort",
    "Temperature",
    "TopP",
    "Unit",
    "as_array",
    "as_object",
    "choose",
    "finite",
    "problem",
    "quoted",
    "rule",
    "without_nulls",
    "wrong_type",
]
