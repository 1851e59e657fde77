"""A real tokenizer and template (135M), and the model of the demo (1.5B, only with -m model)."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.engine.chat import ChatMessage, ChatRequest, ToolSchema
from tests.support.turns import listen, tool, user
from tests.unit.backends.conftest import LARGE_FILE, SMALL_FILE

WEATHER = ToolSchema(
    "get_weather",
    "The weather of a city now",
    {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
)
Weights = Callable[[str, str], Path]


@pytest.fixture
async def small(weights: Weights) -> AsyncIterator[LlamaCppBackend]:
    """SmolLM2-135M."""
    path = weights(SMALL_FILE, "smollm2-135m")
    backend = await LlamaCppBackend.open(path, LlamaSettings(context_tokens=1024))
    yield backend
    await backend.close()


async def test_turns_extend_one_another_token_by_token(small: LlamaCppBackend) -> None:
    """With a real tokenizer, too, the next prompt begins with all of the last turn."""
    rules = ChatMessage(role="system", content="Answer in one sentence.")
    ask, session = user("What is the capital of France?"), "a"
    one = await listen(small, rules, ask, session=session, temperature=0, max_tokens=24)
    two = await listen(
        small,
        rules,
        ask,
        one.message,
        user("And of Italy?"),
        session=session,
        temperature=0,
        max_tokens=1,
    )
    assert two.usage.cached_tokens >= one.usage.prompt_tokens + one.usage.completion_tokens - 1


async def test_usage_is_what_was_counted(small: LlamaCppBackend) -> None:
    """count_tokens gives what the prompt then takes."""
    request = ChatRequest((user("Grüße aus Tromsø 🌧"),))
    counted = await small.count_tokens(request)
    turn = await listen(small, *request.messages, max_tokens=1)
    assert (turn.usage.prompt_tokens, turn.usage.completion_tokens) == (counted, 1)


async def test_forced_call_of_a_model_without_tool_training(small: LlamaCppBackend) -> None:
    """The template knows no tools, the model neither, and yet the call is well-formed."""
    turn = await listen(
        small, user("Weather in Oslo?"), tools=(WEATHER,), forced_tool="get_weather", temperature=0
    )
    [(name, arguments)] = turn.calls
    assert (name, list(json.loads(arguments)), turn.reason) == (
        "get_weather",
        ["city"],
        "tool_calls",
    )


@pytest.mark.model
async def test_large_model_calls_a_tool_and_uses_its_output(weights: Weights) -> None:
    """The demo's model calls the right tool by itself, and the next turn evaluates only what is new."""
    path = weights(LARGE_FILE, "qwen2.5-coder-1.5b")
    backend = await LlamaCppBackend.open(path, LlamaSettings(context_tokens=2048))
    ask = user("What is the weather in Oslo?")
    one = await listen(backend, ask, tools=(WEATHER,), session="a", temperature=0, max_tokens=80)
    two = await listen(
        backend,
        ask,
        one.message,
        tool("4 degrees, sleet"),
        tools=(WEATHER,),
        session="a",
        temperature=0,
        max_tokens=60,
    )
    await backend.close()
    assert [(name, json.loads(text)) for name, text in one.calls] == [
        ("get_weather", {"city": "Oslo"})
    ]
    assert two.usage.cached_tokens >= one.usage.prompt_tokens + one.usage.completion_tokens - 1
