"""How a run ends other than well: tools and models that break, budgets that are spent, ends that collide."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine.chat import Finish, TextDelta, ToolCall, UsageDelta
from local_assistants.engine.errors import ToolFault
from local_assistants.engine.objects import (
    Usage,
)
from local_assistants.engine.ports import Emit, ToolResult, ToolSession
from local_assistants.engine.states import On
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
    names,
)
from tests.support.runs import SPENT, text_of

# --- failures --------------------------------------------------------------------------------------


async def test_a_tool_that_cannot_work_fails_the_run_with_its_words(tmp_path: Path) -> None:
    """The step fails too, and the run's other calls are stopped."""
    stopped = asyncio.Event()

    async def no_sandbox(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        raise ToolFault("There is no sandbox; install bubblewrap.")

    async def wait(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        try:
            await asyncio.Event().wait()
            return ToolResult("never")
        finally:
            stopped.set()

    tools = [ScriptedTool("code_interpreter", no_sandbox), ScriptedTool("file_search", wait)]
    turns = [{"tool_calls": [{"name": "file_search"}, {"name": "code_interpreter"}]}]
    async with house(tmp_path, turns, tools=tools) as home:
        run = await home.finish(await home.ask(tools=[CODE, SEARCH]))
        (step,) = await home.steps(run)

    assert ("failed", START, None) == (run.status, run.failed_at, run.expires_at)
    assert run.last_error is not None
    assert "There is no sandbox; install bubblewrap." == run.last_error.message
    assert ("failed", run.last_error) == (step.status, step.last_error)
    assert stopped.is_set()


async def test_a_tool_with_a_bug_fails_the_run_without_telling_details(tmp_path: Path) -> None:
    """Tracebacks belong into the log."""

    async def bug(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        raise RuntimeError("secret path /home/x")

    async with house(
        tmp_path, [calls("code_interpreter", {})], tools=[ScriptedTool("code_interpreter", bug)]
    ) as home:
        run = await home.finish(await home.ask(tools=[CODE]))

    assert run.last_error is not None
    assert ("failed", "server_error", "Sorry, something went wrong.") == (
        run.status,
        run.last_error.code,
        run.last_error.message,
    )


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("server_error", "server_error"),
        ("rate_limit_exceeded", "rate_limit_exceeded"),
        ("context_length_exceeded", "invalid_prompt"),
        ("invalid_prompt", "invalid_prompt"),
        ("anything_else", "server_error"),
    ],
)
async def test_a_model_that_breaks_fails_the_run(tmp_path: Path, code: str, expected: str) -> None:
    """With one of the three codes that clients know, and what was said before is kept."""
    turn = {"text": "Half an ans", "error": {"code": code, "message": "boom"}}
    async with house(tmp_path, [turn]) as home:
        run = await home.finish(await home.ask())
        _, answer = await home.messages(run)
        (step,) = await home.steps(run)

    assert run.last_error is not None
    assert ("failed", expected, "boom") == (run.status, run.last_error.code, run.last_error.message)
    assert answer.incomplete_details is not None
    assert ("incomplete", "run_failed", "Half an ans") == (
        answer.status,
        answer.incomplete_details.reason,
        text_of(answer),
    )
    assert "failed" == step.status


async def test_a_model_that_is_gone_fails_the_run(tmp_path: Path) -> None:
    """It was still served when the run was made."""
    turns = [calls("add", {})]
    async with house(tmp_path, turns) as home:
        home.models.names.add("gone")
        assistant = await home.assistant(model="gone", tools=[FUNCTION])
        run = await home.finish(await home.run((await home.thread("Hi")).id, assistant.id))
        home.models.names.remove("gone")
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)

    assert done.last_error is not None
    assert ("failed", "The model 'gone' does not exist") == (done.status, done.last_error.message)


async def test_a_model_that_calls_tools_for_ever_is_stopped(tmp_path: Path) -> None:
    """One that does not obey would otherwise work until the run expires."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    settings = replace(FAST, max_tool_turns=3)
    async with house(
        tmp_path, [calls("code_interpreter", {})], tools=[tool], settings=settings
    ) as home:
        run = await home.finish(await home.ask(tools=[CODE]))

    assert run.last_error is not None
    assert "failed" == run.status
    assert "called tools in 3 turns" in run.last_error.message
    assert 3 == len(tool.calls)


# --- budgets ---------------------------------------------------------------------------------------


async def test_too_many_tokens_make_the_run_incomplete(tmp_path: Path) -> None:
    """The model is told its limit, and what it said within it is kept."""
    async with house(tmp_path, [{"text": "one two three four"}]) as home:
        run = await home.finish(await home.ask(max_completion_tokens=2))
        _, answer = await home.messages(run)
        (step,) = await home.steps(run)
        asked = home.backend.requests[0].max_tokens

    assert 2 == asked
    assert run.incomplete_details is not None
    assert ("incomplete", "max_completion_tokens", None, None) == (
        run.status,
        run.incomplete_details.reason,
        run.completed_at,
        run.expires_at,
    )
    assert answer.incomplete_details is not None
    assert ("incomplete", "max_tokens", "one two ") == (
        answer.status,
        answer.incomplete_details.reason,
        text_of(answer),
    )
    assert ("completed", run.usage) == (step.status, step.usage)


async def test_completion_tokens_are_counted_over_all_turns(tmp_path: Path) -> None:
    """What one turn used is missing in the next, also after the client was asked."""
    turns = [calls("add", {}) | {"usage": SPENT}, {"text": "a b c d e f g h"}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION], max_completion_tokens=8))
        _, after = await home.submit(run, {"call_1": "7"})
        done = await home.finish(run, after)
        asked = [request.max_tokens for request in home.backend.requests]

    assert [8, 3] == asked
    assert "incomplete" == done.status


@pytest.mark.parametrize("budget", [5, 3])
async def test_a_spent_budget_ends_the_run_before_another_turn(tmp_path: Path, budget: int) -> None:
    """No model is asked for zero tokens, or fewer."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [calls("code_interpreter", {}) | {"usage": SPENT}, {"text": "never"}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE], max_completion_tokens=budget))

    assert run.incomplete_details is not None
    assert ("incomplete", "max_completion_tokens") == (run.status, run.incomplete_details.reason)
    assert 1 == len(home.backend.requests)


async def test_too_little_room_for_the_prompt_makes_the_run_incomplete(tmp_path: Path) -> None:
    """Also in a later turn, when the turns before have used the budget up; the model is not asked in vain."""
    tool = ScriptedTool("code_interpreter", answering("42"))
    turns = [calls("code_interpreter", {}) | {"usage": SPENT}, {"text": "never"}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        at_once = await home.finish(await home.ask("a b c", max_prompt_tokens=2))
        later = await home.finish(await home.ask("a b c", tools=[CODE], max_prompt_tokens=12))

    assert at_once.incomplete_details is not None
    assert later.incomplete_details is not None
    assert ("incomplete", "max_prompt_tokens") == (
        at_once.status,
        at_once.incomplete_details.reason,
    )
    assert ("incomplete", "max_prompt_tokens", Usage.of(10, 5)) == (
        later.status,
        later.incomplete_details.reason,
        later.usage,
    )
    assert 1 == len(home.backend.requests)


async def test_a_question_longer_than_the_window_fails_as_invalid_prompt(tmp_path: Path) -> None:
    """Nothing could be dropped to make it fit."""
    async with house(tmp_path, context_window=20) as home:
        run = await home.finish(await home.ask("word " * 50))

    assert run.last_error is not None
    assert ("failed", "invalid_prompt") == (run.status, run.last_error.code)


# --- collisions ------------------------------------------------------------------------------------


async def test_an_interrupt_that_comes_too_late_changes_nothing(tmp_path: Path) -> None:
    """The run is already being completed: it completes, and is told once."""
    gate, blocked = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    backend = DeltaBackend([TextDelta("Said."), gate, UsageDelta(1, 1), Finish("stop")])
    async with house(tmp_path) as home:
        home.models.current = backend
        run = await home.ask()
        await home.until(run, "thread.message.delta")

        def hold(_: object) -> None:
            loop.call_soon_threadsafe(blocked.set)
            asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(5)

        go_on = asyncio.Event()
        holding = asyncio.create_task(home.store.write(hold))
        await blocked.wait()
        gate.set()
        await asyncio.sleep(0.02)  # the last commit now waits for the store
        home.services.worker.interrupt(run.id, On.EXPIRE)
        await asyncio.sleep(0.01)
        go_on.set()
        await holding
        done = await home.finish(run)
        await asyncio.sleep(0.02)
        said = [entry.body.text for entry in await home.transcript(run.thread_id) if entry.body]
        told = names(await home.journal(run))

    assert "completed" == done.status
    assert ["Said."] == said
    assert "run.completed" == told[-1]
