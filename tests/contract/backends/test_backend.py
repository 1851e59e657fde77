"""What every backend owes the engine, without exception."""

import asyncio
from typing import Any

import pytest

from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolSchema,
    UsageDelta,
)
from local_assistants.engine.errors import ContextOverflow
from tests.support.turns import listen, texts, tool, user

from .conftest import Make
from .kinds import Kind, Lines

WORDS = Lines(("one ", "two ", "three ", "four"))
PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"enum": ["aaaa", "bbbb"]}},
    "required": ["x"],
}
F = ToolSchema("f", "does f", PARAMETERS)
TWO_CALLS = Lines(calls=(("f", {"x": "aaaa"}), ("f", {"x": "bbbb"})))


async def test_text_comes_in_pieces_then_usage_then_the_end(make: Make) -> None:
    """A turn is text deltas, one usage report, and Finish last."""
    turn = await listen(await make(WORDS), user("Count"), temperature=0)
    assert (turn.text, turn.reason) == ("one two three four", "stop")
    assert len(texts(turn.deltas)) > 1
    assert isinstance(turn.deltas[-2], UsageDelta)


async def test_characters_of_any_script(make: Make) -> None:
    """Come as they are."""
    words = ("Grüße ", "aus ", "東京 ", "😀")
    turn = await listen(await make(Lines(words)), user("いつ? 😀"), temperature=0)
    assert "".join(words) == turn.text


async def test_usage_agrees_with_count_tokens(kind: Kind, make: Make) -> None:
    """The prompt costs what it was said to cost; the answer costs its pieces, and on some servers its end."""
    backend = await make(WORDS)
    counted = await backend.count_tokens(ChatRequest((user("Count"),)))
    turn = await listen(backend, user("Count"), temperature=0)
    assert (counted, 4 + kind.end_tokens) == (
        turn.usage.prompt_tokens,
        turn.usage.completion_tokens,
    )


async def test_a_long_prompt_costs_what_it_was_said_to_cost(make: Make) -> None:
    """Instructions, tools, calls and their outputs count."""
    backend = await make(WORDS)
    system = ChatMessage(role="system", content="You count.")
    call = ToolCall(id="call_0", name="f", arguments='{"x": "aaaa"}')
    called = ChatMessage(role="assistant", content="", tool_calls=(call,))
    messages = (system, user("Count"), called, tool("it is four"))
    bare = await backend.count_tokens(ChatRequest(messages[:2]))
    whole = await backend.count_tokens(ChatRequest(messages, tools=(F,)))
    turn = await listen(backend, *messages, tools=(F,), temperature=0)
    assert bare < whole == turn.usage.prompt_tokens
    assert "one two three four" == turn.text


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
    assert "one two three four" == (await listen(backend, user("Count"), temperature=0)).text


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


async def test_a_turn_at_its_limit_is_a_turn(make: Make) -> None:
    """One token is enough to be heard."""
    turn = await listen(await make(WORDS), user("Count"), temperature=0, max_tokens=1)
    assert ("one", 1, "length") == (
        turn.text.strip(),
        turn.usage.completion_tokens,
        turn.reason,
    )


async def test_a_call_that_is_cut_off_is_told_apart(make: Make) -> None:
    """The reason is length, and what is there of the arguments is no whole JSON."""
    note = ToolSchema("note", "notes", {"type": "object", "properties": {"text": {}}})
    lines = Lines(calls=(("note", {"text": "one two three four five six seven eight nine"}),))
    turn = await listen(await make(lines), user("Go"), temperature=0, tools=(note,), max_tokens=5)
    [(name, arguments)] = turn.calls
    assert ("note", False, "length") == (name, arguments.endswith("}"), turn.reason)


async def test_several_turns_given_up_at_once(make: Make) -> None:
    """Callers that leave do not disturb one that stays."""
    backend = await make(WORDS)

    async def leave() -> None:
        stream = backend.stream(ChatRequest((user("Count"),), temperature=0))
        await anext(stream)
        await stream.aclose()

    async with asyncio.TaskGroup() as group:
        staying = group.create_task(listen(backend, user("Count"), temperature=0))
        for _ in range(5):
            group.create_task(leave())
    assert "one two three four" == staying.result().text


async def test_forgetting_leaves_the_backend_usable(make: Make) -> None:
    """Of a conversation that it knows, and of one that it never saw."""
    backend = await make(WORDS)
    await listen(backend, user("Count"), temperature=0, session="thread_1")
    await backend.forget("thread_1")
    await backend.forget("thread_2")
    turn = await listen(backend, user("Count"), temperature=0, session="thread_1")
    assert "one two three four" == turn.text


async def test_closing_twice_is_closing(make: Make) -> None:
    """Nobody needs to know whether someone else has."""
    backend = await make(WORDS)
    await backend.close()
    await backend.close()
