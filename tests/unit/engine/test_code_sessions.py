"""What the core gives the code interpreter and hears of it: whose files it may read, and when a session began."""

import asyncio
from pathlib import Path
from typing import Any

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import File
from local_assistants.engine.ports import CodeSession, Emit, ToolResult, ToolSession
from tests.support.clock import START
from tests.support.engine import CODE, House, ScriptedTool, answering, calls, house

CALL = calls("code_interpreter", {"code": "1"})
DONE = {"text": "Done."}


def for_code(file: File) -> dict[str, Any]:
    """An attachment for the code interpreter."""
    return {"file_id": file.id, "tools": [{"type": "code_interpreter"}]}


def resources(*files: File) -> dict[str, Any]:
    """Tool resources with these files for the code interpreter."""
    return {"code_interpreter": {"file_ids": [file.id for file in files]}}


async def begin(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """The first code of a session that began half a second ago."""
    assert session.session_started is not None
    await session.session_started(START + 7.5)
    return ToolResult("1")


async def ledger(home: House) -> list[CodeSession]:
    """All that was ever noted."""
    return await home.store.read(lambda tx: tx.code_sessions(0, START * 2))


async def test_the_files_of_assistant_thread_and_messages_are_given_in_this_order(
    tmp_path: Path,
) -> None:
    """Each once; files that a message brought for another tool, or for none, are not among them."""
    tool = ScriptedTool("code_interpreter", answering("1"))
    async with house(tmp_path, [CALL, DONE], tools=[tool]) as home:
        files = [await home.file(f"{n}.csv", "a") for n in range(6)]
        assistant = await home.assistant(tools=[CODE], tool_resources=resources(files[0]))
        thread = await home.thread(tool_resources=resources(files[1], files[0]))
        await home.message(thread.id, "First", attachments=[for_code(files[2])])
        search = {"file_id": files[3].id, "tools": [{"type": "file_search"}]}
        await home.message(thread.id, "Second", attachments=[for_code(files[1]), search])
        late = {"role": "user", "content": "Third", "attachments": [for_code(files[4])]}
        run = await home.run(thread.id, assistant.id, additional_messages=[late])
        await home.finish(run)

    (session,) = tool.sessions
    names = [item.file.filename for item in session.files]
    assert ["0.csv", "1.csv", "2.csv", "4.csv"] == names
    assert [b"a"] * 4 == [item.path.read_bytes() for item in session.files]


async def test_twenty_files_each_reach_the_tool(tmp_path: Path) -> None:
    """The assistant's and the thread's do not share the room."""
    tool = ScriptedTool("code_interpreter", answering("1"))
    async with house(tmp_path, [CALL, DONE], tools=[tool]) as home:
        files = [await home.file(f"{n}.csv", "a") for n in range(40)]
        assistant = await home.assistant(tools=[CODE], tool_resources=resources(*files[:20]))
        thread = await home.thread(tool_resources=resources(*files[20:30]))
        attachments = [for_code(file) for file in files[30:]]
        await home.message(thread.id, "These", attachments=attachments)
        await home.finish(await home.run(thread.id, assistant.id))

    assert [file.id for file in files] == [item.file.id for item in tool.sessions[0].files]


async def test_the_start_of_a_session_is_on_the_ledger(tmp_path: Path) -> None:
    """With its thread, the run that needed it and its time; a second one within the hour is not counted."""
    tool = ScriptedTool("code_interpreter", begin)
    async with house(tmp_path, [CALL, CALL, DONE], tools=[tool]) as home:
        run = await home.ask(tools=[CODE])
        await home.finish(run)
        assert [CodeSession("default", run.thread_id, run.id, START + 7)] == await ledger(home)


async def test_a_session_is_counted_although_its_run_is_cancelled(tmp_path: Path) -> None:
    """What was used was used."""
    begun = asyncio.Event()

    async def begin_and_work(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        await begin(call, session, emit)
        begun.set()
        await asyncio.Event().wait()
        return ToolResult("never")

    tool = ScriptedTool("code_interpreter", begin_and_work)
    async with house(tmp_path, [CALL, DONE], tools=[tool]) as home:
        run = await home.ask(tools=[CODE])
        await begun.wait()
        await home.services.runs.cancel(run.thread_id, run.id)
        assert "cancelled" == (await home.finish(run)).status
        assert [run.id] == [session.run_id for session in await ledger(home)]


async def test_a_session_is_its_projects(tmp_path: Path) -> None:
    """The ledger names the project of the thread, whoever executes the run."""
    tool = ScriptedTool("code_interpreter", begin)
    async with house(tmp_path, [CALL, DONE], tools=[tool]) as home:
        whole, home.services = home.services, home.services.of("one")
        run = await home.ask(tools=[CODE])
        await home.finish(run)
        home.services = whole
        assert ["one"] == [session.project for session in await ledger(home)]
