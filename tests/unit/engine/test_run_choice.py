"""tool_choice and parallel_tool_calls hold even for a model that does not keep to them; who waits for whom."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import Delta, Finish, TextDelta, ToolCallDelta, UsageDelta
from local_assistants.engine.objects import ToolCallsDetails, Usage
from tests.support.engine import (
    CODE,
    FUNCTION,
    DeltaBackend,
    House,
    ScriptedTool,
    answering,
    calls,
    house,
    names,
)
from tests.support.ids import CountingIds

SPENT = UsageDelta(10, 5)
NAMED: dict[str, Any] = {"type": "function", "function": {"name": "add"}}
SUBTRACT: dict[str, Any] = {"type": "function", "function": {"name": "subtract"}}

Deltas = Sequence[Delta]
CALLS_ADD: Deltas = (ToolCallDelta(0, "add", '{"a": 1}'), SPENT, Finish("tool_calls"))
CALLS_CODE: Deltas = (ToolCallDelta(0, "code_interpreter", "{}"), SPENT, Finish("tool_calls"))
SAYS: Deltas = (TextDelta("No."), SPENT, Finish("stop"))
BOTH: Deltas = (TextDelta("I call."), *CALLS_ADD)


def tool() -> ScriptedTool:
    """A code interpreter that always answers 42."""
    return ScriptedTool("code_interpreter", answering("42"))


async def made(home: House, run: Any) -> list[str]:
    """Names of the functions and types of the tools that the run's steps show."""
    return [
        call.function.name if call.type == "function" else call.type
        for step in await home.steps(run)
        if isinstance(step.step_details, ToolCallsDetails)
        for call in step.step_details.tool_calls
    ]


# --- none --------------------------------------------------------------------------------------------


async def test_none_holds_against_a_model_that_calls_anyway(tmp_path: Path) -> None:
    """No call is shown or executed; the model is told, and its answer ends the run."""
    code = tool()
    async with house(tmp_path, tools=[code]) as home:
        backend = home.models.current = DeltaBackend(CALLS_CODE, CALLS_ADD, SAYS)
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION], tool_choice="none"))
        shown = await made(home, run)
        texts = [message.text for message in await home.messages(run)]
        steps = [step.usage for step in await home.steps(run)]

    assert ("completed", Usage.of(30, 15)) == (run.status, run.usage)
    assert ([], [], ["Hi", "No."]) == (shown, code.calls, texts)
    assert [Usage.of(30, 15)] == steps
    assert ["none"] * 3 == [request.tool_choice for request in backend.requests]
    assert "user" == backend.requests[1].messages[-1].role


async def test_under_none_what_the_model_said_beside_its_calls_is_the_answer(
    tmp_path: Path,
) -> None:
    """The calls are as if they had not been made, also for the next run."""
    async with house(tmp_path) as home:
        backend = home.models.current = DeltaBackend(BOTH, SAYS)
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="none"))
        await home.finish(await home.run(run.thread_id, run.assistant_id))

    assert ("completed", None) == (run.status, run.required_action)
    assert ["Hi", "I call."] == [message.text for message in backend.requests[1].messages]
    assert () == backend.requests[1].messages[1].tool_calls


async def test_a_model_that_cannot_be_kept_from_calling_fails_the_run(tmp_path: Path) -> None:
    """After two reminders; every turn is paid for."""
    async with house(tmp_path) as home:
        home.models.current = DeltaBackend(CALLS_ADD, CALLS_ADD, CALLS_ADD)
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="none"))

    assert run.last_error is not None
    assert ("failed", "server_error") == (run.status, run.last_error.code)
    assert Usage.of(30, 15) == run.usage
    assert "tool_choice" in run.last_error.message


# --- required, named ---------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["required", NAMED])
async def test_a_model_that_only_talks_is_reminded(tmp_path: Path, choice: Any) -> None:
    """What it said is a message of its own; the choice stands until a tool was called."""
    async with house(tmp_path) as home:
        backend = home.models.current = DeltaBackend(SAYS, CALLS_ADD)
        run = await home.finish(await home.ask(tools=[FUNCTION, SUBTRACT], tool_choice=choice))
        texts = [message.text for message in await home.messages(run)]
        told = names(await home.journal(run))

    assert ("requires_action", ["Hi", "No."]) == (run.status, texts)
    forced = [(request.tool_choice, request.forced_tool) for request in backend.requests]
    assert 2 * [("required", None) if choice == "required" else ("auto", "add")] == forced
    assert ["message.completed", "run.step.completed", "run.step.created"] == told[8:11]


@pytest.mark.parametrize("choice", ["required", NAMED])
async def test_a_model_that_never_calls_what_it_must_fails_the_run(
    tmp_path: Path, choice: Any
) -> None:
    """A run must not be called completed when what was asked of it was not done."""
    async with house(tmp_path) as home:
        backend = home.models.current = DeltaBackend(SAYS, SAYS, SAYS)
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice=choice))

    assert ("failed", 3, Usage.of(30, 15)) == (run.status, len(backend.requests), run.usage)


async def test_under_a_named_choice_other_calls_are_not_made(tmp_path: Path) -> None:
    """Neither another function nor a tool; the named one alone is asked of the client."""
    code = tool()
    odd: Deltas = (
        ToolCallDelta(0, "subtract", "{}"),
        ToolCallDelta(1, "add", "{}"),
        ToolCallDelta(2, "code_interpreter", "{}"),
        SPENT,
        Finish("tool_calls"),
    )
    async with house(tmp_path, tools=[code]) as home:
        home.models.current = DeltaBackend(odd)
        asked = await home.ask(tools=[CODE, FUNCTION, SUBTRACT], tool_choice=NAMED)
        run = await home.finish(asked)
        shown = await made(home, run)

    assert ("requires_action", ["add"], []) == (run.status, shown, code.calls)


async def test_a_call_of_a_tool_that_does_not_exist_satisfies_nobody(tmp_path: Path) -> None:
    """The model hears of it, and still has to call one that does, also after a restart."""
    unknown: Deltas = (ToolCallDelta(0, "fly", "{}"), SPENT, Finish("tool_calls"))
    ids = CountingIds()
    async with house(tmp_path, ids=ids) as home:
        home.models.current = DeltaBackend(unknown, (TextDelta("I"), *[Finish("stop")]), CALLS_ADD)
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="required"))
    assert "requires_action" == run.status


async def test_a_choice_is_satisfied_once_for_the_whole_run(tmp_path: Path) -> None:
    """Also when the call that did it was a client's, answered after a restart."""
    ids = CountingIds()
    async with house(tmp_path, [calls("add", {})], ids=ids) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="required"))
    async with house(tmp_path, [{"text": "Done."}], ids=ids) as home:
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        asked = [request.tool_choice for request in home.backend.requests]

    assert ("completed", ["auto"]) == (done.status, asked)


async def test_a_reminder_is_for_its_run_alone(tmp_path: Path) -> None:
    """The next run on the thread sees the conversation without it."""
    async with house(tmp_path) as home:
        backend = home.models.current = DeltaBackend(SAYS, CALLS_ADD, SAYS, SAYS)
        run = await home.finish(await home.ask(tools=[FUNCTION], tool_choice="required"))
        _, after = await home.submit(run, {"call_1": "7"})
        await home.finish(run, after)
        await home.finish(await home.run(run.thread_id, run.assistant_id))

    told = [[message.role for message in request.messages] for request in backend.requests]
    assert ["user", "assistant", "user"] == told[1]
    assert ["user", "assistant", "user", "assistant", "tool"] == told[2]
    assert ["user", "assistant", "assistant", "tool", "assistant"] == told[3]


# --- parallel_tool_calls -----------------------------------------------------------------------------


async def test_without_parallel_calls_a_turn_makes_one(tmp_path: Path) -> None:
    """The second is dropped, whoever it is for; the model may make it in its next turn."""
    code = tool()
    odd: Deltas = (
        ToolCallDelta(0, "code_interpreter", "{}"),
        ToolCallDelta(1, "code_interpreter", "{}"),
        ToolCallDelta(2, "add", "{}"),
        SPENT,
        Finish("tool_calls"),
    )
    async with house(tmp_path, tools=[code]) as home:
        backend = home.models.current = DeltaBackend(odd, CALLS_ADD)
        asked = await home.ask(tools=[CODE, FUNCTION], parallel_tool_calls=False)
        run = await home.finish(asked)
        shown = await made(home, run)

    assert ("requires_action", ["code_interpreter", "add"]) == (run.status, shown)
    assert [False, False] == [request.parallel_tool_calls for request in backend.requests]
    assert 1 == len(backend.requests[1].messages[1].tool_calls)


# --- tools and functions in one turn ----------------------------------------------------------------


async def test_a_function_step_is_opened_when_the_tool_step_is_complete(tmp_path: Path) -> None:
    """In whatever order the model made the calls: one open step at a time."""
    odd: Deltas = (
        ToolCallDelta(0, "add", '{"a":'),
        ToolCallDelta(1, "code_interpreter", "{}"),
        ToolCallDelta(0, None, " 1}"),
        SPENT,
        Finish("tool_calls"),
    )
    async with house(tmp_path, tools=[tool()]) as home:
        home.models.current = DeltaBackend(odd)
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        told = names(await home.journal(run))

    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert ("add", '{"a": 1}') == (call.function.name, call.function.arguments)
    code = ["run.step.created", "run.step.in_progress", "run.step.delta", "run.step.completed"]
    function = ["run.step.created", "run.step.in_progress", "run.step.delta"]
    assert [*code, *function, "run.requires_action"] == told[3:]


@pytest.mark.parametrize("fields", [{"parallel_tool_calls": False}, {"tool_choice": NAMED}])
async def test_where_nothing_can_follow_a_function_it_is_shown_as_it_is_written(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    """A client sees the arguments grow, though there is a tool, too."""
    async with house(tmp_path, tools=[tool()]) as home:
        hanging = [calls("add", {"a": 1}) | {"hang": True}]
        home.models.current = type(home.backend)(hanging, clock=home.clock)
        run = await home.ask(tools=[CODE, FUNCTION], **fields)
        event = await home.until(run, "thread.run.step.delta")

    assert "add" in str(event.data)


async def test_a_function_cut_short_while_it_was_held_back_is_shown(tmp_path: Path) -> None:
    """The tokens it took belong to a step."""
    cut: Deltas = (ToolCallDelta(0, "add", '{"a":'), SPENT, Finish("length"))
    async with house(tmp_path, tools=[tool()]) as home:
        home.models.current = DeltaBackend(cut)
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        shown = await made(home, run)

    assert ("incomplete", ["add"], Usage.of(10, 5)) == (run.status, shown, run.usage)
