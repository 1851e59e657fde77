"""Requests that cannot be honoured are refused where no model is loaded, and nothing a user sends takes long."""

import subprocess
import sys
import time
from typing import Any

import pytest

from local_assistants.backends.llama_cpp.grammars.gbnf import Rules, SchemaRefused
from local_assistants.backends.llama_cpp.grammars.schema import schema_rule
from local_assistants.backends.llama_cpp.validation import validate
from local_assistants.engine.chat import ChatRequest, ToolSchema
from local_assistants.engine.errors import InvalidRequest
from tests.support.turns import user

HI = (user("Hi"),)
BEYOND: dict[str, Any] = {"type": "object", "properties": {"a": {"not": {}}}, "required": ["a"]}


def answer(schema: Any) -> dict[str, Any]:
    """A response_format."""
    return {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}


def test_plain_requests_pass() -> None:
    """With and without tools and formats; a schema that is not strict may hold anything."""
    loose = ToolSchema("f", "", BEYOND)
    validate(ChatRequest(HI))
    validate(ChatRequest(HI, tools=(loose,), forced_tool="f"))
    validate(ChatRequest(HI, response_format={"type": "json_object"}))
    validate(ChatRequest(HI, response_format=answer({"type": "integer", "minimum": 3})))


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"forced_tool": "g", "tools": (ToolSchema("f", "", {}),)}, "tool_choice"),
        ({"tools": (ToolSchema("f", "", BEYOND, strict=True),)}, "tools"),
        ({"response_format": answer(BEYOND)}, "response_format.json_schema.schema"),
    ],
)
def test_what_cannot_be_honoured_is_refused(options: dict[str, Any], param: str) -> None:
    """The error names the parameter."""
    with pytest.raises(InvalidRequest) as caught:
        validate(ChatRequest(HI, **options))
    assert caught.value.param == param


def test_validation_needs_no_native_library() -> None:
    """A server whose models run in processes of their own does not load the library to check a request."""
    code = (
        "import sys\n"
        "from local_assistants.backends.llama_cpp.validation import validate\n"
        "from local_assistants.engine.chat import ChatMessage, ChatRequest, ToolSchema\n"
        "tool = ToolSchema('f', '', {'type': 'object', 'properties': {'a': {'type': 'string'}}})\n"
        "validate(ChatRequest((ChatMessage(role='user', content='x'),), tools=(tool,)))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('llama_cpp', 'numpy')])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def nested(depth: int) -> Any:
    """A schema so deep."""
    schema: Any = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


HUGE: dict[str, Any] = {
    "an enum of 20,000": {"enum": [f"value {n}" for n in range(20_000)]},
    "5,000 properties": {"type": "object", "properties": {f"p{n}": {} for n in range(5000)}},
    "nested 5,000 deep": nested(5000),
    "1,000 alternatives": {"anyOf": [{"const": n} for n in range(1000)]},
    "doubling references": {
        "$ref": "#/$defs/d30",
        "$defs": {
            "d0": {"type": "null"},
            **{
                f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2 + [{"type": "array"}]}
                for n in range(1, 31)
            },
        },
    },
    "doubling merges": {
        "allOf": [{"$ref": "#/$defs/d20"}],
        "$defs": {
            "d0": {"type": "object"},
            **{f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 21)},
        },
    },
    "doubling alternatives": {
        "type": "object",
        "anyOf": [{"$ref": "#/$defs/d30"}],
        "$defs": {
            "d0": {"required": ["a"]},
            **{
                f"d{n}": {
                    "anyOf": [
                        {"$ref": f"#/$defs/d{n - 1}"},
                        {"title": "x", "allOf": [{"$ref": f"#/$defs/d{n - 1}"}]},
                    ]
                }
                for n in range(1, 31)
            },
        },
    },
    "an evil pattern": {"type": "string", "pattern": "^" + "(a?" * 15 + ")" * 15 + "$"},
    "many stars": {"type": "string", "pattern": ".*" * 200},
    "digits without end": {"type": "integer", "minimum": 10**14, "maximum": 10**14 + 12345678},
    "a count of digits": {"type": "integer", "minimum": int("9" * 4000)},
}


@pytest.mark.parametrize("name", HUGE)
def test_hostile_schemas_take_bounded_time(name: str) -> None:
    """Whatever is sent: a grammar of bounded size or a refusal, within seconds on a slow machine."""
    began = time.monotonic()
    rules, size = Rules(), 0
    try:
        size = len(rules.text(schema_rule(rules, HUGE[name], strict=True)))
    except SchemaRefused as error:
        size = len(str(error))
    assert 0 < size < 2_000_000
    assert time.monotonic() - began < 10
