"""What every backend owes the engine."""

import asyncio
from typing import Any, Protocol

import pytest

from local_assistants.engine.chat import (
    ChatRequest,
    TextDelta,
    ToolCallDelta,
    ToolSchema,
    UsageDelta,
)
from local_assistants.engine.errors import ContextOverflow
from local_assistants.engine.ports import Backend
from tests.contract.backends.conftest import Lines
from tests.support.turns import listen, texts, user

WORDS = Lines(("one ", "two ", "three ", "four"))
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"enum": ["aaaa", "bbbb"]}},
    "required": ["x"],
}
F = ToolSchema("f", "does f", PARAMETERS)
TWO_CALLS = Lines(calls=(("f", {"x": "aaaa"}), ("f", {"x": "bbbb"})))


class Make(Protocol):
    """Makes a backend that says the lines."""

    async def __call__(self, lines: Lines, window: int = 1024) -> Backend: ...


async def test_text_comes_in_pieces_then_usage_then_the_end(make: Make) -> None:
    """A turn is text deltas, one usage report, and Finish last."""
    turn = await listen(await make(WORDS), user("Count"), temperature=0)
    assert (turn.text, turn.reason) == ("one two three four", "stop")
    assert len(texts(turn.deltas)) > 1
    assert isinstance(turn.deltas[-2], UsageDelta)


async def test_usage_agrees_with_count_tokens(make: Make) -> None:
    """The prompt costs what it was said to cost; the answer costs its pieces."""
    backend = await make(WORDS)
    counted = await backend.count_tokens(ChatRequest((user("Count"),)))
    turn = await listen(backend, user("Count"), temperature=0)
    assert (turn.usage.prompt_tokens, turn.usage.completion_tokens) == (counted, 4)


async def test_max_tokens_ends_the_turn(make: Make) -> None:
    """No more tokens than asked for, and the reason says so."""
    turn = await listen(await make(WORDS), user("Count"), temperature=0, max_tokens=2)
    assert (turn.text.strip(), turn.usage.completion_tokens, turn.reason) == (
        "one two",
        2,
        "length",
    )


async def test_stop_string_ends_the_text(make: Make) -> None:
    """The stop string and what follows it are not heard, also when it spans pieces."""
    turn = await listen(await make(WORDS), user("Count"), temperature=0, stop=("o th", "four"))
    assert (turn.text, turn.reason) == ("one tw", "stop")


async def test_call_has_its_name_first_and_whole_arguments(make: Make) -> None:
    """The first fragment of each call names it; the fragments join to JSON."""
    turn = await listen(await make(TWO_CALLS), user("Go"), temperature=0, tools=(F,))
    assert (turn.calls, turn.text, turn.reason) == (
        [("f", '{"x": "aaaa"}'), ("f", '{"x": "bbbb"}')],
        "",
        "tool_calls",
    )
    first = [
        next(d for d in turn.deltas if isinstance(d, ToolCallDelta) and d.index == i)
        for i in (0, 1)
    ]
    assert [delta.name for delta in first] == ["f", "f"]


async def test_one_call_only_when_asked(make: Make) -> None:
    """Without parallel calls the turn ends with the first."""
    turn = await listen(
        await make(TWO_CALLS), user("Go"), temperature=0, tools=(F,), parallel_tool_calls=False
    )
    assert (turn.calls, turn.reason) == ([("f", '{"x": "aaaa"}')], "tool_calls")


async def test_prompt_beyond_the_window_is_refused(make: Make) -> None:
    """A prompt that cannot fit is an error of its own before anything is said."""
    backend = await make(WORDS, 256)
    with pytest.raises(ContextOverflow, match="256") as caught:
        await listen(backend, user("x " * 400))
    assert caught.value.code == "context_length_exceeded"


async def test_two_callers_at_once_are_both_served(make: Make) -> None:
    """Turns do not mix."""
    backend = await make(WORDS)
    turns = await asyncio.gather(
        *(listen(backend, user(f"Count {n}"), temperature=0) for n in range(6))
    )
    assert {turn.text for turn in turns} == {"one two three four"}


async def test_closing_a_stream_leaves_the_backend_usable(make: Make) -> None:
    """A turn given up after its first piece does not stand in the way of the next."""
    backend = await make(WORDS)
    stream = backend.stream(ChatRequest((user("Count"),), temperature=0))
    first = await anext(stream)
    await stream.aclose()
    assert isinstance(first, TextDelta)
    assert (await listen(backend, user("Count"), temperature=0)).text == "one two three four"


async def test_capabilities_tell_the_window(make: Make) -> None:
    """The context builder can budget."""
    backend = await make(WORDS, 512)
    assert (backend.capabilities.context_window, backend.capabilities.tools) == (512, True)
