"""What expires, who lists a file, which batches count it, and which bytes are nobody's: each found by an index."""

from collections.abc import Callable

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import (
    Assistant,
    File,
    FileBatch,
    FileIds,
    Thread,
    ToolResources,
    UploadPartRecord,
    UploadRecord,
    VectorStore,
    VectorStoreFile,
)
from local_assistants.engine.ports import PageQuery, Store, Transaction
from local_assistants.engine.states import BatchStatus, StoreStatus, UploadStatus
from tests.contract.store import samples
from tests.contract.store.conftest import put


def listing(*file_ids: str) -> ToolResources:
    """Resources with these files for the code interpreter."""
    return ToolResources(code_interpreter=FileIds(file_ids=file_ids))


async def test_what_is_due_comes_longest_first(whole: Store) -> None:
    """Only what can still expire: no completed upload, no store that has, nothing without a time."""
    await put(
        whole,
        *(samples.file(n, expires_at=at) for n, at in enumerate((30, 10, None, 20))),
        samples.upload(1, expires_at=101),
        samples.upload(2, status=UploadStatus.COMPLETED, expires_at=5),
        samples.vector_store(1, expires_at=7, status=StoreStatus.EXPIRED),
        samples.vector_store(2, expires_at=8),
    )

    def look(tx: Transaction) -> list[list[str]]:
        return [
            [file.id for file in tx.due(File, 20)],
            [file.id for file in tx.due(File, 99, limit=1)],
            [one.id for one in tx.due(UploadRecord, 1000)],
            [one.id for one in tx.due(VectorStore, 1000)],
        ]

    assert await whole.read(look) == [["file-1", "file-3"], ["file-1"], ["upload_1"], ["vs_2"]]


async def test_the_next_that_is_due(whole: Store) -> None:
    """The earliest of all kinds; None when nothing will expire."""
    moments: list[int | None] = [await whole.read(lambda tx: tx.next_due())]
    for obj in (
        samples.upload(1, expires_at=101),
        samples.vector_store(expires_at=80),
        samples.file(expires_at=60),
    ):
        await put(whole, obj)
        moments.append(await whole.read(lambda tx: tx.next_due()))

    assert [None, 101, 80, 60] == moments


async def test_files_that_are_alive(store: Store) -> None:
    """A list leaves out those whose time has come."""
    await put(store, samples.file(1, expires_at=50), samples.file(2), samples.file(3, expires_at=9))

    async def alive(at: str) -> list[str]:
        page, _ = await store.read(lambda tx: tx.page(File, PageQuery({"alive_at": at})))
        return [file.id for file in page]

    assert (["file-2", "file-1"], ["file-2"]) == (await alive("49"), await alive("50"))


async def test_who_lists_a_file(store: Store) -> None:
    """As it was put last; a list that names a file twice, changes or is deleted stays true."""
    await put(
        store,
        samples.assistant(1, tool_resources=listing("file-1", "file-1")),
        samples.assistant(2, tool_resources=listing("file-2")),
        samples.thread(1, tool_resources=listing("file-1", "file-2")),
        samples.thread(2),
    )

    async def owners(file_id: str) -> tuple[list[str], list[str]]:
        return await store.read(
            lambda tx: (tx.owners_of_file(Assistant, file_id), tx.owners_of_file(Thread, file_id))
        )

    assert (["asst_1"], ["thread_1"]) == await owners("file-1")
    await put(
        store,
        samples.assistant(1),
        samples.thread(1, tool_resources=listing("file-1")),
        samples.thread(2, tool_resources=listing("file-2", "file-1")),
    )
    assert ([], ["thread_1", "thread_2"]) == await owners("file-1")
    assert (["asst_2"], ["thread_2"]) == await owners("file-2")
    await store.write(lambda tx: (tx.delete(Thread, "thread_2"), tx.delete(Assistant, "asst_2")))
    assert ([], ["thread_1"]) == await owners("file-1")
    assert ([], []) == await owners("file-2")


async def test_batches_that_count_a_file(store: Store) -> None:
    """Those in progress that it is a member of, and no others."""
    await put(
        store,
        samples.vector_store(1),
        samples.store_file(1),
        *(samples.batch(n) for n in (1, 2, 3)),
    )

    def join(tx: Transaction) -> None:
        for number in (1, 2):
            tx.add_to_batch(f"vsfb_{number}", "vs_1", ["file-1"])
        tx.put(samples.batch(1, status=BatchStatus.COMPLETED))

    await store.write(join)
    found = [
        await store.read(lambda tx: tx.batches_with_file("vs_1", "file-1")),
        await store.read(lambda tx: tx.batches_with_file("vs_2", "file-1")),
    ]

    assert [["vsfb_2"], []] == found
    assert await store.read(lambda tx: tx.get(VectorStoreFile, "vs_1/file-1")) is not None
    assert await store.read(lambda tx: tx.get(FileBatch, "vsfb_3")) is not None


async def test_bytes_that_are_nobodys(whole: Store) -> None:
    """A key is a file's or an upload part's, or unowned; parts go with their upload."""
    await put(
        whole, samples.file(1), samples.upload(1, expires_at=101), samples.part(1), samples.part(2)
    )
    keys = ["file-1", "part_1", "part_9", "file-9", "part_2"]
    assert ["part_9", "file-9"] == await whole.read(lambda tx: tx.unowned(keys))
    await whole.write(lambda tx: tx.delete(UploadRecord, "upload_1"))
    assert ["part_1", "part_9", "file-9", "part_2"] == await whole.read(lambda tx: tx.unowned(keys))
    assert [] == await whole.read(lambda tx: tx.unowned([]))


async def test_a_part_needs_its_upload(store: Store) -> None:
    """There is none without."""
    with pytest.raises(StorageFault, match="does not exist"):
        await put(store, samples.part(1))


async def test_a_view_of_a_project_keeps_no_house(whole: Store) -> None:
    """It sees its own parts, lists and batches only, and does not look for what expires."""
    ours, theirs = whole.scoped("ours"), whole.scoped("theirs")
    await put(
        ours,
        samples.upload(1, expires_at=101),
        samples.part(1),
        samples.file(1, expires_at=1),
        samples.thread(1, tool_resources=listing("file-1")),
        samples.vector_store(1),
        samples.store_file(1),
        samples.batch(1),
    )
    await ours.write(lambda tx: tx.add_to_batch("vsfb_1", "vs_1", ["file-1"]))

    def look(tx: Transaction) -> tuple[bool, list[str], list[str]]:
        seen = tx.get(UploadPartRecord, "part_1") is not None
        return seen, tx.owners_of_file(Thread, "file-1"), tx.batches_with_file("vs_1", "file-1")

    assert (True, ["thread_1"], ["vsfb_1"]) == await ours.read(look)
    assert (False, [], []) == await theirs.read(look)
    with pytest.raises(StorageFault):
        await put(theirs, samples.part(2))
    asked: list[Callable[[Transaction], object]] = [
        lambda tx: tx.due(File, 9),
        lambda tx: tx.next_due(),
        lambda tx: tx.unowned(["x"]),
    ]
    for query in asked:
        with pytest.raises(StorageFault, match="whole store"):
            await ours.read(query)
