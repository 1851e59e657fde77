"""response_format holds for a model that babbles: with and without tools, before and after they were called."""

import json
from typing import Any, Literal

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend
from local_assistants.engine.chat import ChatMessage, ToolCall, ToolSchema
from tests.support.turns import listen, tool, user

ADD = ToolSchema("add", "Add.", {"type": "object", "properties": {"a": {"enum": [1, 2]}}})
SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"kind": {"enum": ["cat", "dog"]}},
            "required": ["kind"],
            "additionalProperties": False,
        },
    },
}
QUESTION = user("Answer in JSON.")
CALLED = ChatMessage(
    role="assistant", tool_calls=(ToolCall(id="call_0", name="add", arguments='{"a": 1}'),)
)


@pytest.mark.parametrize("choice", ["auto", "none"])
@pytest.mark.parametrize("after_tools", [False, True])
async def test_a_strict_schema_holds_in_every_turn(
    babbler: LlamaCppBackend, choice: Literal["auto", "none"], after_tools: bool
) -> None:
    """What is said fits the schema; what is not said is a call, and only where one may be made."""
    messages = [QUESTION, CALLED, tool("3")] if after_tools else [QUESTION]
    for seed in range(3):
        turn = await listen(
            babbler,
            *messages,
            tools=(ADD,),
            tool_choice=choice,
            response_format=SCHEMA,
            seed=seed,
        )
        if turn.calls:
            assert ("auto", "", "add") == (choice, turn.text, turn.calls[0][0])
        else:
            assert json.loads(turn.text) in ({"kind": "cat"}, {"kind": "dog"})


@pytest.mark.parametrize("after_tools", [False, True])
async def test_json_object_is_an_object_as_far_as_it_goes(
    babbler: LlamaCppBackend, after_tools: bool
) -> None:
    """Whole, or cut by the limit of tokens: a beginning of one."""
    messages = [QUESTION, CALLED, tool("3")] if after_tools else [QUESTION]
    for seed in range(3):
        turn = await listen(
            babbler,
            *messages,
            tools=(ADD,),
            tool_choice="none",
            response_format={"type": "json_object"},
            seed=seed,
            max_tokens=60,
        )
        assert "{" == turn.text.lstrip()[:1]
        assert turn.reason == "length" or isinstance(json.loads(turn.text), dict)
