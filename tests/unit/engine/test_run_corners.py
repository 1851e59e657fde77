"""Corners of a run: odd turns of models, cancels that nobody here heard of, what a resumed run remembers."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import (
    Delta,
    Finish,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageDelta,
)
from local_assistants.engine.objects import FilePath, ImageOutput, Message, Run, TextContent, Usage
from local_assistants.engine.ports import Citation, Emit, MadeFile, ToolResult, ToolSession
from local_assistants.engine.states import On
from tests.support.engine import (
    CODE,
    FUNCTION,
    SEARCH,
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


async def draw(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that shows one picture."""
    assert session.save_file is not None
    file = await session.save_file("plot.png", b"png")
    await emit(ImageOutput(image=FilePath(file_id=file.id)))
    return ToolResult("drawn", images=(file.id,))


async def make(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that makes one file."""
    assert session.save_file is not None
    file = await session.save_file("out.csv", b"a,b")
    return ToolResult("made", files=(MadeFile("/mnt/data/out.csv", file.id),))


FOUND = answering("found", citations=(Citation(1, "file-9", "a.txt", "the quote", page=2),))


def kinds(message: Message) -> list[str]:
    """The kinds of a message's parts."""
    return [part.type for part in message.content]


def marks(message: Message) -> list[str]:
    """The texts of a message's annotations."""
    return [
        mark.text
        for part in message.content
        if isinstance(part, TextContent)
        for mark in part.text.annotations
    ]


# --- odd turns -------------------------------------------------------------------------------------


async def test_a_model_that_speaks_again_after_its_calls(tmp_path: Path) -> None:
    """Two messages around the calls; the turn's tokens are counted once."""
    odd: Sequence[Delta] = (
        TextDelta("Before."),
        ToolCallDelta(0, "code_interpreter", "{}"),
        TextDelta("\nAfter."),
        SPENT,
        Finish("tool_calls"),
    )
    backend = DeltaBackend(odd, [TextDelta("Done."), SPENT, Finish("stop")])
    tool = ScriptedTool("code_interpreter", answering("42"))
    async with house(tmp_path, tools=[tool]) as home:
        home.models.current = backend
        run = await home.finish(await home.ask(tools=[CODE]))
        steps = [(step.type, step.status) for step in await home.steps(run)]
        texts = [message.text for message in await home.messages(run)]

    assert ["Hi", "Before.", "After.", "Done."] == texts
    assert [
        ("message_creation", "completed"),
        ("tool_calls", "completed"),
        ("message_creation", "completed"),
        ("message_creation", "completed"),
    ] == steps
    assert ("completed", Usage.of(20, 10)) == (run.status, run.usage)


async def test_each_image_is_shown_in_one_message(tmp_path: Path) -> None:
    """The next one that the model begins, and no other of the same turn or run."""
    odd: Sequence[Delta] = (
        TextDelta("First."),
        ToolCallDelta(0, "code_interpreter", "{}"),
        TextDelta("Second."),
        Finish("tool_calls"),
    )
    backend = DeltaBackend(
        [ToolCallDelta(0, "code_interpreter", "{}"), Finish("tool_calls")],
        odd,
        [TextDelta("Third."), Finish("stop")],
    )
    async with house(tmp_path, tools=[ScriptedTool("code_interpreter", draw)]) as home:
        home.models.current = backend
        run = await home.finish(await home.ask(tools=[CODE]))
        _, first, second, third = await home.messages(run)

    assert ["image_file", "text"] == kinds(first)
    assert ["text"] == kinds(second)
    assert ["image_file", "text"] == kinds(third)
    assert {"file-1"} != {third.to_wire()["content"][0]["image_file"]["file_id"]}


CALL_CODE = ToolCallDelta(0, "code_interpreter", "{}")
REMARK = TextDelta("Now the rest.")


@pytest.mark.parametrize("odd", [(REMARK, CALL_CODE), (CALL_CODE, REMARK)])
async def test_a_remark_beside_further_calls_is_not_decorated(
    tmp_path: Path, odd: Sequence[Delta]
) -> None:
    """Links to made files and forgotten citations belong under the answer."""
    backend = DeltaBackend(
        [CALL_CODE, Finish("tool_calls")],
        [*odd, Finish("tool_calls")],
        [TextDelta("Done."), Finish("stop")],
    )
    async with house(tmp_path, tools=[ScriptedTool("code_interpreter", make)]) as home:
        home.models.current = backend
        run = await home.finish(await home.ask(tools=[CODE]))
        _, remark, answer = await home.messages(run)

    assert ("Now the rest.", []) == (remark.text, marks(remark))
    assert ["sandbox:/mnt/data/out.csv"] == marks(answer)


async def test_words_held_back_are_shown_when_tokens_run_out(tmp_path: Path) -> None:
    """What looked like the beginning of a citation was just text."""
    turns = [calls("file_search", {}), {"text": "As [1] says, [1", "truncate": 15}]
    async with house(tmp_path, turns, tools=[ScriptedTool("file_search", FOUND)]) as home:
        run = await home.finish(await home.ask(tools=[SEARCH]))
        answer = (await home.messages(run))[-1]

    assert "incomplete" == run.status
    assert answer.text.endswith(" says, [1")
    assert 1 == len(marks(answer))


async def test_tokens_of_a_turn_cut_short_between_two_steps_count_once(tmp_path: Path) -> None:
    """Code still runs when the run is cancelled; the function that would have waited for it is never shown."""
    working = asyncio.Event()

    async def work(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        working.set()
        await asyncio.Event().wait()
        return ToolResult("never")

    turn: dict[str, Any] = {
        "tool_calls": [{"name": "code_interpreter"}, {"name": "add"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5},
    }
    tool = ScriptedTool("code_interpreter", work)
    async with house(tmp_path, [turn], tools=[tool]) as home:
        run = await home.ask(tools=[CODE, FUNCTION])
        await working.wait()
        await home.services.runs.cancel(run.thread_id, run.id)
        done = await home.finish(run)
        steps = [step.status for step in await home.steps(run)]

    assert ("cancelled", Usage.of(10, 5)) == (done.status, done.usage)
    assert ["cancelled"] == steps


# --- cancels of another process, not yet noticed here ------------------------------------------------


CUT: Sequence[Delta] = (SPENT, Finish("length"))
CALL: Sequence[Delta] = (ToolCallDelta(0, "add", "{}"), SPENT, Finish("tool_calls"))
END: Sequence[Delta] = (TextDelta("!"), SPENT, Finish("stop"))


@pytest.mark.parametrize(
    ("rest", "status"), [(CUT, "cancelled"), (CALL, "cancelled"), (END, "completed")]
)
async def test_work_that_ends_while_a_cancel_is_under_way(
    tmp_path: Path, rest: Sequence[Delta], status: str
) -> None:
    """An answer that is whole counts; a run that would go on, wait or stop for tokens is cancelled."""
    gate = asyncio.Event()
    async with house(tmp_path) as home:
        home.models.current = DeltaBackend([TextDelta("Hello"), gate, *rest])
        run = await home.ask(tools=[FUNCTION])
        await home.until(run, "thread.message.delta")
        await home.core.journal.commit(lambda unit: unit.fire(Run, run.id, On.CANCEL))
        gate.set()
        done = await home.finish(run)
        told = names(await home.journal(run))

    assert (status, None, None) == (done.status, done.incomplete_details, done.required_action)
    assert Usage.of(10, 5) == done.usage
    assert f"run.{status}" == told[-1]


# --- what a resumed run remembers --------------------------------------------------------------------


async def resumed(home: House, *tools: Any) -> Message:
    """The answer of a run whose first turn also called the function `add`."""
    run = await home.finish(await home.ask(tools=[*tools, FUNCTION]))
    assert "requires_action" == run.status
    _, after = await home.submit(run, {"call_2": "7"})
    await home.finish(run, after)
    return (await home.messages(run))[-1]


async def test_passages_found_before_the_client_was_asked_can_be_cited(tmp_path: Path) -> None:
    """Their numbers are still known."""
    both: dict[str, Any] = {"tool_calls": [{"name": "file_search"}, {"name": "add"}]}
    turns: list[dict[str, Any]] = [both, {"text": "So it is [1]."}]
    async with house(tmp_path, turns, tools=[ScriptedTool("file_search", FOUND)]) as home:
        answer = await resumed(home, SEARCH)
        (part,) = answer.content

    assert isinstance(part, TextContent)
    (mark,) = part.text.annotations
    assert mark.file_citation is not None
    assert ("file-9", "the quote", 2) == (
        mark.file_citation.file_id,
        mark.file_citation.quote,
        mark.file_citation.page,
    )


async def test_files_made_before_the_client_was_asked_can_be_linked(tmp_path: Path) -> None:
    """By the path that the code used."""
    both: dict[str, Any] = {"tool_calls": [{"name": "code_interpreter"}, {"name": "add"}]}
    turns: list[dict[str, Any]] = [both, {"text": "[out](sandbox:/mnt/data/out.csv)"}]
    async with house(tmp_path, turns, tools=[ScriptedTool("code_interpreter", make)]) as home:
        answer = await resumed(home, CODE)

    assert ["sandbox:/mnt/data/out.csv"] == marks(answer)


async def test_a_message_done_again_has_its_images_again(tmp_path: Path) -> None:
    """The half one that a restart left behind does not count as having shown them."""
    ids = CountingIds()
    tool = ScriptedTool("code_interpreter", draw)
    script = [calls("code_interpreter", {}), {"text": "See", "hang": True}]
    async with house(tmp_path, script, tools=[tool], ids=ids) as home:
        run = await home.ask(tools=[CODE])
        async with aclosing(home.services.runs.stream(run.id)) as events:
            async for event in events:
                if "See" in str(event.data):
                    break
    async with house(tmp_path, [script[0], {"text": "See."}], tools=[tool], ids=ids) as home:
        await home.finish(run)
        _, half, whole = await home.messages(run)

    assert ("incomplete", ["image_file", "text"]) == (half.status, kinds(half))
    assert ("completed", ["image_file", "text"]) == (whole.status, kinds(whole))
    assert 1 == len(tool.calls)


async def test_a_long_thread_is_cut_to_the_prompt_budget(tmp_path: Path) -> None:
    """The run answers from what fits instead of ending for lack of room."""
    async with house(tmp_path) as home:
        thread = await home.thread("first", *["word " * 20] * 5, "last")
        assistant = await home.assistant()
        run = await home.finish(await home.run(thread.id, assistant.id, max_prompt_tokens=30))
        (asked,) = home.backend.requests

    assert "completed" == run.status
    assert ("first", "last") == (asked.messages[0].text, asked.messages[-1].text)
    assert await ScriptedBackend(()).count_tokens(asked) <= 30
