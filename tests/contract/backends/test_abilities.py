"""What some backends can do, and what the others do instead (kinds.py holds the table)."""

import asyncio
import json
from typing import Any

import pytest

from local_assistants.engine.chat import ChatRequest, ToolSchema
from local_assistants.engine.errors import BackendFault, InvalidRequest
from local_assistants.engine.ports import Backend
from tests.support.turns import Turn, listen, user

from .conftest import Make
from .kinds import KINDS, Kind, Lines, able, unable

WORDS = Lines(("one ", "two ", "three ", "four"))
LONG = Lines(tuple(f"w{number:03} " for number in range(400)))
BABBLE = Lines()
OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {"x": {"enum": ["aaaa", "bbbb"]}},
    "required": ["x"],
    "additionalProperties": False,
}
F = ToolSchema("f", "does f", OBJECT)
G = ToolSchema("g", "does g", OBJECT)
TWO_CALLS = Lines(calls=(("f", {"x": "aaaa"}), ("f", {"x": "bbbb"})))
ANSWERS = ({"x": "aaaa"}, {"x": "bbbb"})


def schema_format(schema: dict[str, Any]) -> dict[str, Any]:
    """A response format that asks for JSON of this schema."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def arguments_of(turn: Turn) -> list[tuple[str, Any]]:
    """Name and parsed arguments of each call."""
    return [(name, json.loads(arguments)) for name, arguments in turn.calls]


# --- chance ----------------------------------------------------------------------------------------


@able("samples")
async def test_a_seed_repeats_what_chance_said(make: Make) -> None:
    """Also beside other turns; another seed says something else."""
    backend = await make(BABBLE)
    ask = {"temperature": 1.0, "max_tokens": 40}
    alone = await listen(backend, user("Go"), seed=5, **ask)
    again, other, _ = await asyncio.gather(
        listen(backend, user("Go"), seed=5, **ask),
        listen(backend, user("Go"), seed=6, **ask),
        listen(backend, user("Something else"), seed=7, **ask),
    )
    assert alone.text == again.text
    assert alone.text != other.text


@unable("samples")
async def test_without_chance_seeds_change_nothing(make: Make) -> None:
    """What is written is played."""
    backend = await make(WORDS)
    turns = [await listen(backend, user("Go"), seed=seed) for seed in (5, 6)]
    assert ["one two three four"] * 2 == [turn.text for turn in turns]


# --- formats ---------------------------------------------------------------------------------------


@able("formats")
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_json_of_a_schema(make: Make, seed: int) -> None:
    """Even of a model that babbles."""
    ask = {"response_format": schema_format(OBJECT), "max_tokens": 200}
    turn = await listen(await make(BABBLE), user("Go"), seed=seed, **ask)
    assert "stop" == turn.reason
    assert json.loads(turn.text) in ANSWERS


@able("formats")
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_json_object(make: Make, seed: int) -> None:
    """Whole when the model came to an end, else at least begun as one."""
    ask = {"response_format": {"type": "json_object"}, "max_tokens": 500}
    turn = await listen(await make(BABBLE), user("Go"), seed=seed, **ask)
    assert turn.text.lstrip().startswith("{")
    assert "length" == turn.reason or isinstance(json.loads(turn.text), dict)


@able("formats")
async def test_a_schema_that_cannot_be_held_is_refused(make: Make) -> None:
    """Before anything is said, as the request's fault; the next request is served."""
    backend = await make(WORDS)
    with pytest.raises(InvalidRequest):
        await listen(
            backend, user("Go"), response_format=schema_format({"$ref": "#/$defs/nowhere"})
        )
    assert "one two three four" == (await listen(backend, user("Go"), temperature=0)).text


@unable("formats")
async def test_without_grammar_the_answer_is_as_it_is(make: Make) -> None:
    """A script may be as wrong as a model."""
    turn = await listen(await make(WORDS), user("Go"), response_format=schema_format(OBJECT))
    assert "one two three four" == turn.text


# --- choice of tools -------------------------------------------------------------------------------


async def test_a_model_that_calls_of_itself(make: Make) -> None:
    """Where it may it makes all its calls, where it must the first of them at least."""
    backend = await make(TWO_CALLS)
    ask = {"temperature": 0, "tools": (F, G)}
    free = await listen(backend, user("Go"), **ask)
    bound = await listen(backend, user("Go"), tool_choice="required", **ask)
    assert [("f", {"x": "aaaa"}), ("f", {"x": "bbbb"})] == arguments_of(free)
    assert ("f", {"x": "aaaa"}) == arguments_of(bound)[0]
    assert ["tool_calls"] * 2 == [free.reason, bound.reason]


@able("choice")
@pytest.mark.parametrize("lines", [WORDS, BABBLE], ids=["words", "babble"])
async def test_a_required_tool_is_called(make: Make, lines: Lines) -> None:
    """By a model that would have said something else, with arguments that fit."""
    ask = {"tools": (F, G), "tool_choice": "required", "parallel_tool_calls": False, "seed": 1}
    turn = await listen(await make(lines), user("Go"), **ask)
    [(name, arguments)] = arguments_of(turn)
    assert name in ("f", "g")
    assert arguments in ANSWERS
    assert ("", "tool_calls") == (turn.text, turn.reason)


@able("choice")
@pytest.mark.parametrize("lines", [WORDS, BABBLE, TWO_CALLS], ids=["words", "babble", "calls"])
async def test_the_forced_tool_is_called_once(make: Make, lines: Lines) -> None:
    """And no other, whatever the model had in mind."""
    turn = await listen(await make(lines), user("Go"), tools=(F, G), forced_tool="g", seed=1)
    [(name, arguments)] = arguments_of(turn)
    assert ("g", True) == (name, arguments in ANSWERS)
    assert ("", "tool_calls") == (turn.text, turn.reason)


@unable("choice")
async def test_where_a_call_is_not_enforced_words_come_through(make: Make) -> None:
    """The engine sees that nothing was called, and reminds the model."""
    ask = {"tools": (F,), "temperature": 0, "max_tokens": 4}
    backend = await make(WORDS)
    for choice in ({"tool_choice": "required"}, {"forced_tool": "f"}):
        turn = await listen(backend, user("Go"), **ask, **choice)
        assert ("one two three four", []) == (turn.text, turn.calls)


@able("none")
async def test_no_call_where_none_is_allowed(make: Make) -> None:
    """Of a model that would have called."""
    turn = await listen(
        await make(TWO_CALLS),
        user("Go"),
        temperature=0,
        tools=(F,),
        tool_choice="none",
        max_tokens=40,
    )
    assert [] == turn.calls
    assert turn.reason in ("stop", "length")


@unable("none")
async def test_calls_are_played_where_none_is_allowed(make: Make) -> None:
    """The engine drops them."""
    turn = await listen(await make(TWO_CALLS), user("Go"), tools=(F,), tool_choice="none")
    assert 2 == len(turn.calls)


# --- what goes on behind a stream ------------------------------------------------------------------


async def settled(kind: Kind, backend: Backend) -> int:
    """The work done, once no more is added to it."""
    assert kind.work is not None
    before, now = -1, await kind.work(backend)
    async with asyncio.timeout(20):
        while before != now:
            await asyncio.sleep(kind.work_delay)
            before, now = now, await kind.work(backend)
    return now


@able("work")
async def test_nobody_works_for_a_turn_that_was_given_up(kind: Kind, make: Make) -> None:
    """After a few of its 400 tokens the work ends."""
    backend = await make(LONG)
    assert 400 <= (await listen(backend, user("Go"), temperature=0)).usage.completion_tokens
    before = await settled(kind, backend)
    stream = backend.stream(ChatRequest((user("Go on"),), temperature=0))
    await anext(stream)
    await stream.aclose()
    assert await settled(kind, backend) - before < 300


@able("cache")
async def test_what_was_evaluated_is_not_evaluated_again(make: Make) -> None:
    """Of a conversation that goes on; never more than the prompt has."""
    backend = await make(WORDS)
    first = user("Count, please, from the beginning on, one after the other")
    turn = await listen(backend, first, temperature=0, session="thread_1")
    again = await listen(
        backend, first, turn.message, user("Again"), temperature=0, session="thread_1"
    )
    assert turn.usage.prompt_tokens // 2 < again.usage.cached_tokens < again.usage.prompt_tokens


@unable("cache")
async def test_without_a_cache_nothing_is_called_cached(make: Make) -> None:
    """Every prompt costs its tokens."""
    backend = await make(WORDS)
    turns = [await listen(backend, user("Count"), session="thread_1") for _ in range(2)]
    assert [0, 0] == [turn.usage.cached_tokens for turn in turns]


@able("forget")
async def test_a_forgotten_conversation_is_evaluated_anew(make: Make) -> None:
    """Nothing of what it said is left to be found again."""
    backend = await make(WORDS)
    first = user("Count, please, from the beginning on, one after the other")
    await listen(backend, first, temperature=0, session="thread_1")
    await backend.forget("thread_1")
    turn = await listen(backend, first, temperature=0, session="thread_1")
    assert turn.usage.cached_tokens < turn.usage.prompt_tokens // 4


@unable("forget")
async def test_where_nothing_is_kept_here_forgetting_changes_nothing(make: Make) -> None:
    """What a server caches is the server's: the next turn finds what it would have found."""
    backend = await make(WORDS)
    first = await listen(backend, user("Count"), temperature=0, session="thread_1")
    known = await listen(backend, user("Count"), temperature=0, session="thread_1")
    await backend.forget("thread_1")
    after = await listen(backend, user("Count"), temperature=0, session="thread_1")
    assert (first.text, known.usage) == (after.text, after.usage)


@able("close")
async def test_after_closing_there_are_no_turns(make: Make) -> None:
    """A clear error."""
    backend = await make(WORDS)
    await backend.close()
    with pytest.raises(BackendFault):
        await listen(backend, user("Count"))


@unable("close")
async def test_where_there_is_nothing_to_close_turns_go_on(make: Make) -> None:
    """A script has no memory to free."""
    backend = await make(WORDS)
    await backend.close()
    assert "one two three four" == (await listen(backend, user("Count"))).text


def test_the_table_has_a_row_for_every_backend() -> None:
    """The script alone can do none of it."""
    assert ["scripted"] == [name for name, kind in KINDS.items() if not kind.able]
