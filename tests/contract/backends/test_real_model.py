"""The contract on a real model (135M) whose words nobody prescribes: it is held to its own words, or to a grammar.

Each test has the model freshly loaded, which takes two tenths of a second: nothing is cached that it did not cache.
Where two answers are compared that were evaluated in batches of other shapes, it is by their first words, which are no
near ties.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Protocol

import jsonschema_rs
import pydantic_core
import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    Finish,
    TextDelta,
    ToolSchema,
    UsageDelta,
)
from local_assistants.engine.errors import BackendFault, ContextOverflow
from tests.support.turns import listen, user
from tests.unit.backends.conftest import SMALL_FILE, weights

assert weights is not None  # a fixture of the other tests of models

WINDOW = 512
STORY = user("Write a long story about a fox.")
WEATHER = user("What is the weather in Rome for the next three days?")
TRIP: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"enum": ["Paris", "Rome"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
FORECAST = ToolSchema("forecast", "Weather of the next days.", TRIP)
BOOK = ToolSchema("book_train", "Book a seat.", TRIP)
TOOLS = (FORECAST, BOOK)
# A trip takes about 20 tokens; how many more depends on how the model likes its white space.
ENOUGH = 90


class Load(Protocol):
    """Loads the model."""

    async def __call__(self, window: int = WINDOW) -> LlamaCppBackend: ...


@pytest.fixture
async def load(weights: Callable[[str, str], Path]) -> AsyncIterator[Load]:
    """Loads the model; unloaded afterwards."""
    path = weights(SMALL_FILE, "smollm2-135m")
    loaded: list[LlamaCppBackend] = []

    async def loader(window: int = WINDOW) -> LlamaCppBackend:
        settings = LlamaSettings(context_tokens=window, threads=1, decode_width=4)
        loaded.append(await LlamaCppBackend.open(path, settings))
        return loaded[-1]

    yield loader
    for backend in loaded:
        await backend.close()


@pytest.fixture
async def llama_cpp_135m(load: Load) -> LlamaCppBackend:
    """The model, with nothing evaluated yet."""
    return await load()


def trip_of(arguments: str) -> Any:
    """The parsed arguments, seen to be valid."""
    trip = json.loads(arguments)
    jsonschema_rs.validate(TRIP, trip)
    return trip


# --- words -----------------------------------------------------------------------------------------


async def test_streaming(llama_cpp_135m: LlamaCppBackend) -> None:
    """Text in several pieces, none of them empty, one usage report, and Finish last."""
    turn = await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=12)
    *pieces, usage, finish = turn.deltas
    assert len(pieces) > 4
    assert all(isinstance(piece, TextDelta) and piece.text for piece in pieces)
    assert isinstance(usage, UsageDelta)
    assert Finish("length") == finish


async def test_a_stop_string_that_the_model_says(llama_cpp_135m: LlamaCppBackend) -> None:
    """Neither the word nor what would have followed is heard, nor is it paid for."""
    whole = await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=12)
    word = whole.text.split()[3]
    turn = await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=12, stop=("Ω", word))
    assert (whole.text[: whole.text.index(word)], "stop") == (turn.text, turn.reason)
    assert 3 <= turn.usage.completion_tokens < 12


async def test_a_seed_repeats_its_answer_after_a_restart(load: Load) -> None:
    """Chance comes from the request's seed and from nothing that lives in the process."""
    ask = {"temperature": 1.0, "top_p": 0.9, "max_tokens": 12}
    said = [(await listen(await load(), STORY, seed=seed, **ask)).text for seed in (1, 1, 2)]
    assert said[0] == said[1] != said[2]


# --- usage -----------------------------------------------------------------------------------------


async def test_usage_is_exact(llama_cpp_135m: LlamaCppBackend) -> None:
    """The prompt costs what was counted, the answer what it adds to a prompt, and this is what was evaluated."""
    system = ChatMessage(role="system", content="Be brief. Grüße aus 東京")
    counted = await llama_cpp_135m.count_tokens(ChatRequest((system, WEATHER), tools=(BOOK,)))
    ask = {"tools": (BOOK,), "temperature": 0, "max_tokens": 8}
    turn = await listen(llama_cpp_135m, system, WEATHER, **ask)
    assert (counted, 0) == (turn.usage.prompt_tokens, turn.usage.cached_tokens)
    # The last token of an answer is said and not evaluated.
    assert counted + turn.usage.completion_tokens - 1 == llama_cpp_135m.evaluated_tokens


async def test_an_answer_costs_the_tokens_it_has(llama_cpp_135m: LlamaCppBackend) -> None:
    """As many as it adds to the next prompt."""
    turn = await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=12)
    silent = ChatMessage(role="assistant", content="")
    empty, full = [
        await llama_cpp_135m.count_tokens(ChatRequest((STORY, answer)))
        for answer in (silent, turn.message)
    ]
    assert (12, 12) == (full - empty, turn.usage.completion_tokens)


async def test_a_prompt_beyond_the_window_is_refused(llama_cpp_135m: LlamaCppBackend) -> None:
    """Before any of it is evaluated; the next is answered."""
    with pytest.raises(ContextOverflow, match=str(WINDOW)) as caught:
        await listen(llama_cpp_135m, user("fox " * WINDOW))
    assert ("context_length_exceeded", 0) == (caught.value.code, llama_cpp_135m.evaluated_tokens)
    assert (await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=8)).text


async def test_an_answer_ends_where_the_window_does(load: Load) -> None:
    """Prompt and answer fill it, and the reason is length."""
    backend = await load(256)
    # No answer of this form is short enough to end before the window does.
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 100}
    form = {"type": "json_schema", "json_schema": {"name": "numbers", "schema": numbers}}
    turn = await listen(backend, user("fox " * 190), temperature=0, response_format=form)
    filled = turn.usage.prompt_tokens + turn.usage.completion_tokens
    assert ("length", 256) == (turn.reason, filled)


# --- several callers -------------------------------------------------------------------------------


async def test_nobody_works_for_a_turn_that_was_given_up(llama_cpp_135m: LlamaCppBackend) -> None:
    """After its first word no more than a few tokens are evaluated, of 300 that were asked for."""
    stream = llama_cpp_135m.stream(ChatRequest((STORY,), temperature=0, max_tokens=300))
    await anext(stream)
    await stream.aclose()
    before = -1
    while before != llama_cpp_135m.evaluated_tokens:
        before = llama_cpp_135m.evaluated_tokens
        await asyncio.sleep(0.3)
    # Less than the 32 unread pieces at which a turn that nobody reads is held up: this one has ended.
    assert before < await llama_cpp_135m.count_tokens(ChatRequest((STORY,))) + 25


async def test_two_callers_at_once(llama_cpp_135m: LlamaCppBackend) -> None:
    """Each is answered as it would be alone."""
    asked = (STORY, user("Say: yes"))
    ask = {"temperature": 0, "max_tokens": 8}
    beside = await asyncio.gather(*(listen(llama_cpp_135m, one, **ask) for one in asked))
    alone = [await listen(llama_cpp_135m, one, **ask) for one in asked]
    first_words = [turn.text.split()[0] for turn in alone]
    assert first_words == [turn.text.split()[0] for turn in beside]
    assert first_words[0] != first_words[1]
    assert [t.usage.prompt_tokens for t in alone] == [t.usage.prompt_tokens for t in beside]


# --- tools -----------------------------------------------------------------------------------------


async def test_where_tools_may_be_called(llama_cpp_135m: LlamaCppBackend) -> None:
    """It speaks or calls, and the reason tells whether its calls are whole and valid."""
    turn = await listen(llama_cpp_135m, WEATHER, tools=TOOLS, temperature=0, max_tokens=12)
    assert bool(turn.text or turn.calls)
    whole = turn.calls if turn.reason == "tool_calls" else []
    valid = [trip_of(arguments) for _, arguments in whole]
    assert bool(valid) == (turn.reason == "tool_calls")


async def test_no_tool(llama_cpp_135m: LlamaCppBackend) -> None:
    """Where none may be called words come."""
    ask = {"tools": TOOLS, "tool_choice": "none", "temperature": 0, "max_tokens": 12}
    turn = await listen(llama_cpp_135m, WEATHER, **ask)
    assert ([], True) == (turn.calls, bool(turn.text))
    assert turn.reason in ("stop", "length")


async def test_a_required_tool(llama_cpp_135m: LlamaCppBackend) -> None:
    """One of them is called, with valid arguments, and nothing is said."""
    ask = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
    for seed in (1, 2):
        turn = await listen(llama_cpp_135m, WEATHER, seed=seed, max_tokens=ENOUGH, **ask)
        [(name, arguments)] = turn.calls
        assert name in ("forecast", "book_train")
        assert trip_of(arguments)
        assert ("", "tool_calls") == (turn.text, turn.reason)


async def test_the_forced_tool(llama_cpp_135m: LlamaCppBackend) -> None:
    """And no other, though the question is about the other; once, with valid arguments."""
    ask = {"tools": TOOLS, "forced_tool": "book_train", "seed": 1, "max_tokens": ENOUGH}
    turn = await listen(llama_cpp_135m, WEATHER, **ask)
    [(name, arguments)] = turn.calls
    assert ("book_train", "", "tool_calls") == (name, turn.text, turn.reason)
    assert trip_of(arguments)


# --- grammar ---------------------------------------------------------------------------------------


async def test_any_json_object(llama_cpp_135m: LlamaCppBackend) -> None:
    """What is there is JSON as far as it goes, and whole where the model came to its end."""
    ask = {"response_format": {"type": "json_object"}, "max_tokens": 24}
    for asked in (user("Describe Rome as JSON."), STORY):
        turn = await listen(llama_cpp_135m, asked, temperature=0, **ask)
        partial = turn.reason == "length"
        assert isinstance(pydantic_core.from_json(turn.text, allow_partial=partial), dict)


async def test_json_of_a_schema(llama_cpp_135m: LlamaCppBackend) -> None:
    """Of a model that was asked for something else."""
    form = {"type": "json_schema", "json_schema": {"name": "trip", "schema": TRIP}}
    ask = {"response_format": form, "max_tokens": ENOUGH}
    for seed in (1, 2):
        turn = await listen(llama_cpp_135m, STORY, seed=seed, **ask)
        assert "stop" == turn.reason
        assert trip_of(turn.text)


# --- what is kept ----------------------------------------------------------------------------------


async def test_the_second_turn_evaluates_what_is_new(llama_cpp_135m: LlamaCppBackend) -> None:
    """The first prompt and its answer are cached, but for the answer's last token."""
    first = await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=12, session="thread_1")
    before = llama_cpp_135m.evaluated_tokens
    told = (STORY, first.message, user("Go on."))
    turn = await listen(llama_cpp_135m, *told, temperature=0, max_tokens=4, session="thread_1")
    kept = first.usage.prompt_tokens + first.usage.completion_tokens - 1
    assert kept <= turn.usage.cached_tokens < turn.usage.prompt_tokens
    new = turn.usage.prompt_tokens - turn.usage.cached_tokens
    assert new + turn.usage.completion_tokens - 1 == llama_cpp_135m.evaluated_tokens - before


async def test_a_forgotten_conversation_is_evaluated_anew(llama_cpp_135m: LlamaCppBackend) -> None:
    """Unlike one that is remembered."""
    cached: list[int] = []
    for forgotten in (False, False, True):
        if forgotten:
            await llama_cpp_135m.forget("thread_1")
        turn = await listen(llama_cpp_135m, STORY, temperature=0, max_tokens=4, session="thread_1")
        cached.append(turn.usage.cached_tokens)
    assert [0, turn.usage.prompt_tokens - 1, 0] == cached


async def test_closing(llama_cpp_135m: LlamaCppBackend) -> None:
    """Ends the turn that is at work, with an error; there are no turns afterwards."""
    stream = llama_cpp_135m.stream(ChatRequest((STORY,), temperature=0, max_tokens=300))
    await anext(stream)
    await llama_cpp_135m.close()
    with pytest.raises(BackendFault):
        [delta async for delta in stream]
    with pytest.raises(BackendFault):
        await listen(llama_cpp_135m, STORY)
