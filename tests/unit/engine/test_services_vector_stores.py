"""Vector stores: indexed, in batches, expired, waited for by runs, searched, modified."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, NotFound
from local_assistants.engine.objects import FileCounts, VectorStore, VectorStoreFile
from local_assistants.engine.states import VECTOR_STORE, On
from tests.support.clock import START
from tests.support.engine import (
    OLDEST_FIRST,
    SEARCH,
    House,
    house,
)
from tests.support.stores import indexed, searching


async def test_a_stores_files_end_as_completed_or_failed(tmp_path: Path) -> None:
    """With the original's error codes; the store is completed when none is in progress."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()
        files = [
            await home.file(f"{n}.txt", text)
            for n, text in enumerate(["alpha", "broken", "unsupported", "beta"])
        ]
        body = requests.CreateVectorStore(file_ids=tuple(file.id for file in files))
        store = await home.services.vector_stores.create(body)
        assert ("in_progress", FileCounts(in_progress=4, total=4)) == (
            store.status,
            store.file_counts,
        )
        home.library.gate.set()
        done = await indexed(home, store.id)
        page = await home.services.vector_stores.list_files(store.id, OLDEST_FIRST)
        failed = await home.services.vector_stores.list_files(store.id, OLDEST_FIRST, "failed")

    assert ("completed", FileCounts(completed=2, failed=2, total=4), 9) == (
        done.status,
        done.file_counts,
        done.usage_bytes,
    )
    assert [None, "invalid_file", "unsupported_file", None] == [
        item.last_error and item.last_error.code for item in page.data
    ]
    assert [5, 0, 0, 4] == [item.usage_bytes for item in page.data]
    assert [files[1].id, files[2].id] == [item.id for item in failed.data]


async def test_an_empty_store_is_completed(tmp_path: Path) -> None:
    """From the start."""
    async with house(tmp_path) as home:
        store = await home.services.vector_stores.create(requests.CreateVectorStore())

    assert ("completed", FileCounts()) == (store.status, store.file_counts)


async def test_a_batch_completes_even_if_files_fail(tmp_path: Path) -> None:
    """Pollers look at its counts."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()
        ids = [(await home.file(f"{n}", text)).id for n, text in enumerate(["ok", "broken"])]
        stores = home.services.vector_stores
        store = await stores.create(requests.CreateVectorStore())
        batch = await stores.create_batch(store.id, requests.CreateBatch(file_ids=tuple(ids)))
        assert ("in_progress", FileCounts(in_progress=2, total=2)) == (
            batch.status,
            batch.file_counts,
        )
        home.library.gate.set()
        await indexed(home, store.id)
        done = await stores.get_batch(store.id, batch.id)
        files = await stores.list_batch_files(store.id, batch.id, OLDEST_FIRST)

    assert ("completed", FileCounts(completed=1, failed=1, total=2)) == (
        done.status,
        done.file_counts,
    )
    assert ids == [item.id for item in files.data]


async def test_cancelling_a_batch_keeps_what_is_done(tmp_path: Path) -> None:
    """The rest is cancelled, also the file that is being indexed at that moment; a second cancel is refused."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        done_before = await home.file("a", "alpha")
        store = await stores.create(requests.CreateVectorStore(file_ids=(done_before.id,)))
        await indexed(home, store.id)
        home.library.gate = asyncio.Event()
        late = [await home.file(f"{n}", "late") for n in range(2)]
        batch = await stores.create_batch(
            store.id,
            requests.CreateBatch(file_ids=(done_before.id, late[0].id, late[1].id)),
        )
        cancelled = await stores.cancel_batch(store.id, batch.id)
        home.library.gate.set()
        await asyncio.sleep(0.05)
        after = await stores.get_batch(store.id, batch.id)
        whole = await stores.get(store.id)
        with pytest.raises(InvalidRequest):
            await stores.cancel_batch(store.id, batch.id)

    counts = FileCounts(completed=1, cancelled=2, total=3)
    assert ("cancelled", counts, after) == (cancelled.status, cancelled.file_counts, cancelled)
    assert ("completed", counts) == (whole.status, whole.file_counts)
    assert {(store.id, done_before.id)} == set(home.library.texts)


async def test_indexing_goes_on_after_a_restart(tmp_path: Path) -> None:
    """The queue is the store itself."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()
        file = await home.file("a", "alpha")
        store = await home.services.vector_stores.create(
            requests.CreateVectorStore(file_ids=(file.id,))
        )
    async with house(tmp_path) as home:
        done = await indexed(home, store.id)

    assert FileCounts(completed=1, total=1) == done.file_counts


async def test_removing_a_file_lowers_the_counts_at_once(tmp_path: Path) -> None:
    """The file itself stays."""
    async with house(tmp_path) as home:
        file = await home.file("a", "alpha")
        stores = home.services.vector_stores
        store = await stores.create(requests.CreateVectorStore(file_ids=(file.id,)))
        await indexed(home, store.id)
        await stores.remove_file(store.id, file.id)
        after = await stores.get(store.id)
        await home.services.files.get(file.id)
        with pytest.raises(NotFound) as missing:
            await stores.get_file(store.id, file.id)

    assert (FileCounts(), 0, "completed") == (after.file_counts, after.usage_bytes, after.status)
    assert f"No file found with id '{file.id}' in vector store '{store.id}'." == (
        missing.value.message
    )


async def expire(home: House, store_id: str) -> None:
    """Let a store expire by the table."""

    def change(tx: Any) -> None:
        store = tx.get(VectorStore, store_id)
        tx.put(VECTOR_STORE.fire(store, On.EXPIRE, 0))

    await home.store.write(change)


async def test_an_expired_store_takes_and_gives_nothing(tmp_path: Path) -> None:
    """It can be read and deleted."""
    async with house(tmp_path) as home:
        file = await home.file("a", "alpha")
        stores = home.services.vector_stores
        store = await stores.create(requests.CreateVectorStore())
        await expire(home, store.id)
        attempts: list[Callable[[], Any]] = [
            lambda: stores.add_file(store.id, requests.CreateStoreFile(file_id=file.id)),
            lambda: stores.create_batch(store.id, requests.CreateBatch(file_ids=(file.id,))),
            lambda: stores.search(store.id, requests.SearchStore(query="alpha")),
        ]
        for attempt in attempts:
            with pytest.raises(InvalidRequest, match=f"Vector store '{store.id}' has expired"):
                await attempt()
        assert "expired" == (await stores.get(store.id)).status
        await stores.delete(store.id)
        with pytest.raises(NotFound, match=f"No vector store found with id '{store.id}'"):
            await stores.get(store.id)


async def test_a_run_over_an_expired_store_fails(tmp_path: Path) -> None:
    """And says which."""
    async with house(tmp_path) as home:
        file = await home.file("a", "alpha")
        thread = await home.thread("Hi", tool_resources=searching(file.id))
        (store_id,) = thread.tool_resources.vector_store_ids
        await indexed(home, store_id)
        await expire(home, store_id)
        assistant = await home.assistant(tools=[SEARCH])
        run = await home.finish(await home.run(thread.id, assistant.id))

    assert run.last_error is not None
    assert ("failed", f"Vector store '{store_id}' has expired") == (
        run.status,
        run.last_error.message,
    )


async def test_a_run_waits_for_the_threads_store_but_not_for_ever(tmp_path: Path) -> None:
    """Up to a minute; then it goes on with what there is. The assistant's store is not waited for."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()
        file = await home.file("a", "alpha")
        slow = await home.assistant(tools=[SEARCH], tool_resources=searching(file.id))
        quick = await home.finish(await home.run((await home.thread("Hi")).id, slow.id))
        assert "completed" == quick.status

        thread = await home.thread("Hi", tool_resources=searching(file.id))
        run = await home.run(thread.id, slow.id)
        await home.until(run, "thread.run.in_progress")
        await home.virtual.advance(30, sleepers=2)
        await asyncio.sleep(0.02)
        assert 1 == len(home.backend.requests)
        await home.virtual.advance(31, sleepers=2)
        done = await home.finish(run)

    assert "completed" == done.status
    assert 2 == len(home.backend.requests)


async def test_a_run_begins_as_soon_as_the_threads_store_is_ready(tmp_path: Path) -> None:
    """It does not wait out the minute."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()
        file = await home.file("a", "alpha")
        thread = await home.thread("Hi", tool_resources=searching(file.id))
        run = await home.run(thread.id, (await home.assistant(tools=[SEARCH])).id)
        await home.virtual.advance(0, sleepers=2)  # heartbeat and run: it waits
        home.library.gate.set()
        await indexed(home, thread.tool_resources.vector_store_ids[0])
        await home.virtual.advance(0.1)
        done = await home.finish(run)

    assert "completed" == done.status


async def test_a_search_passes_all_it_was_asked(tmp_path: Path) -> None:
    """Queries, limits and filters reach the library."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        store = await stores.create(requests.CreateVectorStore())
        filters = {"type": "eq", "key": "k", "value": "v"}
        body = requests.SearchStore.model_validate(
            {"query": ["a", "b"], "max_num_results": 3, "filters": filters}
        )
        await stores.search(store.id, body)
        (query,) = home.library.queries

    assert ((store.id,), ("a", "b"), 3) == (
        query.vector_store_ids,
        query.queries,
        query.max_results,
    )
    assert query.filters is not None
    assert filters == dict(query.filters)


async def test_modifying_a_store_and_its_files(tmp_path: Path) -> None:
    """Name, metadata, expiry, attributes; null clears name and expiry."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        file = await home.file("a", "alpha")
        body = requests.CreateVectorStore.model_validate(
            {
                "name": "N",
                "file_ids": [file.id],
                "expires_after": {"anchor": "last_active_at", "days": 1},
            }
        )
        store = await stores.create(body)
        assert START + 86_400 == store.expires_at
        cleared = await stores.modify(
            store.id,
            requests.ModifyVectorStore.model_validate({"name": None, "expires_after": None}),
        )
        item = await stores.modify_file(
            store.id,
            file.id,
            requests.ModifyStoreFile.model_validate({"attributes": {"year": 2009}}),
        )

    assert (None, None, None) == (cleared.name, cleared.expires_after, cleared.expires_at)
    assert isinstance(item, VectorStoreFile)
    assert {"year": 2009} == item.attributes


async def test_a_file_that_is_deleted_while_it_is_indexed_holds_up_nobody(tmp_path: Path) -> None:
    """A long one would keep the others waiting for an hour after nobody wants it any more."""
    async with house(tmp_path) as home:
        home.library.gate = asyncio.Event()  # nobody opens it
        endless, short = await home.file("endless", "alpha"), await home.file("short", "beta")
        stores = home.services.vector_stores
        store = await stores.create(requests.CreateVectorStore(file_ids=(endless.id,)))
        await asyncio.sleep(0.05)  # it is being indexed now
        home.library.gate = None
        await stores.add_file(store.id, requests.CreateStoreFile(file_id=short.id))
        await home.services.files.delete(endless.id)
        done = await indexed(home, store.id)

    assert FileCounts(completed=1, total=1) == done.file_counts
    assert ["beta"] == list(home.library.texts.values())
