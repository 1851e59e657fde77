"""Followers get every event once and in order, however late or slow they are."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from local_assistants.engine.events import Event, EventName
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal, Unit
from local_assistants.engine.objects import Run, Thread
from local_assistants.engine.states import On, RunStatus
from local_assistants.storage.sqlite import SQLiteStore
from tests.support.clock import VirtualClock
from tests.support.database import open_store

RUN = Run(
    id="run_1", created_at=1, assistant_id="a", thread_id="t", status=RunStatus.QUEUED, model="m"
)


class Journaled:
    """A store with one run, and its journal and feed."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store, self.feed = store, EventFeed()
        self.journal = Journal(store, self.feed, VirtualClock())

    async def write(self, *words: str) -> None:
        """One delta for each word, in one transaction."""

        def change(unit: Unit) -> None:
            for word in words:
                unit.emit(RUN.id, EventName.MESSAGE_DELTA, {"word": word})

        await self.journal.commit(change)

    async def end(self) -> None:
        """Expire the run, which ends its stream."""
        await self.journal.commit(lambda unit: unit.fire(Run, RUN.id, On.EXPIRE))

    def follow(self, after: int = 0) -> AsyncGenerator[Event, None]:
        """The run's events."""
        return self.feed.follow(self.store, RUN.id, after)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Journaled]:
    """A run that nobody works on."""
    store = open_store(tmp_path)
    await store.write(lambda tx: tx.put(Thread(id="t", created_at=1)))
    await store.write(lambda tx: tx.put(RUN))
    yield Journaled(store)
    await store.close()


def numbers(events: Sequence[Event]) -> list[int]:
    """Their numbers."""
    return [event.seq for event in events]


async def read_all(events: AsyncIterator[Event]) -> list[Event]:
    """All events of a follower."""
    async with asyncio.timeout(5):
        return [event async for event in events]


async def test_a_follower_from_the_beginning_hears_all(house: Journaled) -> None:
    """What was written before, and what is written while it follows."""
    await house.write("a", "b")
    following = asyncio.create_task(read_all(house.follow()))
    await asyncio.sleep(0.01)
    await house.write("c")
    await house.end()

    assert [1, 2, 3, 4] == numbers(await following)


async def test_a_late_follower_reads_the_journal(house: Journaled) -> None:
    """Also when the run is over, and also from the middle."""
    await house.write("a", "b", "c")
    await house.end()

    assert [1, 2, 3, 4] == numbers(await read_all(house.follow()))
    assert [3, 4] == numbers(await read_all(house.follow(after=2)))


async def test_a_follower_that_has_seen_the_end_is_told_nothing(house: Journaled) -> None:
    """And is not kept waiting."""
    await house.end()

    assert [] == await read_all(house.follow(after=1))
    assert [] == await read_all(house.follow(after=99))


async def test_a_slow_follower_misses_nothing(house: Journaled) -> None:
    """Far more events than are kept for it in memory, and nobody waits for it."""
    got: list[Event] = []
    async with aclosing(house.follow()) as events:
        await house.write("first")
        got.append(await anext(events))
        for _ in range(6):
            await house.write(*"word " * 50)  # 250 at a time
        await house.end()
        async with asyncio.timeout(5):
            got += [event async for event in events]

    assert list(range(1, 1503)) == numbers(got)


async def test_a_follower_between_two_commits_repeats_nothing(house: Journaled) -> None:
    """Begun at any moment among many commits, each hears each number once."""
    followers: list[asyncio.Task[list[Event]]] = []
    for number in range(30):
        followers.append(asyncio.create_task(read_all(house.follow())))
        await house.write(str(number))
    await house.end()

    for heard in await asyncio.gather(*followers):
        assert list(range(1, 32)) == numbers(heard)


async def test_live_and_stored_events_are_equal(house: Journaled) -> None:
    """A follower cannot tell whether it was early or late."""
    early = asyncio.create_task(read_all(house.follow()))
    await asyncio.sleep(0.01)
    await house.write("ä", "\ud800", "😀")
    await house.end()

    assert await early == await read_all(house.follow())


async def test_each_run_has_its_own_followers(house: Journaled) -> None:
    """Another run's events are not heard, and nobody is remembered who has left."""
    with house.feed.subscribe("run_other") as other:
        waiting = asyncio.create_task(other.take())
        await house.write("a")
        await asyncio.sleep(0.01)
        assert not waiting.done()
        waiting.cancel()
    async with aclosing(house.follow()) as events:
        await anext(events)

    assert {} == vars(house.feed)["_followers"]


async def test_events_of_another_process_arrive_too(house: Journaled, tmp_path: Path) -> None:
    """Another server took the run up: its events are in the journal and published to nobody here."""
    await house.write("one")
    other = open_store(tmp_path)
    elsewhere = Journaled(other)
    async with asyncio.timeout(10), aclosing(house.follow()) as events:
        seen = [await anext(events)]
        await elsewhere.write("two")
        await elsewhere.end()
        seen += [event async for event in events]
    await other.close()
    assert [1, 2, 3] == numbers(seen)


async def test_a_run_of_another_process_is_heard_while_it_speaks(
    house: Journaled, tmp_path: Path
) -> None:
    """Not a second late each time: nine events, each written when the last was heard, take no nine seconds."""
    await house.write("one")
    other = open_store(tmp_path)
    elsewhere, seen = Journaled(other), list[Event]()
    async with asyncio.timeout(8), aclosing(house.follow()) as events:
        while len(seen) < 10:
            seen.append(await anext(events))
            await elsewhere.write("next")
    await other.close()

    assert list(range(1, 11)) == numbers(seen)


async def test_a_silent_run_gives_empty_batches(house: Journaled) -> None:
    """A follower hears every second that there is nothing to hear; what comes later comes together."""
    await house.write("one")
    async with asyncio.timeout(10), aclosing(house.feed.batches(house.store, RUN.id)) as told:
        heard = [await anext(told), await anext(told)]
        await house.write("two", "three")
        heard.append(await anext(told))
    assert [[1], [], [2, 3]] == [numbers(batch) for batch in heard]
