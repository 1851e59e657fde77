"""The engine's own tools in a run: what they show, what becomes of it in messages, and tools that are missing."""

import asyncio
from pathlib import Path
from typing import Any

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import (
    CodeInterpreterCall,
    FilePath,
    ImageFileContent,
    ImageOutput,
    LogsOutput,
    TextContent,
    ToolCallsDetails,
    Usage,
)
from local_assistants.engine.ports import Citation, Emit, MadeFile, ToolResult, ToolSession
from tests.support.engine import (
    CODE,
    FUNCTION,
    SEARCH,
    ScriptedTool,
    calls,
    house,
)
from tests.support.runs import SPENT, text_of


async def show_image(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that prints in two pieces and shows a picture."""
    await emit(LogsOutput(logs="1\n"))
    await emit(LogsOutput(logs="2\n"))
    assert session.save_file is not None
    file = await session.save_file("plot.png", b"png")
    await emit(ImageOutput(image=FilePath(file_id=file.id)))
    return ToolResult("1\n2\n", images=(file.id,))


async def test_code_shows_logs_and_images(tmp_path: Path) -> None:
    """Logs in a row are one output; the image comes first in the message and can be downloaded."""
    tool = ScriptedTool("code_interpreter", show_image)
    turns = [calls("code_interpreter", {"code": "plot()"}), {"text": "See above."}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.ask(tools=[CODE])
        await home.finish(run)
        step, _ = await home.steps(run)
        _, answer = await home.messages(run)
        file, path = await home.services.files.content("file-1")
        content = path.read_bytes()

    assert isinstance(step.step_details, ToolCallsDetails)
    (call,) = step.step_details.tool_calls
    assert isinstance(call, CodeInterpreterCall)
    assert "plot()" == call.code_interpreter.input
    assert (
        LogsOutput(logs="1\n2\n"),
        ImageOutput(image=FilePath(file_id="file-1")),
    ) == call.code_interpreter.outputs
    assert ["image_file", "text"] == [part.type for part in answer.content]
    assert ("assistants_output", b"png") == (file.purpose, content)


async def test_an_image_made_before_the_client_was_asked_is_shown_afterwards(
    tmp_path: Path,
) -> None:
    """The run goes on in a new execution, and still has it."""
    tool = ScriptedTool("code_interpreter", show_image)
    both = {"tool_calls": [{"name": "code_interpreter"}, {"name": "add"}]}
    async with house(tmp_path, [both, {"text": "Here."}], tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        _, after = await home.submit(run, {"call_2": "7"})
        await home.finish(run, after)
        _, answer = await home.messages(run)

    assert ["image_file", "text"] == [part.type for part in answer.content]


async def test_an_image_is_shown_once(tmp_path: Path) -> None:
    """In the first message after it, not in later ones; also when that message speaks before more calls."""
    tool = ScriptedTool("code_interpreter", show_image)
    turns = [
        calls("code_interpreter", {}),
        {"text": "First.", "tool_calls": [{"name": "add"}]},
        {"text": "Second."},
    ]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE, FUNCTION]))
        _, after = await home.submit(run, {"call_2": "7"})
        await home.finish(run, after)
        _, first, second = await home.messages(run)

    assert [["image_file", "text"], ["text"]] == [
        [part.type for part in message.content] for message in (first, second)
    ]


async def test_code_that_only_draws_still_gets_a_message(tmp_path: Path) -> None:
    """Although the model has nothing to add."""
    tool = ScriptedTool("code_interpreter", show_image)
    async with house(tmp_path, [calls("code_interpreter", {}), {"text": ""}], tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        _, answer = await home.messages(run)

    assert "completed" == run.status
    assert [ImageFileContent] == [type(part) for part in answer.content]


async def test_tools_of_one_turn_run_at_once(tmp_path: Path) -> None:
    """Each waits until the other has begun, which no sequence of calls could survive."""
    begun = {"code_interpreter": asyncio.Event(), "file_search": asyncio.Event()}

    async def meet(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        begun[call.name].set()
        async with asyncio.timeout(5):
            for other in begun.values():
                await other.wait()
        return ToolResult(call.name)

    tools = [ScriptedTool(name, meet) for name in begun]
    turns: list[dict[str, Any]] = [
        {"tool_calls": [{"name": name} for name in begun]},
        {"text": "{{tool}}"},
    ]
    async with house(tmp_path, turns, tools=tools) as home:
        run = await home.finish(await home.ask(tools=[CODE, SEARCH]))
        steps = await home.steps(run)

    assert "completed" == run.status
    assert ["tool_calls", "message_creation"] == [step.type for step in steps]


async def test_a_tool_that_does_not_exist_is_told_to_the_model(tmp_path: Path) -> None:
    """With the names of those that do; the run goes on, and its tokens are counted."""
    turns = [calls("fly", {}) | {"usage": SPENT}, {"text": "I see.", "usage": SPENT}]
    async with house(tmp_path, turns) as home:
        run = await home.finish(await home.ask(tools=[FUNCTION]))
        note = home.backend.requests[1].messages[-1]

    assert ("completed", Usage.of(20, 10)) == (run.status, run.usage)
    assert ("tool", "There is no tool named 'fly'. Available: add.") == (note.role, note.text)


async def test_a_tool_this_installation_lacks_counts_as_unknown(tmp_path: Path) -> None:
    """It is offered to no model, and calling it does no harm."""
    async with house(tmp_path, [calls("code_interpreter", {}), {"text": "Pity."}]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        offered = home.backend.requests[0].tools

    assert ("completed", ()) == (run.status, offered)


async def test_passages_of_all_searches_keep_their_own_numbers(tmp_path: Path) -> None:
    """Two searches in one turn and another in the next: no number is given twice."""

    async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        numbers = range(session.first_citation, session.first_citation + 30)
        found = tuple(Citation(n, f"file-{n}", f"{n}.txt", f"quote {n}") for n in numbers)
        return ToolResult("found", citations=found)

    tool = ScriptedTool("file_search", search)
    turns = [calls("file_search", {}, {}), calls("file_search", {}), {"text": "So [31] and [51]."}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[SEARCH]))
        firsts = [session.first_citation for session in tool.sessions]
        given = [
            c.number for entry in await home.transcript(run.thread_id) for c in entry.citations
        ]
        answer = text_of((await home.messages(run))[-1])

    assert [1, 51, 81] == firsts
    assert len(given) == len(set(given))
    assert "51.txt" in answer
    assert "[31]" in answer  # was given to nobody


LINK = "[out](sandbox:/mnt/data/out.csv)"


async def make_file(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that leaves the file of `LINK`."""
    assert session.save_file is not None
    file = await session.save_file("out.csv", b"a,b")
    return ToolResult("ok", files=(MadeFile("/mnt/data/out.csv", file.id),))


async def test_made_files_become_links_in_the_answer(tmp_path: Path) -> None:
    """The path the model wrote stays and points at the stored file."""
    tool = ScriptedTool("code_interpreter", make_file)
    turns = [calls("code_interpreter", {}), {"text": LINK}]
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        (part,) = (await home.messages(run))[-1].content

    assert isinstance(part, TextContent)
    (mark,) = part.text.annotations
    assert mark.file_path is not None
    assert ("sandbox:/mnt/data/out.csv", "file-1") == (mark.text, mark.file_path.file_id)


async def test_a_file_of_an_earlier_run_can_be_linked_again(tmp_path: Path) -> None:
    """Unless it was deleted; then the path stays text."""
    tool = ScriptedTool("code_interpreter", make_file)
    turns = [calls("code_interpreter", {}), {"text": LINK}]
    linked: list[list[str]] = []
    async with house(tmp_path, turns, tools=[tool]) as home:
        run = await home.finish(await home.ask(tools=[CODE]))
        home.models.current = ScriptedBackend.from_turns(turns[1:])
        for _ in range(2):
            await home.message(run.thread_id, "Where is it?")
            run = await home.finish(await home.run(run.thread_id, run.assistant_id or ""))
            (part,) = (await home.messages(run))[-1].content
            assert isinstance(part, TextContent)
            linked.append([m.file_path.file_id for m in part.text.annotations if m.file_path])
            if len(linked) == 1:
                await home.services.files.delete("file-1")

    assert [["file-1"], []] == linked
    assert 1 == len(tool.calls)
