"""The scripted backend plays its file and nothing else."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import (
    ChatMessage,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)
from local_assistants.engine.errors import (
    AssistantsError,
    BackendFault,
    ContextOverflow,
    RateLimited,
)

HELLO = ChatMessage(role="user", content="Hello there")
CALLED = ChatMessage(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),))
ANSWERED = ChatMessage(role="tool", content="42", tool_call_id="1")


class StepClock:
    """A clock that only moves by being slept on, and remembers each sleep."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def now(self) -> float:
        """Seconds slept so far."""
        return sum(self.sleeps)

    async def sleep(self, seconds: float) -> None:
        """Pass the time at once."""
        self.sleeps.append(seconds)


async def play(backend: ScriptedBackend, *messages: ChatMessage, **options: Any) -> list[Delta]:
    """All deltas of one turn."""
    return [delta async for delta in backend.stream(ChatRequest(messages, **options))]


async def listen(backend: ScriptedBackend, note: Callable[[Delta], None]) -> None:
    """Play one turn, noting what comes before an error."""
    async for delta in backend.stream(ChatRequest((HELLO,))):
        note(delta)


def text_of(deltas: list[Delta]) -> str:
    """The text of a turn."""
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def calls_of(deltas: list[Delta]) -> list[tuple[str | None, str]]:
    """Name and whole arguments of each call of a turn."""
    calls: list[tuple[str | None, str]] = []
    for delta in deltas:
        if isinstance(delta, ToolCallDelta) and delta.index == len(calls):
            calls.append((delta.name, delta.arguments))
        elif isinstance(delta, ToolCallDelta):
            name, arguments = calls[delta.index]
            calls[delta.index] = (name, arguments + delta.arguments)
    return calls


async def test_text_comes_word_by_word() -> None:
    """Each word is a delta, and the counted usage comes before the end."""
    backend = ScriptedBackend.from_turns([{"text": "one two  three"}])
    assert await play(backend, HELLO) == [
        TextDelta("one "),
        TextDelta("two  "),
        TextDelta("three"),
        UsageDelta(prompt_tokens=2, completion_tokens=3),
        Finish("stop"),
    ]


async def test_arguments_come_in_fragments() -> None:
    """A call's first fragment carries its name; the fragments join to the JSON text."""
    backend = ScriptedBackend.from_turns([{"tool_calls": [{"name": "f", "arguments": {"a": "é"}}]}])
    assert await play(backend, HELLO) == [
        ToolCallDelta(0, "f", '{"a": "é'),
        ToolCallDelta(0, None, '"}'),
        UsageDelta(prompt_tokens=2, completion_tokens=2),
        Finish("tool_calls"),
    ]


async def test_the_turn_is_the_number_of_calls_answered() -> None:
    """Turns follow one another within a run, the last repeats, and the next run starts anew."""
    backend = ScriptedBackend.from_turns([{"text": "first"}, {"text": "second"}])
    run_two = (HELLO, CALLED, ANSWERED, ChatMessage(role="assistant", content="second"))
    heard = [
        text_of(await play(backend, HELLO)),
        text_of(await play(backend, HELLO, CALLED, ANSWERED)),
        text_of(await play(backend, HELLO, *(CALLED, ANSWERED) * 3)),
        text_of(await play(backend, *run_two, HELLO)),
        text_of(await play(backend, *run_two)),
    ]
    assert heard == ["first", "second", "second", "first", "first"]


async def test_placeholders_are_filled_once() -> None:
    """What a user wrote is not searched for placeholders."""
    backend = ScriptedBackend.from_turns([{"text": "{{user}} / {{tool}}"}])
    user = ChatMessage(role="user", content="say {{tool}}")
    assert text_of(await play(backend, user, CALLED, ANSWERED)) == "say {{tool}} / 42"


async def test_placeholders_are_filled_inside_arguments() -> None:
    """Strings at any depth of the arguments are filled."""
    arguments = {"queries": ["{{user}}", {"deep": "{{tool}}"}], "n": 3}
    backend = ScriptedBackend.from_turns([{"tool_calls": [{"name": "f", "arguments": arguments}]}])
    [(_, filled)] = calls_of(await play(backend, HELLO, CALLED, ANSWERED))
    assert json.loads(filled) == {"queries": ["Hello there", {"deep": "42"}], "n": 3}


async def test_arguments_given_as_text_stay_as_they_are() -> None:
    """A script can make a call whose arguments are no JSON."""
    backend = ScriptedBackend.from_turns([{"tool_calls": [{"name": "f", "arguments": "{oops"}]}])
    assert calls_of(await play(backend, HELLO)) == [("f", "{oops")]


async def test_only_one_call_when_calls_may_not_be_parallel() -> None:
    """With parallel_tool_calls off, the calls after the first are left out."""
    backend = ScriptedBackend.from_turns([{"tool_calls": [{"name": "f"}, {"name": "g"}]}])
    assert calls_of(await play(backend, HELLO)) == [("f", "{}"), ("g", "{}")]
    assert calls_of(await play(backend, HELLO, parallel_tool_calls=False)) == [("f", "{}")]


async def test_max_tokens_cuts_the_turn() -> None:
    """The turn ends with reason length after max_tokens pieces."""
    backend = ScriptedBackend.from_turns([{"text": "one two three"}])
    assert await play(backend, HELLO, max_tokens=2) == [
        TextDelta("one "),
        TextDelta("two "),
        UsageDelta(prompt_tokens=2, completion_tokens=2),
        Finish("length"),
    ]


async def test_stop_string_spanning_words_ends_the_turn() -> None:
    """Text before the stop string is shown, the rest is not, even across pieces."""
    backend = ScriptedBackend.from_turns([{"text": "one two three"}])
    deltas = await play(backend, HELLO, stop=("o th",))
    assert (text_of(deltas), deltas[-1]) == ("one tw", Finish("stop"))


async def test_truncate_cuts_the_last_call() -> None:
    """Arguments end after that many characters and the turn is out of tokens."""
    turn = {"tool_calls": [{"name": "f", "arguments": {"code": "x"}}], "truncate": 5}
    deltas = await play(ScriptedBackend.from_turns([turn]), HELLO)
    assert (calls_of(deltas), deltas[-1]) == ([("f", '{"cod')], Finish("length"))


async def test_usage_is_reported_as_written() -> None:
    """Numbers in the script replace the counted ones."""
    usage = {"prompt_tokens": 100, "completion_tokens": 7, "cached_tokens": 90}
    backend = ScriptedBackend.from_turns([{"text": "hi", "usage": usage}])
    assert UsageDelta(100, 7, 90) in await play(backend, HELLO)


async def test_delay_and_pace_go_through_the_clock() -> None:
    """The delay comes first, then the pause between one token and the next."""
    clock = StepClock()
    turn = {"text": "a b c", "delay": 0.2, "tokens_per_second": 50}
    await play(ScriptedBackend.from_turns([turn], clock=clock), HELLO)
    assert clock.sleeps == [0.2, 0.02, 0.02]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("rate_limit_exceeded", RateLimited),
        ("context_length_exceeded", ContextOverflow),
        ("server_error", BackendFault),
    ],
)
async def test_error_is_raised_after_the_text(code: str, kind: type[AssistantsError]) -> None:
    """The error has the class of its code, and what was said before it has been heard."""
    backend = ScriptedBackend.from_turns(
        [{"text": "so", "error": {"code": code, "message": "boom"}}]
    )
    heard: list[Delta] = []
    with pytest.raises(kind, match="boom") as caught:
        await listen(backend, heard.append)
    assert (heard, caught.value.code) == ([TextDelta("so")], code)


async def test_hang_ends_only_by_cancellation() -> None:
    """A clock that jumps does not wake a hanging turn."""
    backend = ScriptedBackend.from_turns([{"text": "so", "hang": True}], clock=StepClock())
    task = asyncio.create_task(play(backend, HELLO))
    done, _ = await asyncio.wait({task}, timeout=0.05)
    task.cancel()
    assert not done
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_prompt_beyond_the_window_is_refused() -> None:
    """The script's own context window is kept."""
    backend = ScriptedBackend.from_turns([{"text": "hi"}], context_window=1)
    with pytest.raises(ContextOverflow, match="2 tokens"):
        await play(backend, HELLO)


async def test_file_plays_like_turns(tmp_path: Path) -> None:
    """A YAML file gives the same turns as a list."""
    path = tmp_path / "s.yaml"
    path.write_text("turns:\n  - {text: 'It said {{tool}}.'}\n", encoding="utf-8")
    assert (
        text_of(await play(ScriptedBackend.from_file(path), HELLO, CALLED, ANSWERED))
        == "It said 42."
    )


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("turns: [{text: a}, {error: {mesage: b}}]", "turn 2, key error.mesage: unknown key"),
        ("turns: [{delay: 1}]", "turn 1: needs at least one of text"),
        ("turns: [{text: 3}]", "turn 1, key text"),
        ("turns: []", "key turns"),
        ("turn: []", "key turns"),
        ("[1, 2]", "a script is a mapping"),
        ("turns: [", "not valid YAML"),
    ],
)
def test_bad_file_is_refused_with_its_place(tmp_path: Path, script: str, complaint: str) -> None:
    """The error names the file, the turn and the key."""
    path = tmp_path / "wrong.yaml"
    path.write_text(script, encoding="utf-8")
    with pytest.raises(BackendFault, match=r"wrong\.yaml") as caught:
        ScriptedBackend.from_file(path)
    assert complaint in caught.value.message


def test_missing_file_is_named(tmp_path: Path) -> None:
    """A path that is not there gives an error with the path."""
    with pytest.raises(BackendFault, match=r"nowhere\.yaml"):
        ScriptedBackend.from_file(tmp_path / "nowhere.yaml")
