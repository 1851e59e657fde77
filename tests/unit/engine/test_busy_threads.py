"""Requests that wait at a busy thread, or interrupt what holds it."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import (
    AssistantsError,
    AuthenticationFailed,
    NotFound,
    ThreadBusy,
)
from local_assistants.engine.objects import Message, Run, Thread
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.services import Patience
from local_assistants.engine.settings import BusyPolicy
from local_assistants.engine.states import RunStatus
from tests.support.engine import FUNCTION, PATIENCE, House, house
from tests.support.ids import CountingIds
from tests.support.runs import HANG, TWO_CALLS, speaking

QUEUE = Patience(BusyPolicy.QUEUE)
INTERRUPT = Patience(BusyPolicy.INTERRUPT)


async def create(home: House, like: Run, patience: Patience) -> Run:
    """Another run on the thread of `like`."""
    body = requests.CreateRun.model_validate({"assistant_id": like.assistant_id})
    return await home.services.busy.enter(
        like.thread_id, lambda: home.services.runs.create(like.thread_id, body), patience
    )


async def say(home: House, like: Run, text: str, patience: Patience) -> Message:
    """A message on the thread of `like`."""
    body = requests.CreateMessage(role="user", content=text)
    return await home.services.busy.enter(
        like.thread_id, lambda: home.services.messages.create(like.thread_id, body), patience
    )


async def begun(waiting: Coroutine[Any, Any, Any], home: House) -> "asyncio.Task[Any]":
    """The task of a request that stands in its line by now."""
    before = in_line(home)
    task = asyncio.create_task(waiting)
    async with asyncio.timeout(PATIENCE):
        while in_line(home) == before:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    return task


def in_line(home: House) -> int:
    """How many requests wait at any thread."""
    return sum(len(line) for line in vars(home.services.busy)["_lines"].values())


async def cancel(home: House, run: Run) -> None:
    """End a run that would never end."""
    await home.services.runs.cancel(run.thread_id, run.id)


async def runs_of(home: House, thread_id: str) -> list[Run]:
    """A thread's runs, oldest first."""
    query = PageQuery({"thread_id": thread_id}, 100, "asc")
    return await home.store.read(lambda tx: tx.page(Run, query)[0])


async def test_a_free_thread_lets_every_request_in_at_once(tmp_path: Path) -> None:
    """Whatever the policy, nothing is waited for and nothing is left behind."""
    async with house(tmp_path) as home:
        first = await home.ask()
        for policy in BusyPolicy:
            await home.finish(first)
            first = await create(home, first, Patience(policy))
        await home.finish(first)
        assert 4 == len(await runs_of(home, first.thread_id))
        assert 0 == in_line(home)


async def test_queued_requests_are_served_in_the_order_of_their_coming(tmp_path: Path) -> None:
    """A message, a run, a message: each when the one before it has had the thread."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        said = await begun(say(home, first, "one", QUEUE), home)
        second = await begun(create(home, first, QUEUE), home)
        last = await begun(say(home, first, "two", QUEUE), home)
        await cancel(home, first)
        run: Run = await asyncio.wait_for(second, PATIENCE)
        assert said.done()
        assert not last.done()
        await cancel(home, run)
        await asyncio.wait_for(last, PATIENCE)
        assert ["Hi", "one", "two"] == [
            part.text.value
            for message in await home.messages(first)
            for part in message.content
            if message.role == "user" and part.type == "text"
        ]


async def test_an_interrupting_request_cancels_the_run_and_takes_its_place(tmp_path: Path) -> None:
    """The run that held the thread ends as cancelled before the next one is created."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        second = await asyncio.wait_for(create(home, first, INTERRUPT), PATIENCE)
        assert RunStatus.CANCELLED is (await home.get(first)).status
        assert [first.id, second.id] == [r.id for r in await runs_of(home, first.thread_id)]


async def test_each_of_two_interrupting_requests_has_its_way(tmp_path: Path) -> None:
    """The second one interrupts also the run that the first has begun."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        both = (create(home, first, INTERRUPT), create(home, first, INTERRUPT))
        second, third = await asyncio.wait_for(asyncio.gather(*both), PATIENCE)
        states = [(await home.get(run)).status for run in (first, second)]
        assert [RunStatus.CANCELLED, RunStatus.CANCELLED] == states
        assert third.id == (await runs_of(home, first.thread_id))[-1].id


async def test_a_run_that_waits_for_its_client_is_interrupted_too(tmp_path: Path) -> None:
    """requires_action is cancelled like any other state."""
    async with house(tmp_path, [TWO_CALLS]) as home:
        first = await home.ask(tools=[FUNCTION])
        await home.finish(first)
        await asyncio.wait_for(say(home, first, "never mind", INTERRUPT), PATIENCE)
        assert RunStatus.CANCELLED is (await home.get(first)).status


async def test_a_waiting_run_blocks_a_queue_until_it_expires(tmp_path: Path) -> None:
    """Nobody submits: after the run's ten minutes the thread is free."""
    patience = Patience(BusyPolicy.QUEUE, seconds=3600)
    async with house(tmp_path, [TWO_CALLS]) as home:
        first = await home.ask(tools=[FUNCTION])
        await home.finish(first)
        waiting = await begun(say(home, first, "and now?", patience), home)
        await home.virtual.advance(599, sleepers=2)
        assert not waiting.done()
        await home.virtual.advance(1, sleepers=2)
        await asyncio.wait_for(waiting, PATIENCE)
        assert RunStatus.EXPIRED is (await home.get(first)).status


@pytest.mark.parametrize("place", [1, 2])
async def test_patience_has_an_end(tmp_path: Path, place: int) -> None:
    """First in line or second, after its time a request gets the ordinary refusal."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        waiting = [await begun(create(home, first, QUEUE), home) for _ in range(place)]
        await home.virtual.advance(60, sleepers=1 + place)
        for task in waiting:
            with pytest.raises(ThreadBusy) as refused:
                await asyncio.wait_for(task, PATIENCE)
            said = f"Thread {first.thread_id} already has an active run {first.id}."
            assert said == refused.value.message
        assert 0 == in_line(home)


async def test_a_client_that_gives_up_leaves_no_run_behind(tmp_path: Path) -> None:
    """Nor does it keep those waiting who came after it."""
    gone = asyncio.Event()
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        impatient = Patience(BusyPolicy.QUEUE, gone=gone)
        given_up = await begun(create(home, first, impatient), home)
        next_one = await begun(create(home, first, QUEUE), home)
        gone.set()
        with pytest.raises(ThreadBusy):
            await asyncio.wait_for(given_up, PATIENCE)
        await cancel(home, first)
        run: Run = await asyncio.wait_for(next_one, PATIENCE)
        assert [first.id, run.id] == [r.id for r in await runs_of(home, first.thread_id)]


async def test_nothing_is_done_for_a_client_that_is_gone(tmp_path: Path) -> None:
    """Not even when the thread is free."""
    gone = asyncio.Event()
    gone.set()
    async with house(tmp_path) as home:
        first = await home.ask()
        await home.finish(first)
        with pytest.raises(ThreadBusy):
            await create(home, first, Patience(BusyPolicy.QUEUE, gone=gone))
        assert [first.id] == [r.id for r in await runs_of(home, first.thread_id)]


async def test_what_is_wrong_otherwise_is_said_at_once(tmp_path: Path) -> None:
    """Only a busy thread is waited for; a thread that is not there is not."""
    async with house(tmp_path) as home:
        nowhere = (await home.ask()).model_copy(update={"thread_id": "thread_none"})
        for patience in (QUEUE, INTERRUPT):
            with pytest.raises(NotFound):
                await asyncio.wait_for(create(home, nowhere, patience), PATIENCE)


async def test_a_thread_that_vanishes_is_not_waited_for(tmp_path: Path) -> None:
    """Who waits at it hears that it is not there any more."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        waiting = await begun(create(home, first, QUEUE), home)
        await home.store.write(lambda tx: tx.delete(Thread, first.thread_id))
        with pytest.raises(NotFound):
            await asyncio.wait_for(waiting, PATIENCE)


async def test_the_database_decides_between_two_processes(tmp_path: Path) -> None:
    """Ten requests at two engines over one store: all are served, never two at a time."""
    quick = [{"text": "Yes."}]
    ids = CountingIds()
    async with house(tmp_path, quick, ids=ids) as home, house(tmp_path, quick, ids=ids) as other:
        first = await home.ask()
        created = [create(here, first, QUEUE) for here in (home, other) for _ in range(5)]
        runs = await asyncio.wait_for(asyncio.gather(*created), 60)
        for run in runs:
            await home.finish(run)
        ended = await runs_of(home, first.thread_id)
    assert 11 == len(ended)
    assert {RunStatus.COMPLETED} == {run.status for run in ended}


async def said_by_user(home: House, run: Run) -> int:
    """How many of the messages on a run's thread are the client's."""
    return sum(message.role == "user" for message in await home.messages(run))


WRONG_RUNS: list[dict[str, Any]] = [
    {"assistant_id": "asst_none"},
    {"model": "nobody"},
    {"tool_choice": {"type": "function", "function": {"name": "nowhere"}}},
    {
        "additional_messages": [
            {
                "role": "user",
                "content": "see",
                "attachments": [{"file_id": "file-none", "tools": [{"type": "file_search"}]}],
            }
        ]
    },
]


@pytest.mark.parametrize("wrong", WRONG_RUNS)
async def test_a_run_that_cannot_be_created_interrupts_nothing(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """It is refused as at a free thread, and the run at work goes on."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        runs, thread_id = home.services.runs, first.thread_id
        body = requests.CreateRun.model_validate({"assistant_id": first.assistant_id} | wrong)
        with pytest.raises(AssistantsError) as refused:
            await home.services.busy.enter(
                thread_id,
                lambda: runs.create(thread_id, body),
                INTERRUPT,
                lambda: runs.check(thread_id, body),
            )
        assert not isinstance(refused.value, ThreadBusy)
        assert RunStatus.IN_PROGRESS is (await home.get(first)).status
        assert 1 == await said_by_user(home, first)


async def test_a_check_keeps_nothing(tmp_path: Path) -> None:
    """Neither run nor messages; the request that follows is carried out once."""
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        runs, thread_id = home.services.runs, first.thread_id
        said = [{"role": "user", "content": "and this"}]
        body = requests.CreateRun.model_validate(
            {"assistant_id": first.assistant_id, "additional_messages": said}
        )
        second = await home.services.busy.enter(
            thread_id,
            lambda: runs.create(thread_id, body),
            INTERRUPT,
            lambda: runs.check(thread_id, body),
        )
        assert [first.id, second.id] == [r.id for r in await runs_of(home, thread_id)]
        assert 2 == await said_by_user(home, first)


async def test_a_request_that_does_not_wait_interrupts_nothing(tmp_path: Path) -> None:
    """Nor one that nobody waits for: it could not be there when the thread is free."""
    gone = asyncio.Event()
    gone.set()
    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        for patience in (replace(INTERRUPT, seconds=0), replace(INTERRUPT, gone=gone)):
            with pytest.raises(ThreadBusy):
                await asyncio.wait_for(create(home, first, patience), PATIENCE)
        assert RunStatus.IN_PROGRESS is (await home.get(first)).status


@pytest.mark.parametrize("policy", [BusyPolicy.QUEUE, BusyPolicy.INTERRUPT])
async def test_who_may_not_come_in_any_more_is_not_served(
    tmp_path: Path, policy: BusyPolicy
) -> None:
    """It is asked when the thread is free, and before a run is interrupted."""

    async def revoked() -> None:
        raise AuthenticationFailed("revoked")

    async with house(tmp_path, [HANG]) as home:
        first = await speaking(home)
        waiting = asyncio.create_task(create(home, first, Patience(policy, still_in=revoked)))
        await asyncio.sleep(0.05)
        assert RunStatus.IN_PROGRESS is (await home.get(first)).status
        await cancel(home, first)
        with pytest.raises(AuthenticationFailed):
            await asyncio.wait_for(waiting, PATIENCE)
        assert [first.id] == [r.id for r in await runs_of(home, first.thread_id)]
