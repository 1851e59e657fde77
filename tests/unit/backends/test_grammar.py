"""Grammars made from schemas: what they let through, checked by the real library."""

import json
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.llama_cpp.grammars.calls import CallGrammar, response_grammar
from local_assistants.backends.llama_cpp.native import NativeModel
from local_assistants.backends.llama_cpp.sampling import Grammar
from local_assistants.engine.chat import ToolSchema
from local_assistants.engine.errors import InvalidRequest
from tests.unit.backends.conftest import TOY_SETTINGS

NODE = {
    "type": "object",
    "properties": {"next": {"$ref": "#/$defs/Node"}, "v": {"type": ["string", "null"]}},
}
GET = ToolSchema(
    "get",
    "",
    {
        "type": "object",
        "title": "Get",
        "properties": {
            "city": {"type": "string", "description": "a city"},
            "n": {"type": "integer", "minimum": 1},
            "any": {},
            "title": {"enum": ["a", "b"]},
            "node": {"$ref": "#/$defs/Node"},
        },
        "required": ["city"],
        "additionalProperties": False,
        "$defs": {"Node": NODE},
    },
)
DEL = ToolSchema(
    "del",
    "",
    {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/Node"}},
        "required": ["node"],
        "$defs": {"Node": {"const": 3}},
    },
)
ODD = ToolSchema('odd "name"\n', "", {})


def accepts(path: Path, grammar: str, text: str) -> bool:
    """Whether the grammar lets the text through, whole."""
    vocabulary = NativeModel(path, TOY_SETTINGS).vocabulary
    state = Grammar(vocabulary, grammar)
    return all(map(state.accept, vocabulary.tokenize(text, special=False))) and state.complete


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "get", "arguments": {"city": "Tromsø\\n"}}',
        '{"name":"get","parameters":{"city":"x","n":4,"any":[1,{"a":null}],"title":"a"}}',
        '{"name": "get", "arguments": {"city": "x", "node": {"next": {"v": null}}}}',
        '{\n  "name": "del",\n  "arguments": {\n    "node": 3\n  }\n}',
        '{"name": "odd \\"name\\"\\n", "arguments": {}}',
        '{"name": "odd \\"name\\"\\n", "arguments": {}},\n',  # tokens glue to the brace what leads to the next call
    ],
)
def test_calls_that_fit_are_let_through(random_model: Path, text: str) -> None:
    """Each tool keeps its own schema, definitions of the same name included."""
    assert accepts(random_model, CallGrammar([GET, DEL, ODD]).required(), text)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "get", "arguments": {}}',
        '{"name": "get", "arguments": {"city": "a\nb"}}',
        '{"name": "get", "arguments": {"city": "x", "title": "c"}}',
        '{"name": "get", "arguments": {"city": "x", "more": 1}}',
        '{"name": "del", "arguments": {"node": {}}}',
        '{"name": "put", "arguments": {}}',
        '{"name": "odd \\"name\\"\\n", "arguments": {}} and',
    ],
)
def test_calls_that_do_not_fit_are_not(random_model: Path, text: str) -> None:
    """Missing, wrong and additional arguments, raw line breaks and unknown tools do not pass."""
    assert not accepts(random_model, CallGrammar([GET, DEL, ODD]).required(), text)


def test_text_before_the_brace_is_literal(random_model: Path) -> None:
    """A grammar can begin inside a token: what the token holds before the brace comes first."""
    grammar = CallGrammar([ODD]).spontaneous('```"\n')
    assert accepts(
        random_model, grammar, '```"\n' + '{"name": "odd \\"name\\"\\n", "arguments": {}}'
    )


@pytest.mark.parametrize(
    ("pattern", "fitting", "other"),
    [
        (r"^\d{2}-[^x]+$", "12-ab", "12-xb"),
        (r"^\d{2}-[^x]+$", "12-ab", '12-a"'),
        ("a.c", "xabcx", "ac"),
        (r"^[\w.]+@\w+\.no$", "a.b@c.no", "a@bcno"),
        ("^(yes|no)$", "no", "nono"),
        ("yes|no", "I say no", "I say"),
    ],
)
def test_patterns_mean_what_json_schema_says(
    random_model: Path, pattern: str, fitting: str, other: str
) -> None:
    """Without anchors a pattern may match anywhere; no pattern lets a bare quote into a string."""
    grammar = _answer({"type": "string", "pattern": pattern})
    assert accepts(random_model, grammar, json.dumps(fitting))
    assert not accepts(random_model, grammar, f'"{other}"')


def test_json_object_is_any_object(random_model: Path) -> None:
    """json_object asks for an object, not for any JSON."""
    grammar = response_grammar({"type": "json_object"})
    assert grammar is not None
    assert accepts(random_model, grammar, '{"a": [1, 2.5, "x", null]}')
    assert not accepts(random_model, grammar, "[1]")


def test_plain_text_needs_no_grammar() -> None:
    """The other response formats are not enforced."""
    assert [response_grammar({}), response_grammar({"type": "text"})] == [None, None]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "minLength": 5000},
        {"type": "string", "pattern": "(a{200}){200}"},
        {"type": "string", "pattern": "a" * 600},
        {"type": "string", "pattern": "(?=x)"},
        {"type": "string", "pattern": r"\bfoo"},
        {"$ref": "http://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"type": "foo"},
        {"properties": {"a": False}, "required": ["a"]},
        {"enum": ["x" * 300_000]},
    ],
)
def test_schema_beyond_grammars_is_refused(schema: dict[str, Any]) -> None:
    """What a grammar cannot hold or the library cannot take never reaches the library."""
    with pytest.raises(InvalidRequest, match="cannot be enforced"):
        _answer(schema)


def test_deeply_nested_schema_is_refused() -> None:
    """Nesting beyond Python's stack is an error, not a crash."""
    schema: dict[str, Any] = {}
    for _ in range(3000):
        schema = {"type": "object", "properties": {"a": schema}}
    with pytest.raises(InvalidRequest, match="nested"):
        _answer(schema)


def test_strict_tool_is_refused_another_gets_any_object(random_model: Path) -> None:
    """Only strict functions were promised; without the promise any object will do."""
    parameters: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "foo"}}}
    with pytest.raises(InvalidRequest, match="'f'"):
        CallGrammar([ToolSchema("f", "", parameters, strict=True)])
    assert accepts(
        random_model, CallGrammar([ToolSchema("f", "", parameters)]).arguments("f"), '{"b": 1}'
    )


def test_functions_without_parameters_get_none(random_model: Path) -> None:
    """No schema, or one without properties, means no arguments."""
    empty = ToolSchema("f", "", {"type": "object", "properties": {}})
    for tool in (empty, ToolSchema("f", "", {})):
        grammar = CallGrammar([tool]).forced("f")
        assert accepts(random_model, grammar, "{}")
        assert not accepts(random_model, grammar, '{"a": 1}')


def _answer(schema: dict[str, Any]) -> str:
    grammar = response_grammar({"type": "json_schema", "json_schema": {"schema": schema}})
    assert grammar is not None
    return grammar
