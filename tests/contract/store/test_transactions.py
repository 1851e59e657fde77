"""All or nothing, snapshots, many callers at once, cancelled callers, the end."""

import asyncio
import threading
from functools import partial

import pytest

from local_assistants.engine import objects
from local_assistants.engine.errors import NotFound, StorageFault
from local_assistants.engine.events import EventName
from local_assistants.engine.ports import PageQuery, Store, Transaction
from tests.contract.store import samples
from tests.contract.store.conftest import put, putting


async def threads(store: Store) -> list[str]:
    """Ids of all threads, oldest first."""
    query = PageQuery(order="asc", limit=1000)
    found, _ = await store.read(lambda tx: tx.page(objects.Thread, query))
    return [thread.id for thread in found]


async def test_an_exception_undoes_the_whole_change_and_comes_back(store: Store) -> None:
    """The caller gets its own exception, the store keeps nothing of the change."""

    def change(tx: Transaction) -> None:
        tx.put(samples.thread(1))
        tx.put(samples.run(1))
        tx.append_event("run_1", EventName.RUN_CREATED, {})
        raise NotFound("on purpose")

    with pytest.raises(NotFound, match="on purpose"):
        await store.write(change)
    assert [] == await threads(store)
    assert [] == await store.read(lambda tx: tx.events("run_1"))


async def test_a_change_reads_what_it_wrote(store: Store) -> None:
    """Get and page see the puts before them in one transaction."""

    def change(tx: Transaction) -> tuple[bool, int]:
        tx.put(samples.thread(1))
        found, _ = tx.page(objects.Thread, PageQuery())
        return tx.get(objects.Thread, "thread_1") is not None, len(found)

    assert (True, 1) == await store.write(change)


async def test_a_result_comes_back(store: Store) -> None:
    """Write and read return what the function returned."""
    assert (1, 2) == (await store.write(lambda _: 1), await store.read(lambda _: 2))


async def test_failing_neighbours_do_not_disturb_a_change(store: Store) -> None:
    """Of a hundred changes at once those that do not fail are stored, all of them and nothing else."""

    def change(number: int, tx: Transaction) -> int:
        tx.put(samples.thread(number))
        if number % 3 == 0:
            raise ValueError(number)
        return number

    results = await asyncio.gather(
        *(store.write(partial(change, n)) for n in range(100)), return_exceptions=True
    )
    stored = [result for result in results if isinstance(result, int)]
    assert stored == [n for n in range(100) if n % 3]
    assert sorted(await threads(store)) == sorted(f"thread_{n}" for n in stored)


async def test_changes_that_read_first_do_not_lose_updates(store: Store) -> None:
    """Two hundred concurrent increments of one counter add up."""
    await put(store, samples.thread(metadata={"n": "0"}))

    def increment(tx: Transaction) -> None:
        thread = tx.get(objects.Thread, "thread_1")
        assert thread is not None
        tx.put(samples.thread(metadata={"n": str(int(thread.metadata["n"]) + 1)}))

    await asyncio.gather(*(store.write(increment) for _ in range(200)))
    found = await store.read(lambda tx: tx.get(objects.Thread, "thread_1"))
    assert found == samples.thread(metadata={"n": "200"})


async def test_a_read_sees_every_write_acknowledged_before(store: Store) -> None:
    """On whichever connection it runs."""
    for number in range(20):
        await put(store, samples.thread(number))
        counts = await asyncio.gather(*(threads(store) for _ in range(4)))
        assert [number + 1] * 4 == [len(found) for found in counts]


async def test_a_read_keeps_its_snapshot(store: Store) -> None:
    """A write that lands while it runs stays invisible to it."""
    looked, written = threading.Event(), threading.Event()

    def query(tx: Transaction) -> tuple[object, object]:
        before = tx.get(objects.Thread, "thread_1")
        looked.set()
        assert written.wait(10)
        return before, tx.get(objects.Thread, "thread_1")

    reading = asyncio.create_task(store.read(query))
    await asyncio.to_thread(looked.wait, 10)
    await put(store, samples.thread(1))
    written.set()
    assert (None, None) == await reading


async def test_a_read_that_writes_is_refused(store: Store) -> None:
    """And changes nothing."""
    with pytest.raises(StorageFault, match="tried to write"):
        await store.read(lambda tx: tx.put(samples.thread(1)))
    assert [] == await threads(store)


async def test_a_cancelled_caller_does_not_stop_the_others(store: Store) -> None:
    """A change under way is finished, one that had not begun is dropped, the next ones are served."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> None:
        begun.set()
        assert go_on.wait(10)
        tx.put(samples.thread(1))

    first = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(store.write(putting(samples.thread(2))))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    go_on.set()
    await put(store, samples.thread(3))
    assert ["thread_1", "thread_3"] == await threads(store)
    assert (first.cancelled(), second.cancelled()) == (True, True)


async def test_exceptions_that_futures_cannot_carry_come_back_too(store: Store) -> None:
    """StopIteration would leave its caller waiting for ever."""

    def stop(_: Transaction) -> None:
        next(iter(()))

    for work in (store.write(stop), store.read(stop)):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(work, 10)


async def test_close_finishes_what_was_asked_before(store: Store) -> None:
    """Changes queued when close is called are stored and acknowledged."""
    work = [asyncio.create_task(store.write(putting(samples.thread(n)))) for n in range(50)]
    await asyncio.sleep(0)
    await store.close()
    results = await asyncio.wait_for(asyncio.gather(*work), 10)
    assert results == [None] * 50


async def test_a_closed_store_says_so(store: Store, whole: Store) -> None:
    """Writes and reads after the end are refused in words, through a view too; a second close is nothing."""
    await whole.close()
    await whole.close()
    with pytest.raises(StorageFault, match="closed"):
        await put(store, samples.thread())
    with pytest.raises(StorageFault, match="closed"):
        await threads(store)
