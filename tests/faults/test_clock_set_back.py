"""The machine's clock is set back: what waits for a time does not wait for the clock to catch up."""

from pathlib import Path

from tests.support.clock import START, VirtualClock
from tests.support.engine import house
from tests.support.ids import CountingIds
from tests.support.runs import HANG, speaking, text_of

HOUR = 3600


async def test_a_dead_process_holds_its_run_no_longer_than_a_lease(tmp_path: Path) -> None:
    """Its lease ends an hour from now by the new time; the run is taken up after a lease's length, and completes."""
    ids = CountingIds()
    async with house(tmp_path, [HANG], ids=ids, clock=VirtualClock()) as home:
        run = await speaking(home)
        await home.crash()

    clock = VirtualClock(START - HOUR)
    async with house(tmp_path, [{"text": "Hello."}], ids=ids, clock=clock) as home:
        for _ in range(10):
            await clock.advance(1)
        early = (await home.get(run)).status
        for _ in range(10):
            await clock.advance(1)
        done = await home.finish(run)
        said = [text_of(message) for message in await home.messages(run)]

    assert ("in_progress", "completed") == (early, done.status)
    assert "Hello." == said[-1]


async def test_a_process_that_lives_keeps_its_run(tmp_path: Path) -> None:
    """Its heartbeat extends the lease by the new time; nobody takes the run away, however often it is looked at."""
    clock = VirtualClock()
    async with house(tmp_path, [HANG], clock=clock) as home:
        run = await speaking(home)
        owner = await home.core.store.read(lambda tx: tx.lease_owner(run.id))
        clock.set_back(HOUR)
        for _ in range(40):
            await clock.advance(1)
        later = await home.core.store.read(lambda tx: tx.lease_owner(run.id))
        left = await home.core.store.read(lambda tx: tx.leases_after(clock.now() + 30))
        status = (await home.get(run)).status

    assert owner == later
    assert ([], "in_progress") == (left, status)


async def test_what_is_said_keeps_its_order(tmp_path: Path) -> None:
    """Lists and the model get messages as they came, whatever times they bear."""
    clock = VirtualClock()
    async with house(tmp_path, [{"text": "One."}], clock=clock) as home:
        first = await home.finish(await home.ask())
        clock.set_back(HOUR)
        await home.message(first.thread_id, "And again.")
        second = await home.finish(await home.run(first.thread_id, first.assistant_id))
        messages = await home.messages(first)

    assert ("completed", "completed") == (first.status, second.status)
    assert ["user", "assistant", "user", "assistant"] == [one.role for one in messages]
    assert second.created_at < first.created_at
