"""What a grammar made from a JSON Schema allows fits the schema, or the schema is refused with a reason."""

import json
import math
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local_assistants.backends.llama_cpp.grammars.gbnf import Rules, SchemaRefused
from local_assistants.backends.llama_cpp.grammars.schema import schema_rule
from local_assistants.backends.llama_cpp.native import NativeModel, Vocabulary
from tests.support.babble import babble
from tests.support.toy_gguf import write_random_model
from tests.unit.backends.conftest import TOY_SETTINGS

SEEDS = range(4)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vocabulary]:
    """Of a toy."""
    model = NativeModel(
        write_random_model(tmp_path_factory.mktemp("toy") / "toy.gguf"), TOY_SETTINGS
    )
    yield model.vocabulary
    model.free()


def grammar_of(schema: Any, *, strict: bool = True) -> str:
    """The whole grammar of a schema."""
    rules = Rules()
    return rules.text(schema_rule(rules, schema, strict=strict))


def babbled(vocabulary: Vocabulary, schema: Any) -> list[Any]:
    """Values that the grammar lets a random model write; each must fit the schema."""
    grammar = grammar_of(schema)
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    texts = [babble(vocabulary, grammar, seed) for seed in SEEDS]
    values = [json.loads(text) for text in texts if text is not None]
    for value in values:
        validator.validate(value)
    return values


def refusal(vocabulary: Vocabulary, schema: Any) -> str | None:
    """Why the schema is refused; None if it is not, and all that was babbled fits it."""
    try:
        babbled(vocabulary, schema)
    except SchemaRefused as error:
        return str(error)
    return None


# --- random schemas --------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "name", 'q"uote', "größe", "a b", "$ref"])
CONSTANTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.text(max_size=6),
    st.lists(st.integers(0, 9), max_size=2),
)
SMALL = st.integers(0, 6)
PATTERNS = st.sampled_from(
    ["^[a-c]{2,4}$", "x", r"^\d+(\.\d+)?$", "^(ja|nein)$", r'^"\\n?$', "^[^0-9]$", r"^\S\s$"]
    + ["(?=a)", r"^\bx", "^(a*)*$", "a{9999}", "(((", "[z-a]"]
)


def numbers() -> st.SearchStrategy[dict[str, Any]]:
    """Schemas of numbers, with bounds or not."""
    bounds = st.one_of(
        st.integers(-2000, 2000), st.decimals(-20, 20, places=2).map(float), st.just(0)
    )
    keys = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
    return st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "number"])}, optional=dict.fromkeys(keys, bounds)
    )


LEAVES: st.SearchStrategy[Any] = st.one_of(
    numbers(),
    st.sampled_from([True, {}, {"type": "null"}, {"type": ["boolean", "null"]}, {"not": {}}]),
    st.fixed_dictionaries({"enum": st.lists(CONSTANTS, max_size=5)}),
    st.fixed_dictionaries({"const": CONSTANTS}),
    st.fixed_dictionaries(
        {"type": st.just("string")}, optional={"minLength": SMALL, "maxLength": SMALL}
    ),
    st.fixed_dictionaries({"type": st.just("string"), "pattern": PATTERNS}),
    st.fixed_dictionaries(
        {
            "type": st.just("string"),
            "format": st.sampled_from(["date", "time", "date-time", "uuid", "ipv4", "email"]),
        }
    ),
    st.just({"$ref": "#/$defs/tree"}),
)


def branches(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Schemas that hold others."""
    lists = st.lists(inner, min_size=1, max_size=3)
    array = st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={
            "items": inner,
            "prefixItems": lists,
            "minItems": SMALL,
            "maxItems": SMALL,
            "uniqueItems": st.booleans(),
        },
    )
    thing = st.fixed_dictionaries(
        {"type": st.just("object")},
        optional={
            "properties": st.dictionaries(NAMES, inner, max_size=4),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": st.one_of(st.booleans(), inner),
            "maxProperties": SMALL,
        },
    )
    combined = [
        st.fixed_dictionaries({key: lists}, optional={"type": st.just("object")})
        for key in ("anyOf", "oneOf", "allOf")
    ]
    return st.one_of(array, thing, *combined)


TREE = {
    "type": "object",
    "properties": {"left": {"$ref": "#/$defs/tree"}, "value": {"type": "integer"}},
    "required": ["value"],
}
SCHEMAS = st.recursive(LEAVES, branches, max_leaves=8)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schema=SCHEMAS)
def test_random_schemas_hold_or_are_refused(vocabulary: Vocabulary, schema: Any) -> None:
    """Whatever the schema: nothing it forbids can be written, or the refusal says why."""
    definitions: Any = {"$defs": {"tree": TREE}}
    whole: Any = schema if isinstance(schema, bool) else {**schema, **definitions}
    reason = refusal(vocabulary, whole)
    assert reason is None or len(reason) > 10


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(schema=numbers())
def test_random_bounds_hold(vocabulary: Vocabulary, schema: Any) -> None:
    """Numbers keep to their bounds, decimal and open ones too."""
    reason = refusal(vocabulary, schema)
    assert reason is None or "no number" in reason or "allows nothing" in reason


# --- chosen ones -----------------------------------------------------------------------------------


def fits(vocabulary: Vocabulary, schema: Any, text: str) -> bool:
    """Whether the grammar of the schema allows exactly this text."""
    from local_assistants.backends.llama_cpp.sampling import Grammar

    grammar = Grammar(vocabulary, grammar_of(schema))
    tokens = [5 + byte for byte in text.encode()]  # byte tokens of the toy
    return all(grammar.accept(token) for token in tokens) and grammar.complete


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "minimum": 9, "maximum": 130}, "9 10 99 100 130", "8 131 900 010 1.0"),
        ({"type": "integer", "exclusiveMaximum": 0}, "-1 -20", "0 1"),
        ({"type": "number", "minimum": 0, "maximum": 1}, "0 0.25 1 1.0", "-0.1 1.01 2"),
        ({"type": "number", "exclusiveMinimum": 0}, "0.05 0.5 1 17.25", "0 0.0 -1"),
        ({"type": "number", "minimum": -1.5, "maximum": 2.25}, "-1.5 -0.75 2.25 0", "-1.51 2.26 3"),
        ({"type": "string", "pattern": "^a+$"}, '"a" "aaa"', '"" "b" "ab"'),
        ({"type": "string", "pattern": "b"}, '"b" "abc"', '"ac"'),
        ({"type": "string", "pattern": r"^[\w.]+@x\.de$"}, '"a.b@x.de"', '"a@xxde" "@x.de"'),
        ({"type": "string", "minLength": 2, "maxLength": 3}, '"éé" "abc"', '"a" "abcd"'),
        ({"type": "string", "format": "date"}, '"2024-02-28" "1999-12-31"', '"2024-02-30"'),
        ({"enum": ["a", "ab", 1, None]}, '"a" "ab" 1 null', '"b" "abc" 2'),
        ({"type": "array", "items": {"enum": [1]}, "maxItems": 2}, "[] [1] [1,1]", "[1,1,1] [2]"),
        (
            {"type": "array", "prefixItems": [{"enum": [1]}], "items": False, "minItems": 1},
            "[1]",
            "[] [1,1]",
        ),
        (
            {"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["b"]},
            '{"b":2} {"a":1,"b":2}',
            '{} {"a":1} {"b":2,"a":1} {"b":2,"c":3}',
        ),
        ({"type": "object", "required": ["x"]}, '{"x":[1]}', '{} {"y":1}'),
        ({"additionalProperties": {"type": "boolean"}}, '{} {"a":true,"b":false}', '{"a":1}'),
        ({"anyOf": [{"type": "null"}, {"const": "x"}]}, 'null "x"', '"y"'),
        (
            {"allOf": [{"type": "number", "minimum": 3}, {"type": "integer", "maximum": 4}]},
            "3 4",
            "2 5 3.5",
        ),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"const": 7}}}, "7", "8"),
        ({"type": "integer", "minimum": 5, "title": "t", "x-unit": "m"}, "5", "4"),
    ],
)
def test_grammar_draws_the_line(
    vocabulary: Vocabulary, schema: dict[str, Any], good: str, bad: str
) -> None:
    """Texts that fit are allowed, their neighbours that do not fit are not."""
    assert [text for text in good.split() if not fits(vocabulary, schema, text)] == []
    assert [text for text in bad.split() if fits(vocabulary, schema, text)] == []


def test_recursion_goes_as_deep_as_the_model_likes(vocabulary: Vocabulary) -> None:
    """A definition may hold itself."""
    schema = {"$ref": "#/$defs/tree", "$defs": {"tree": TREE}}
    assert fits(vocabulary, schema, '{"left":{"left":{"value":1},"value":2},"value":3}')
    assert not fits(vocabulary, schema, '{"left":{"left":{},"value":2},"value":3}')


def test_long_strings_are_counted_exactly(vocabulary: Vocabulary) -> None:
    """Counting in blocks changes nothing about where the limits are."""
    schema = {"type": "string", "minLength": 130, "maxLength": 300}
    allowed = [n for n in range(120, 310) if fits(vocabulary, schema, f'"{"x" * n}"')]
    assert allowed == list(range(130, 301))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems"),
        ({"not": {"type": "null"}}, "not"),
        ({"type": "object", "patternProperties": {"^a": {}}}, "patternProperties"),
        ({"type": "number", "multipleOf": 0.1}, "multipleOf"),
        ({"type": "string", "pattern": "(?=a)b"}, "looks around"),
        ({"type": "string", "pattern": r"a\1"}, "counterpart"),
        ({"type": "string", "pattern": "^(a*)*$"}, "may be empty"),
        ({"type": "string", "pattern": "((a{99}){99})"}, "too often"),
        ({"type": "string", "pattern": "(" * 200}, "too deeply"),
        ({"type": "string", "pattern": "x" * 600}, "longer"),
        ({"type": "string", "pattern": "a", "maxLength": 3}, "two of"),
        ({"type": "string", "minLength": 10**9}, "minLength"),
        ({"type": "array", "minItems": 10**9}, "minItems"),
        ({"type": "integer", "minimum": 5, "maximum": 4}, "no number"),
        ({"type": "integer", "minimum": math.inf}, "15 digits"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "overlap"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "exclude"),
        ({"$ref": "https://example.com/a.json"}, "not in the schema itself"),
        ({"$ref": "#/$defs/none"}, "nothing at"),
        ({"$ref": "#"}, "leads back"),
        ({"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "leads back"),
        ({"type": "thing"}, "no type"),
        ({"enum": []}, "empty"),
        ({"enum": ["\ud800"]}, "written as JSON"),
        ({"properties": {"a": 5}}, "no schema"),
        (False, "allows nothing"),
        ("text", "no schema"),
    ],
)
def test_what_a_grammar_cannot_hold_is_refused(schema: Any, reason: str) -> None:
    """The refusal names the part."""
    with pytest.raises(SchemaRefused, match=reason):
        grammar_of(schema)


def test_without_strict_the_rest_still_holds(vocabulary: Vocabulary) -> None:
    """What cannot be held is left out; the grammar keeps everything else."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"n": {"type": "integer", "multipleOf": 7, "minimum": 1}},
        "required": ["n"],
        "not": {"const": {}},
    }
    text = grammar_of(schema, strict=False)
    values = [json.loads(babble(vocabulary, text, seed) or "") for seed in SEEDS]
    assert all(value["n"] >= 1 for value in values)
