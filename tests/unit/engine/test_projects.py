"""Projects in the core: services of one project beside another, and what a run makes on their behalf."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine import requests
from local_assistants.engine.chat import ToolCall
from local_assistants.engine.errors import NotFound, StorageFault
from local_assistants.engine.events import Event, EventName
from local_assistants.engine.lease import FencedJournal, LeaseLost
from local_assistants.engine.observer import Observer
from local_assistants.engine.ports import Emit, MadeFile, PageQuery, ToolResult, ToolSession
from local_assistants.engine.services import Services
from local_assistants.engine.states import RunStatus
from tests.contract.store import samples
from tests.support.engine import CODE, ScriptedTool, calls, house


async def write_report(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that makes a file."""
    assert session.save_file is not None
    file = await session.save_file("report.csv", b"a,b")
    return ToolResult("done", files=(MadeFile("/mnt/data/report.csv", file.id),))


async def asked(services: Services) -> str:
    """The id of the thread of a new run with the code interpreter."""
    assistant = await services.assistants.create(
        requests.CreateAssistant.model_validate({"model": "scripted", "tools": [CODE]})
    )
    body = {
        "assistant_id": assistant.id,
        "thread": {"messages": [{"role": "user", "content": "?"}]},
    }
    run = await services.runs.create_with_thread(requests.CreateThreadAndRun.model_validate(body))
    async for _ in services.runs.stream(run.id):
        pass
    assert RunStatus.COMPLETED is (await services.runs.get(run.thread_id, run.id)).status
    return run.thread_id


async def test_files_that_code_makes_belong_to_the_runs_project(tmp_path: Path) -> None:
    """They are found and handed out there, and are nobody else's."""
    tool = ScriptedTool("code_interpreter", write_report)
    turns = [
        calls("code_interpreter", {"code": "x"}),
        {"text": "See [it](sandbox:/mnt/data/report.csv)."},
    ]
    async with house(tmp_path, turns, tools=[tool]) as home:
        ours, theirs, default = (home.services.of(name) for name in ("ours", "theirs", "default"))
        await asked(ours)
        (file,) = (await ours.files.list(PageQuery(), purpose="assistants_output")).data
        _, path = await ours.files.content(file.id)
        assert b"a,b" == path.read_bytes()
        for other in (theirs, default):
            assert () == (await other.files.list(PageQuery())).data
            with pytest.raises(NotFound):
                await other.files.content(file.id)
            with pytest.raises(NotFound):
                await other.files.delete(file.id)


async def test_runs_of_all_projects_are_executed_by_one_worker(tmp_path: Path) -> None:
    """Each project hears of its own, and of no other's."""
    async with house(tmp_path) as home:
        ours, theirs = home.services.of("ours"), home.services.of("theirs")
        assert (ours.worker, ours.ingestion) == (theirs.worker, theirs.ingestion)
        thread_id = await asked(ours)
        (run,) = (await ours.runs.list(thread_id, PageQuery())).data
        assert [event async for event in ours.runs.stream(run.id)]
        with pytest.raises(NotFound):
            await theirs.runs.list(thread_id, PageQuery())


async def test_services_of_a_project_are_made_once_and_lead_to_all_others(tmp_path: Path) -> None:
    """From the root or from a sibling; keys are shared by all."""
    async with house(tmp_path) as home:
        ours = home.services.of("ours")
        assert ours is home.services.of("ours") is ours.of("ours")
        assert ours.of("theirs") is home.services.of("theirs") is not ours
        assert ours.keys is home.services.keys
        with pytest.raises(StorageFault):
            ours.core.of("theirs")


async def test_the_core_of_a_thread_is_its_projects(tmp_path: Path) -> None:
    """A thread that is gone has none."""
    async with house(tmp_path) as home:
        thread = await home.services.of("ours").threads.create(requests.CreateThread())
        core = await home.core.of_thread(thread.id)
        assert thread.id == (await Services(core).threads.get(thread.id)).id
        assert "ours" == await core.store.read(lambda tx: tx.project_of(thread.id))
        with pytest.raises(NotFound):
            await home.core.of_thread("thread_404")


async def test_the_core_of_a_project_keeps_the_fence_round_a_run(tmp_path: Path) -> None:
    """What an execution writes on behalf of its project, too, it writes only while the run is its own."""
    async with house(tmp_path) as home:
        ours = home.services.of("ours")
        thread = await ours.threads.create(requests.CreateThread())
        run = samples.run(1, thread_id=thread.id)
        await ours.core.store.write(lambda tx: tx.put(run))
        fenced = FencedJournal(home.core.journal, run.id, "another worker")
        with pytest.raises(LeaseLost):
            await (
                replace(home.core, journal=fenced).of("ours").journal.commit(lambda unit: unit.now)
            )


class Heard(Observer):
    """What was published."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def published(self, events: Sequence[Event]) -> None:
        """Remember them."""
        self.events += events


async def test_who_waits_for_open_commits_waits_for_those_of_every_project(tmp_path: Path) -> None:
    """A commit whose caller is gone is finished and published before a worker that stops goes on."""
    heard = Heard()
    async with house(tmp_path) as home:
        ours = home.services.of("ours")
        thread = await ours.threads.create(requests.CreateThread())
        run = samples.run(1, thread_id=thread.id, status=RunStatus.COMPLETED)
        home.core.feed.observers.append(heard)
        commit = asyncio.ensure_future(
            ours.core.journal.commit(lambda unit: unit.save(run, EventName.RUN_CREATED))
        )
        await asyncio.sleep(0)
        commit.cancel()
        await home.core.journal.settle()
        assert [EventName.RUN_CREATED] == [event.name for event in heard.events]
