"""Code may fail so often in a run; then none is run any more and the model answers with what it has."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from local_assistants.engine.chat import Capabilities, ChatRequest, ToolCall
from local_assistants.engine.nudges import ENOUGH, GIVE_UP, NOT_RUN, REPEATED
from local_assistants.engine.objects import CodeInterpreterCall, RunStep, ToolCallsDetails
from local_assistants.engine.ports import Emit, ToolResult, ToolSession
from tests.support.engine import (
    CODE,
    FAST,
    FUNCTION,
    SEARCH,
    RecordingBackend,
    ScriptedTool,
    calls,
    house,
)

TWICE = replace(FAST, max_failed_calls=2)
ANSWER: dict[str, Any] = {"text": "I could not."}


async def run_code(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that fails when it says so."""
    bad = "bad" in call.arguments
    return ToolResult("Error" if bad else "fine", failed=bad)


def interpreter() -> ScriptedTool:
    """The tool under the limit."""
    return ScriptedTool("code_interpreter", run_code)


def code(*texts: str) -> dict[str, Any]:
    """A turn with these calls of code."""
    return calls("code_interpreter", *({"code": text} for text in texts))


def outputs(request: ChatRequest) -> list[str]:
    """What tools have answered so far, as the model reads it."""
    return [message.text for message in request.messages if message.role == "tool"]


def code_calls(step: RunStep) -> list[CodeInterpreterCall]:
    """The calls of code in a step."""
    assert isinstance(step.step_details, ToolCallsDetails)
    return [call for call in step.step_details.tool_calls if isinstance(call, CodeInterpreterCall)]


async def test_after_so_many_failures_the_model_is_told_to_answer(tmp_path: Path) -> None:
    """Under the last error, and no tool is on offer any more; the steps are completed, not failed."""
    turns = [code("bad 1"), code("fine"), code("bad 2"), ANSWER]
    async with house(tmp_path, turns, tools=[interpreter()], settings=TWICE) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        statuses = [step.status for step in await home.steps(run)]
        requests = home.backend.requests

    assert "completed" == run.status
    assert ["completed"] * 4 == statuses
    assert ["Error", "fine", f"Error\n\n{GIVE_UP}"] == outputs(requests[-1])
    assert ["auto", "auto", "auto", "none"] == [request.tool_choice for request in requests]


async def test_code_beyond_the_limit_is_not_run(tmp_path: Path) -> None:
    """A model that does not obey reads why; its other tools go on working."""
    tool, search = interpreter(), ScriptedTool("file_search", run_code)
    both: dict[str, Any] = {
        "tool_calls": [
            {"name": "code_interpreter", "arguments": {"code": "fine"}},
            {"name": "file_search", "arguments": {"queries": ["x"]}},
        ]
    }
    turns = [code("bad 1"), code("bad 2"), both, ANSWER]
    async with house(tmp_path, turns, tools=[tool, search], settings=TWICE) as home:
        run = await home.finish(await home.ask(tools=[CODE, SEARCH]))
        said = outputs(home.backend.requests[-1])

    assert "completed" == run.status
    assert [2, 1] == [len(tool.calls), len(search.calls)]
    assert [NOT_RUN, f"fine\n\n{GIVE_UP}"] == said[-2:]


async def test_calls_of_one_turn_count_each(tmp_path: Path) -> None:
    """They run at once, so the limit is looked at before and after them."""
    tool = interpreter()
    turns = [code("bad 1", "bad 2", "bad 3"), ANSWER]
    async with house(tmp_path, turns, tools=[tool], settings=TWICE) as home:
        await home.finish(await home.ask(tools=[CODE]))

    assert 3 == len(tool.calls)
    assert ["auto", "none"] == [request.tool_choice for request in home.backend.requests]


async def test_each_run_begins_anew(tmp_path: Path) -> None:
    """What failed in the run before is no debt of the next one."""
    tool = interpreter()
    turns = [code("bad 1"), code("bad 2"), ANSWER]
    async with house(tmp_path, turns, tools=[tool], settings=TWICE) as home:
        first = await home.finish(await home.ask(tools=[CODE]))
        await home.message(first.thread_id, "again")
        second = await home.finish(await home.run(first.thread_id, first.assistant_id or ""))

    assert ("completed", 4) == (second.status, len(tool.calls))


async def test_failures_before_the_client_was_asked_still_count(tmp_path: Path) -> None:
    """The run goes on in a new execution, which knows of them from the store."""
    tool = interpreter()
    turns = [code("bad 1"), calls("add", {}), code("bad 2"), ANSWER]
    async with house(tmp_path, turns, tools=[tool], settings=TWICE) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        _, after = await home.submit(run, {"call_2": "7"})
        run = await home.finish(run, after)

    assert "completed" == run.status
    assert "none" == home.backend.requests[-1].tool_choice
    assert f"Error\n\n{GIVE_UP}" == outputs(home.backend.requests[-1])[-1]


async def test_a_failed_search_is_no_failed_code(tmp_path: Path) -> None:
    """The limit is the code interpreter's."""
    search = ScriptedTool("file_search", run_code)
    turns = [calls("file_search", {"queries": [f"bad {n}"]}) for n in range(3)]
    async with house(tmp_path, [*turns, ANSWER], tools=[search], settings=TWICE) as home:
        await home.finish(await home.ask(tools=[SEARCH]))

    assert 3 == len(search.calls)


async def test_an_error_has_no_note_until_it_is_repeated(tmp_path: Path) -> None:
    """Its hint is advice enough; the very same call once more ends in the order to answer."""
    tool, settings = interpreter(), replace(FAST, nudges=True)
    turns = [code("fine"), code("bad"), code("bad"), ANSWER]
    async with house(tmp_path, turns, tools=[tool], settings=settings) as home:
        await home.finish(await home.ask(tools=[CODE]))
        requests = home.backend.requests

    assert [f"fine\n\n{ENOUGH}", "Error", f"Error\n\n{REPEATED}"] == outputs(requests[-1])
    assert "none" == requests[-1].tool_choice


class Forcing(RecordingBackend):
    """A model that cannot but make a call that is forced."""

    @property
    def capabilities(self) -> Capabilities:
        """The script's, and that."""
        return replace(super().capabilities, forced_calls=True)


async def test_after_code_that_failed_the_model_writes_code(tmp_path: Path) -> None:
    """Where a call can be forced: a small model quotes its code else, and that would pass for the answer."""
    turns = [code("bad 1"), code("fine"), calls("add", {}), ANSWER]
    settings = replace(FAST, nudges=True)
    async with house(tmp_path, tools=[interpreter()], settings=settings) as home:
        backend = home.models.current = Forcing(turns, clock=home.clock)
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        _, after = await home.submit(run, {"call_3": "7"})
        run = await home.finish(run, after)

    forced = [request.forced_tool for request in backend.requests]
    assert ["completed", None, "code_interpreter", None, None] == [run.status, *forced]


async def test_an_answer_is_taken_all_the_same(tmp_path: Path) -> None:
    """It is the backend that is asked to force the call; nobody insists."""
    turns = [code("bad"), ANSWER]
    settings = replace(FAST, nudges=True)
    async with house(tmp_path, tools=[interpreter()], settings=settings) as home:
        backend = home.models.current = Forcing(turns, clock=home.clock)
        run = await home.finish(await home.ask(tools=[CODE]))

    assert ("completed", 2) == (run.status, len(backend.requests))


async def test_a_model_that_cannot_be_forced_decides_for_itself(tmp_path: Path) -> None:
    """As larger ones behind a server do well."""
    turns = [code("bad"), ANSWER]
    settings = replace(FAST, nudges=True)
    async with house(tmp_path, turns, tools=[interpreter()], settings=settings) as home:
        await home.finish(await home.ask(tools=[CODE]))
        forced = [request.forced_tool for request in home.backend.requests]

    assert [None, None] == forced


async def test_code_that_came_in_another_form_is_shown(tmp_path: Path) -> None:
    """The step holds what the model wrote, whatever it called the argument, and the stream says the same."""
    forms: list[Any] = ["fine()", '{"input": "fine()"}', '"fine()"', {}]
    turn = {
        "tool_calls": [{"name": "code_interpreter", "arguments": arguments} for arguments in forms]
    }
    async with house(tmp_path, [turn, ANSWER], tools=[interpreter()]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        step = (await home.steps(run))[0]
        deltas = [str(event.data) for event in await home.journal(run) if "delta" in event.name]

    assert ["fine()"] * 3 + [""] == [call.code_interpreter.input for call in code_calls(step)]
    assert 3 == sum("'input': 'fine()'" in delta for delta in deltas)
