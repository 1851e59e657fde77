"""Indexing of several files at a time: whose turn it is, what becomes of them, how far they are."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from local_assistants.engine import requests
from local_assistants.engine.errors import StorageFault, ToolFault
from local_assistants.engine.ingestion import Waiting, chosen
from local_assistants.engine.objects import FileCounts, LastError, VectorStoreFile
from local_assistants.engine.ports import Chunk, Extract, Transaction
from local_assistants.engine.states import StoreFileStatus
from tests.support.clock import VirtualClock
from tests.support.engine import FAST, OLDEST_FIRST, PATIENCE, House, house
from tests.support.ids import CountingIds
from tests.support.stores import indexed


def waiting(project: str, store_id: str, file_id: str = "file-1") -> Waiting:
    """A file in progress."""
    status = StoreFileStatus.IN_PROGRESS
    item = VectorStoreFile(id=file_id, created_at=1, vector_store_id=store_id, status=status)
    return project, item


def test_the_oldest_file_goes_first_while_nothing_is_at_work() -> None:
    """They come in this order."""
    first, second = waiting("p", "vs_1"), waiting("q", "vs_2")

    assert first == chosen([first, second], [], 4)
    assert chosen([], [], 4) is None


def test_the_project_with_fewest_files_at_work_goes_first() -> None:
    """Then the store with fewest, then the oldest file."""
    at_work = [waiting("p", "vs_1", "a"), waiting("q", "vs_2", "a"), waiting("q", "vs_3", "a")]
    at_work += [waiting("p", "vs_1", "b")]
    old, young = waiting("p", "vs_1", "c"), waiting("p", "vs_4", "d")

    assert young == chosen([old, young], at_work, 16)
    assert waiting("q", "vs_3", "e") == chosen(
        [waiting("p", "vs_4", "d"), waiting("q", "vs_3", "e")], [*at_work, old], 16
    )


def test_a_store_leaves_two_places_and_a_project_one() -> None:
    """So whoever comes new finds a place at once, however large the files are that are at work."""
    one, two = waiting("p", "vs_1", "next"), waiting("p", "vs_2", "next")
    at_work = [waiting("p", "vs_1", "a"), waiting("p", "vs_1", "b")]
    new = waiting("q", "vs_3", "next")

    assert chosen([one], at_work, 4) is None
    assert two == chosen([one, two], at_work, 4)
    assert chosen([one, two], [*at_work, two], 4) is None
    assert new == chosen([one, two, new], [*at_work, two], 4)
    assert one == chosen([one], [], 1)


async def batch_of(home: House, number: int) -> tuple[str, str, list[str]]:
    """A store with a batch of files; their ids."""
    ids = [(await home.file(f"{n}.txt", f"text {n}")).id for n in range(number)]
    store = await home.services.vector_stores.create(requests.CreateVectorStore())
    body = requests.CreateBatch(file_ids=tuple(ids))
    batch = await home.services.vector_stores.create_batch(store.id, body)
    return store.id, batch.id, ids


async def completed(home: House, store_id: str, number: int) -> None:
    """Wait until so many files of a store are done."""
    async with asyncio.timeout(PATIENCE):
        while True:
            store = await home.services.vector_stores.get(store_id)
            if store.file_counts.completed >= number:
                return
            await asyncio.sleep(0.002)


async def test_several_files_are_at_work_and_never_more_than_may_be(tmp_path: Path) -> None:
    """A store takes all places but two."""
    async with house(tmp_path, settings=replace(FAST, indexed_at_once=5)) as home:
        home.library.gate = asyncio.Event()
        store_id, _, _ = await batch_of(home, 10)
        await asyncio.sleep(0.1)
        assert 3 == home.library.at_work
        home.library.gate.set()
        done = await indexed(home, store_id)

    assert FileCounts(completed=10, total=10) == done.file_counts
    assert 3 == home.library.most_at_work


async def test_another_store_is_not_kept_waiting(tmp_path: Path) -> None:
    """Its file is done while the files of the first one are all held up."""
    async with house(tmp_path, settings=replace(FAST, indexed_at_once=4)) as home:
        home.library.held = "text"
        await batch_of(home, 10)
        await asyncio.sleep(0.05)
        file = await home.file("new.txt", "new")
        store = await home.services.vector_stores.create(
            requests.CreateVectorStore(file_ids=(file.id,))
        )
        done = await indexed(home, store.id)

    assert FileCounts(completed=1, total=1) == done.file_counts


async def test_five_hundred_files_in_a_batch_are_counted_right(tmp_path: Path) -> None:
    """Batch, store and the bytes of all files."""
    async with house(tmp_path) as home:
        store_id, batch_id, ids = await batch_of(home, 500)
        done = await indexed(home, store_id)
        batch = await home.services.vector_stores.get_batch(store_id, batch_id)
        texts = {home.library.texts[store_id, id_] for id_ in ids}

    assert ("completed", FileCounts(completed=500, total=500)) == (done.status, done.file_counts)
    assert ("completed", FileCounts(completed=500, total=500)) == (batch.status, batch.file_counts)
    assert {f"text {n}" for n in range(500)} == texts
    assert sum(map(len, texts)) == done.usage_bytes


async def test_a_batch_that_is_cancelled_midway_keeps_what_is_done(tmp_path: Path) -> None:
    """What was at work and what waited is cancelled, and every count says so."""
    async with house(tmp_path, settings=replace(FAST, indexed_at_once=5)) as home:
        home.library.held = "text 7"
        store_id, batch_id, _ = await batch_of(home, 8)
        stores = home.services.vector_stores
        await completed(home, store_id, 7)
        cancelled = await stores.cancel_batch(store_id, batch_id)
        store = await stores.get(store_id)
        files = await stores.list_files(store_id, OLDEST_FIRST, "cancelled")

    counts = FileCounts(completed=7, cancelled=1, total=8)
    assert (counts, counts, 1) == (cancelled.file_counts, store.file_counts, len(files.data))


async def test_progress_names_the_files_that_are_on_their_way(tmp_path: Path) -> None:
    """One that is being read has no chunks yet; of one that is being embedded the vectors are counted."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()
        store_id, _, ids = await batch_of(home, 2)

        def index_some(tx: Transaction) -> None:
            keys = [f"{store_id}/{ids[1]}/{n}" for n in range(3)]
            tx.put_chunks(
                Chunk(key, store_id, ids[1], n, "x", n, n + 1) for n, key in enumerate(keys)
            )
            tx.put_vectors([(keys[0], b"1234")])
            tx.put_extract(Extract(store_id, ids[1], "c", "r", "1.txt", 3, 3))

        await home.store.write(index_some)
        before = await home.services.indexing.progress(store_id)
        home.library.gate.set()
        await indexed(home, store_id)
        after = await home.services.indexing.progress(store_id)

    reading, embedding = before["files"]
    assert {
        "file_id": ids[0],
        "filename": "0.txt",
        "stage": "reading",
        "chunks": None,
        "chunks_embedded": 0,
        "setback": None,
    } == reading
    assert {**reading, "file_id": ids[1], "filename": "1.txt"} | {
        "stage": "embedding",
        "chunks": 3,
        "chunks_embedded": 1,
    } == embedding
    assert ("in_progress", "completed", []) == (before["status"], after["status"], after["files"])
    assert 2 == before["file_counts"]["in_progress"]


FULL = StorageFault("The disk is full.", detail="/data/store.db", passing=True)


async def met(home: House, store_id: str, attempts: int) -> list[dict[str, Any]]:
    """The files in progress, once they were tried so often in vain, all together."""
    async with asyncio.timeout(PATIENCE):
        while True:
            files = (await home.services.indexing.progress(store_id))["files"]
            tried = [one["setback"]["attempts"] for one in files if one["setback"]]
            if sum(tried) >= attempts:
                return list(files)
            await asyncio.sleep(0.002)


@asynccontextmanager
async def passing(clock: VirtualClock) -> AsyncIterator[None]:
    """Time goes by meanwhile, however late somebody lies down to sleep."""

    async def go_by() -> None:
        while True:
            await clock.advance(1)
            await asyncio.sleep(0.02)

    going = asyncio.create_task(go_by())
    try:
        yield
    finally:
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)


async def test_what_is_the_host_s_fault_fails_no_file(tmp_path: Path) -> None:
    """They are tried again, one at a time, after a pause; when the host is well again all are done."""
    clock = VirtualClock()
    async with house(tmp_path, settings=replace(FAST, indexed_at_once=5), clock=clock) as home:
        home.library.fault = FULL
        store_id, _, _ = await batch_of(home, 4)
        first = await met(home, store_id, 4)
        home.library.most_at_work = 0
        async with passing(clock):
            await met(home, store_id, 5)
            together = home.library.most_at_work
            home.library.fault = None
            done = await indexed(home, store_id)

    assert {"reason": "The disk is full.", "attempts": 1} == first[0]["setback"]
    assert 1 == together
    assert FileCounts(completed=4, total=4) == done.file_counts


async def test_a_file_that_is_taken_out_while_it_waits_holds_up_nobody(tmp_path: Path) -> None:
    """The next one is tried in its place."""
    clock = VirtualClock()
    async with house(tmp_path, clock=clock) as home:
        home.library.fault = FULL
        store_id, _, ids = await batch_of(home, 2)
        await met(home, store_id, 2)
        home.library.fault = None
        await home.services.vector_stores.remove_file(store_id, ids[0])
        async with passing(clock):
            done = await indexed(home, store_id)

    assert FileCounts(completed=1, total=1) == done.file_counts


async def test_a_fault_that_does_not_pass_is_final(tmp_path: Path) -> None:
    """As that of a model that fails: waiting mends nothing, and whoever polls learns it."""
    async with house(tmp_path) as home:
        home.library.fault = ToolFault("The embedding model failed.", detail="/models/x")
        store_id, _, ids = await batch_of(home, 1)
        await indexed(home, store_id)
        file = await home.services.vector_stores.get_file(store_id, ids[0])

    assert LastError(code="server_error", message="The embedding model failed.") == file.last_error


async def test_of_two_servers_the_one_that_keeps_house_indexes(tmp_path: Path) -> None:
    """Whichever took the files in; when it is gone, the other goes on."""
    clock, ids, keeping = VirtualClock(), CountingIds(), {"first"}
    async with (
        house(tmp_path, clock=clock, ids=ids, keeps_house=lambda: "second" in keeping) as second,
        house(tmp_path, clock=clock, ids=ids, keeps_house=lambda: "first" in keeping) as first,
    ):
        store_id, _, _ = await batch_of(second, 2)
        async with passing(clock):
            await indexed(second, store_id)
        by = (len(first.library.texts), len(second.library.texts))
        await first.crash()
        keeping.add("second")
        later_id, _, _ = await batch_of(second, 1)
        async with passing(clock):
            await indexed(second, later_id)

    assert (2, 0) == by
    assert 1 == len(second.library.texts)
