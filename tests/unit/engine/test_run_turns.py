"""The turns of a run: answers, functions that the client calls, tools that are forced or used up."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import Finish, TextDelta, UsageDelta
from local_assistants.engine.objects import (
    FunctionCall,
    ToolCallsDetails,
    Usage,
)
from local_assistants.engine.observer import Observer
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    SEARCH,
    DeltaBackend,
    ScriptedTool,
    answering,
    calls,
    house,
)
from tests.support.runs import SPENT, text_of


async def test_a_plain_answer(tmp_path: Path) -> None:
    """Queued, worked on, completed; one message, one step, the usage of both."""
    async with house(tmp_path, [{"text": "Hello there.", "usage": SPENT}]) as home:
        run = await home.ask()
        assert ("queued", None, START + 600, None) == (
            run.status,
            run.started_at,
            run.expires_at,
            run.usage,
        )
        done = await home.finish(run)
        _, answer = await home.messages(run)
        (step,) = await home.steps(run)

    assert ("completed", START, START, None) == (
        done.status,
        done.started_at,
        done.completed_at,
        done.expires_at,
    )
    assert Usage.of(10, 5) == done.usage == step.usage
    assert ("completed", "Hello there.", run.id) == (answer.status, text_of(answer), answer.run_id)
    assert ("message_creation", "completed") == (step.type, step.status)


async def test_usage_is_the_sum_of_all_turns(tmp_path: Path) -> None:
    """And null until the run is over."""
    turns = [calls("add", {}) | {"usage": SPENT}, {"text": "7", "usage": SPENT}]
    async with house(tmp_path, turns) as home:
        waiting = await home.finish(await home.ask(tools=[FUNCTION]))
        assert waiting.usage is None
        _, after = await home.submit(waiting, {"call_1": "7"})
        done = await home.finish(waiting, after)

    assert Usage.of(20, 10) == done.usage


async def test_functions_make_the_run_wait_with_its_step_open(tmp_path: Path) -> None:
    """Arguments as the model wrote them, no output yet, expiry unchanged, thread still locked."""
    turns = [calls("add", {"a": 1}, {"a": 2}), {"text": "It said {{tool}}."}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        (step,) = await home.steps(run)
        assert run.required_action is not None
        wanted = run.required_action.submit_tool_outputs.tool_calls
        assert ("requires_action", START + 600) == (run.status, run.expires_at)
        assert [("call_1", '{"a": 1}'), ("call_2", '{"a": 2}')] == [
            (call.id, call.function.arguments) for call in wanted
        ]
        assert ("in_progress", None) == (step.status, step.completed_at)

        await home.virtual.advance(5)
        resumed, after = await home.submit(run, {"call_2": "second", "call_1": "first"})
        assert ("queued", None, START) == (
            resumed.status,
            resumed.required_action,
            resumed.started_at,
        )
        done = await home.finish(run, after)
        answered, spoken = await home.steps(run)

    assert ("completed", START + 5) == (done.status, done.started_at)
    assert isinstance(answered.step_details, ToolCallsDetails)
    assert ["first", "second"] == [
        call.function.output
        for call in answered.step_details.tool_calls
        if isinstance(call, FunctionCall)
    ]
    assert ("completed", "completed") == (answered.status, spoken.status)


async def test_arguments_that_are_no_json_are_passed_on(tmp_path: Path) -> None:
    """Unchecked: they are the client's business."""
    turns = [{"tool_calls": [{"name": "add", "arguments": '{"a": oops'}]}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))

    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert '{"a": oops' == call.function.arguments


async def test_a_run_may_wait_many_times(tmp_path: Path) -> None:
    """Far more often than engine-side tools may be called: the client sets the pace."""
    turns = [*[calls("add", {"n": n}) for n in range(12)], {"text": "done"}]
    async with house(tmp_path, turns) as home:
        run, after = await home.ask(tools=[FUNCTION]), 0
        for number in range(12):
            run = await home.finish(run, after)
            assert "requires_action" == run.status
            _, after = await home.submit(run, {f"call_{number + 1}": "ok"})
        done = await home.finish(run, after)
        choices = {request.tool_choice for request in home.backend.requests}

    assert "completed" == done.status
    assert {"auto"} == choices


async def test_a_turn_that_speaks_and_calls_both_kinds(tmp_path: Path) -> None:
    """Message, then the engine's calls in a step that completes, then the client's in one that waits."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns: list[dict[str, Any]] = [
        {
            "text": "One moment.",
            "tool_calls": [{"name": "add"}, {"name": "code_interpreter"}, {"name": "add"}],
            "usage": SPENT,
        },
        {"text": "Done.", "usage": SPENT},
    ]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        steps = await home.steps(run)
        assert [
            ("message_creation", "completed"),
            ("tool_calls", "completed"),
            ("tool_calls", "in_progress"),
        ] == [(step.type, step.status) for step in steps]
        assert run.required_action is not None
        wanted = [call.id for call in run.required_action.submit_tool_outputs.tool_calls]
        assert ["call_1", "call_3"] == wanted
        _, after = await home.submit(run, dict.fromkeys(wanted, "ok"))
        done = await home.finish(run, after)
        prompt = home.backend.requests[1].messages
        contents = [text_of(message) for message in await home.messages(run)]

    assert Usage.of(20, 10) == done.usage
    assert ["Hi", "One moment.", "Done."] == contents
    assert ["user", "assistant", "tool", "tool", "tool"] == [m.role for m in prompt]
    assert {"call_1", "call_2", "call_3"} == {m.tool_call_id for m in prompt if m.role == "tool"}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", [("required", None), ("auto", None)]),
        ({"type": "file_search"}, [("auto", "file_search"), ("auto", None)]),
        ({"type": "code_interpreter"}, [("auto", "code_interpreter"), ("auto", None)]),
        ("auto", [("auto", None), ("auto", None)]),
    ],
)
async def test_a_tool_is_forced_on_the_first_turn_only(
    tmp_path: Path, choice: Any, expected: list[Any]
) -> None:
    """Else a run would never come to its answer."""
    name = "file_search" if choice == {"type": "file_search"} else "code_interpreter"
    tools = [ScriptedTool(kind, answering("42")) for kind in ("file_search", "code_interpreter")]
    async with house(tmp_path, [calls(name, {}), {"text": "Done."}], tools=tools) as home:
        await home.finish(await home.ask(tools=[SEARCH, CODE], tool_choice=choice))
        asked = [(request.tool_choice, request.forced_tool) for request in home.backend.requests]

    assert expected == asked


async def test_a_tool_is_not_forced_again_after_the_client_answered(tmp_path: Path) -> None:
    """The first turn is the first of the run, not of its resumption."""
    async with house(tmp_path, [calls("add", {}), {"text": "Done."}]) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="required"))
        _, after = await home.submit(run, {"call_1": "7"})
        await home.finish(run, after)

    assert ["required", "auto"] == [request.tool_choice for request in home.backend.requests]


async def test_after_so_many_tool_turns_the_model_has_to_answer(tmp_path: Path) -> None:
    """It is told that it may call nothing any more."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [*[calls("code_interpreter", {})] * 3, {"text": "At last."}]
    settings = replace(FAST, max_tool_turns=3)
    async with house(tmp_path, turns, tools=[tool], settings=settings) as home:
        run = await home.finish(await home.ask(tools=[CODE]))

    assert "completed" == run.status
    assert ["auto", "auto", "auto", "none"] == [r.tool_choice for r in home.backend.requests]


async def test_white_space_before_the_answer_makes_no_message(tmp_path: Path) -> None:
    """A message begins with its first visible character, and a blank turn makes none."""
    backend = DeltaBackend(
        [TextDelta("\n"), TextDelta(" \n"), TextDelta(" Hi"), UsageDelta(1, 1), Finish("stop")],
        [TextDelta("\n \n"), UsageDelta(1, 1), Finish("stop")],
    )
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.finish(await home.ask())
        again = await home.finish(await home.run(run.thread_id, run.assistant_id))
        texts = [text_of(message) for message in await home.messages(run)]

    assert ["Hi", "Hi"] == texts
    assert ("completed", "completed") == (run.status, again.status)


async def test_the_client_may_go_away(tmp_path: Path) -> None:
    """A run does not end because nobody listens any more."""
    gate = asyncio.Event()
    backend = DeltaBackend([TextDelta("One "), gate, TextDelta("two."), Finish("stop")])
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.ask()
        await home.until(run, "thread.message.delta")  # and stop listening
        gate.set()
        done = await home.finish(run)
        _, answer = await home.messages(run)

    assert ("completed", "One two.") == (done.status, text_of(answer))


async def test_a_plain_run_takes_three_transactions(tmp_path: Path) -> None:
    """It is created, started, and answered: what comes with the model's last word is committed with the end."""

    class Commits(Observer):
        seen = 0

        def committed(self, seconds: float) -> None:
            self.seen += 1

    async with house(tmp_path) as home:
        commits = Commits()
        home.core.feed.observers.append(commits)
        done = await home.finish(await home.ask())

    assert ("completed", 3) == (done.status, commits.seen)


async def test_what_came_with_the_last_word_survives_a_cancellation(tmp_path: Path) -> None:
    """The stream has said that it is over and hangs: nothing of the answer is lost when the run is cancelled."""
    never = asyncio.Event()
    backend = DeltaBackend([TextDelta("Half an answer."), Finish("stop"), never])
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.ask()
        await home.until(run, "thread.run.in_progress")
        await asyncio.sleep(0.2)  # the model has begun and hangs
        await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        _, answer = await home.messages(run)

    assert "cancelled" == done.status
    assert ("incomplete", "Half an answer.") == (answer.status, text_of(answer))
