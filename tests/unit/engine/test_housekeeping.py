"""What is past its time: gone or expired at once, tidied up by the heartbeat; and bytes that nothing names."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, NotFound
from local_assistants.engine.objects import FileCounts, VectorStore
from local_assistants.engine.ports import PageQuery
from tests.support.clock import START
from tests.support.engine import CODE, FAST, SEARCH, House, house
from tests.support.stores import indexed, searching
from tests.support.uploads import filled, pieces

DAY = 86_400
ONE_DAY: dict[str, Any] = {"expires_after": {"anchor": "last_active_at", "days": 1}}


async def short_lived(home: House, text: str = "alpha") -> str:
    """A file for an hour."""
    chunks = pieces(text.encode())
    return (await home.services.files.create("a.txt", "assistants", chunks, 3600)).id


async def store_for_a_day(home: House, *file_ids: str) -> VectorStore:
    """A vector store that expires a day after its last use."""
    body = requests.CreateVectorStore.model_validate(ONE_DAY | {"file_ids": file_ids})
    store = await home.services.vector_stores.create(body)
    return await indexed(home, store.id)


async def kept_status(home: House, store_id: str) -> str:
    """As the record says, whatever the time."""
    store = await home.store.read(lambda tx: tx.get(VectorStore, store_id))
    assert store is not None
    return store.status


async def tidied(home: House) -> None:
    """Wait until the heartbeat's housekeeping has nothing left to do."""
    async with asyncio.timeout(10):
        while True:
            due = await home.store.read(lambda tx: tx.next_due())
            if due is None or due > home.clock.now():
                return
            await asyncio.sleep(0.002)


async def test_a_file_is_gone_the_moment_its_time_has_come(tmp_path: Path) -> None:
    """Before anyone has tidied up: not read, not listed, not downloaded, not taken for anything new."""
    async with house(tmp_path, settings=replace(FAST, housekeeping=10**9)) as home:
        file_id = await short_lived(home)
        other = await home.file("b.txt", "beta")
        await home.services.worker.stop()  # nobody tidies up
        await home.virtual.advance(3599, sleepers=0)
        assert file_id == (await home.services.files.get(file_id)).id
        await home.virtual.advance(1, sleepers=0)
        files = home.services.files
        store = await home.services.vector_stores.create(requests.CreateVectorStore())
        for gone in (files.get(file_id), files.content(file_id), files.delete(file_id)):
            with pytest.raises(NotFound, match=f"No such File object: {file_id}"):
                await gone
        body = requests.CreateStoreFile(file_id=file_id)
        with pytest.raises(InvalidRequest, match=f"No file found with id.s.: {file_id}"):
            await home.services.vector_stores.add_file(store.id, body)
        with pytest.raises(InvalidRequest, match=f"No file found with id.s.: {file_id}"):
            await home.thread(tool_resources={"code_interpreter": {"file_ids": [file_id]}})
        listed = await files.list(PageQuery(), "assistants")

    assert [other.id] == [file.id for file in listed.data]


async def test_an_expired_file_is_taken_out_of_everything(tmp_path: Path) -> None:
    """Stores, the code interpreter's lists of assistants and threads, its bytes; by the heartbeat, nobody asks."""
    async with house(tmp_path) as home:
        file_id = await short_lived(home)
        kept = await home.file("b.txt", "beta")
        store = await store_for_a_day(home, file_id, kept.id)
        listed = {"code_interpreter": {"file_ids": [file_id, kept.id]}}
        assistant = await home.assistant(tools=[CODE], tool_resources=listed)
        thread = await home.thread("Hi", tool_resources=listed)
        await home.virtual.advance(3600)
        await tidied(home)
        async with asyncio.timeout(10):
            while (store.id, file_id) in home.library.texts:  # noqa: ASYNC110 - it comes after the record
                await asyncio.sleep(0.002)
        left = await home.services.vector_stores.get(store.id)
        now_lists = [
            (await home.services.assistants.get(assistant.id)).tool_resources.file_ids,
            (await home.services.threads.get(thread.id)).tool_resources.file_ids,
        ]

    assert (FileCounts(completed=1, total=1), 4) == (left.file_counts, left.usage_bytes)
    assert [(kept.id,), (kept.id,)] == now_lists
    assert not list((tmp_path / "blobs").glob(f"*/*/{file_id}"))


async def test_a_store_has_expired_the_moment_its_time_has_come(tmp_path: Path) -> None:
    """Read, listed and refused as expired before the record says so."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        store = await store_for_a_day(home)
        await home.services.worker.stop()
        await home.virtual.advance(DAY, sleepers=0)
        assert "completed" == await kept_status(home, store.id)
        assert "expired" == (await stores.get(store.id)).status
        assert ["expired"] == [one.status for one in (await stores.list(PageQuery())).data]
        with pytest.raises(InvalidRequest, match=f"Vector store '{store.id}' has expired"):
            await stores.search(store.id, requests.SearchStore(query="alpha"))


async def test_an_expired_store_is_marked_and_emptied(tmp_path: Path) -> None:
    """By the heartbeat; what waits to be indexed is cancelled, its text is let go, its record and files stay."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        done, waiting = await home.file("a.txt", "alpha"), await home.file("b.txt", "beta")
        store = await store_for_a_day(home, done.id)
        home.library.gate = asyncio.Event()
        await stores.add_file(store.id, requests.CreateStoreFile(file_id=waiting.id))
        await home.virtual.advance(DAY)
        await tidied(home)
        home.library.gate.set()
        async with asyncio.timeout(10):
            while home.library.texts:  # noqa: ASYNC110 - it comes after the record
                await asyncio.sleep(0.002)
        left = await stores.get(store.id)
        page = await stores.list_files(store.id, PageQuery(order="asc"))
        renamed = await stores.modify(store.id, requests.ModifyVectorStore(name="Old"))
        with pytest.raises(InvalidRequest, match="has expired"):
            await stores.modify(store.id, requests.ModifyVectorStore.model_validate(ONE_DAY))
        await stores.remove_file(store.id, done.id)
        fewer = await stores.get(store.id)
        await stores.delete(store.id)
        assert done.id == (await home.services.files.get(done.id)).id

    assert ("expired", FileCounts(completed=1, cancelled=1, total=2)) == (
        left.status,
        left.file_counts,
    )
    assert ["completed", "cancelled"] == [item.status for item in page.data]
    assert ("Old", "expired") == (renamed.name, renamed.status)
    assert (FileCounts(cancelled=1, total=1), 0) == (fewer.file_counts, fewer.usage_bytes)


async def test_a_store_changed_after_its_time_is_emptied_all_the_same(tmp_path: Path) -> None:
    """A new name does not take the expiry from housekeeping, which lets go of the text and ends the bill."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        store = await store_for_a_day(home, (await home.file("a.txt", "alpha")).id)
        await home.services.worker.stop()  # nobody tidies up
        await home.virtual.advance(DAY, sleepers=0)
        renamed = await stores.modify(store.id, requests.ModifyVectorStore(name="Old"))
        kept = await kept_status(home, store.id)
        await home.services.housekeeping.expire()
        (period,) = await home.store.read(lambda tx: tx.storage_since(0, START + 2 * DAY))
        texts = home.library.texts

    assert ("Old", "expired", "completed") == (renamed.name, renamed.status, kept)
    assert ({}, START + DAY) == (texts, period.until)


async def test_a_store_in_use_does_not_expire(tmp_path: Path) -> None:
    """Searches, new files, and runs that may search it move its expiry; reading and renaming do not."""
    async with house(tmp_path) as home:
        stores = home.services.vector_stores
        file = await home.file("a.txt", "alpha")
        store = await store_for_a_day(home)
        moments: list[tuple[int | None, int | None]] = []

        async def later() -> None:
            found = await stores.get(store.id)
            moments.append((found.last_active_at, found.expires_at))
            await home.virtual.advance(1000)

        await later()
        await stores.modify(store.id, requests.ModifyVectorStore(name="New"))
        await later()
        await stores.search(store.id, requests.SearchStore(query="alpha"))
        await later()
        await stores.add_file(store.id, requests.CreateStoreFile(file_id=file.id))
        await later()
        resources = {"file_search": {"vector_store_ids": [store.id]}}
        assistant = await home.assistant(tools=[SEARCH], tool_resources=resources)
        thread = await home.thread("Hi")
        await home.finish(await home.run(thread.id, assistant.id))
        await later()

    used = [START, START, START + 2000, START + 3000, START + 4000]
    assert [(at, at + DAY) for at in used] == moments


async def test_a_run_over_an_expired_store_says_so(tmp_path: Path) -> None:
    """The thread's store after seven days without use; another thread's run is well."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        thread = await home.thread("Hi", tool_resources=searching(file.id))
        (store_id,) = thread.tool_resources.vector_store_ids
        await indexed(home, store_id)
        assistant = await home.assistant(tools=[SEARCH])
        await home.virtual.advance(7 * DAY - 1)
        used = await home.finish(await home.run(thread.id, assistant.id))
        await home.virtual.advance(7 * DAY)
        late = await home.finish(await home.run(thread.id, assistant.id))
        other = await home.finish(await home.run((await home.thread("Hi")).id, assistant.id))
        attachment = {"file_id": file.id, "tools": [SEARCH]}
        with pytest.raises(InvalidRequest, match=f"Vector store '{store_id}' has expired"):
            await home.message(thread.id, "More", attachments=[attachment])

    assert ("completed", "failed", "completed") == (used.status, late.status, other.status)
    assert late.last_error is not None
    assert f"Vector store '{store_id}' has expired" == late.last_error.message


async def test_bytes_that_nothing_names_are_swept_when_they_are_old(tmp_path: Path) -> None:
    """Younger ones may be on their way to their record; files and parts stay."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        _, (part_id,) = await filled(home.services, b"x")
        for key in ("file-lost", "part_lost", "file-new"):
            await home.core.blobs.write(key, pieces(b"lost"), 100)
        old = [home.core.blobs.path(key) for key in ("file-lost", "part_lost", file.id, part_id)]
        for path in old:
            os.utime(path, (1, 1))
        await home.services.housekeeping.sweep()
        left = await home.core.blobs.keys(0.0)

    assert {file.id, part_id, "file-new"} == set(left)


async def test_what_expired_while_nobody_was_there_is_tidied_up_at_the_start(
    tmp_path: Path,
) -> None:
    """The plan is in the store."""
    async with house(tmp_path) as home:
        file_id = await short_lived(home)
        clock = home.virtual
    await clock.advance(3600, sleepers=0)
    async with house(tmp_path, clock=clock) as home:
        await tidied(home)
        async with asyncio.timeout(10):
            while list((tmp_path / "blobs").glob(f"*/*/{file_id}")):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.002)
        listed = await home.services.files.list(PageQuery())

    assert () == listed.data
