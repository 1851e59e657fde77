"""The queue of files that are to be indexed, and what becomes of a file's text when the file is taken out."""

from functools import partial

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import VectorStore, VectorStoreFile
from local_assistants.engine.ports import Chunk, Extract, Store, Transaction
from local_assistants.engine.states import StoreFileStatus, StoreStatus
from tests.contract.store.conftest import put


def vector_store(id_: str, status: StoreStatus = StoreStatus.IN_PROGRESS) -> VectorStore:
    """An empty vector store."""
    return VectorStore(id=id_, created_at=1, status=status)


def store_file(
    store_id: str, file_id: str, status: StoreFileStatus = StoreFileStatus.IN_PROGRESS
) -> VectorStoreFile:
    """A file of a vector store."""
    return VectorStoreFile(id=file_id, created_at=1, vector_store_id=store_id, status=status)


async def waiting(store: Store, *beside: str, limit: int = 10) -> list[tuple[str, str, str]]:
    """(project, vector store, file) of the files that are next."""
    found = await store.read(lambda tx: tx.waiting_store_files(beside, limit))
    return [(project, file.vector_store_id, file.id) for project, file in found]


async def test_the_oldest_file_of_each_store_is_next(whole: Store) -> None:
    """Whatever is completed, in a store without work, or at work already does not wait."""
    await put(whole, vector_store("vs_1"), vector_store("vs_2"))
    await put(whole, vector_store("vs_3", StoreStatus.COMPLETED))
    done = StoreFileStatus.COMPLETED
    await put(
        whole,
        store_file("vs_2", "file-a"),
        store_file("vs_1", "file-a", done),
        store_file("vs_1", "file-b"),
        store_file("vs_1", "file-c"),
        store_file("vs_3", "file-a"),
    )

    assert [("default", "vs_2", "file-a"), ("default", "vs_1", "file-b")] == await waiting(whole)
    assert [("default", "vs_2", "file-a")] == await waiting(whole, limit=1)
    assert [("default", "vs_1", "file-c")] == await waiting(whole, "vs_2/file-a", "vs_1/file-b")


async def test_a_file_waits_in_the_name_of_its_project(whole: Store) -> None:
    """And only the whole store knows the queue."""
    view = whole.scoped("one")
    await put(view, vector_store("vs_1"), store_file("vs_1", "file-a"))

    assert [("one", "vs_1", "file-a")] == await waiting(whole)
    with pytest.raises(StorageFault):
        await waiting(view)


def with_text(tx: Transaction, store_id: str, file_id: str) -> None:
    """Index a file of one chunk."""
    key = f"{store_id}/{file_id}/0"
    tx.put_chunks([Chunk(key, store_id, file_id, 0, "walrus", 0, 6, vector=b"1234")])
    tx.put_extract(Extract(store_id, file_id, "c", "r", "a.txt", 6, 1, "walrus", complete=True))


async def test_a_file_that_is_taken_out_takes_its_text_along(store: Store) -> None:
    """In the same transaction, by itself or with its whole store; that of other files stays."""
    await put(store, vector_store("vs_1"), vector_store("vs_2"))
    for store_id, file_id in (("vs_1", "file-a"), ("vs_1", "file-b"), ("vs_2", "file-a")):
        await put(store, store_file(store_id, file_id))
        await store.write(partial(with_text, store_id=store_id, file_id=file_id))

    def left(tx: Transaction) -> list[str]:
        return [
            f"{s}/{f}" for s in ("vs_1", "vs_2") for f in ("file-a", "file-b") if tx.extract(s, f)
        ]

    def take_out(tx: Transaction) -> list[str]:
        tx.delete(VectorStoreFile, "vs_1/file-a")
        assert tx.count_vectors("vs_1") == 1
        return [id_ for id_, _ in tx.match_chunks(["vs_1", "vs_2"], "walrus", 9)]

    assert {"vs_1/file-b/0", "vs_2/file-a/0"} == set(await store.write(take_out))
    assert ["vs_1/file-b", "vs_2/file-a"] == await store.read(left)
    await store.write(lambda tx: tx.delete(VectorStore, "vs_2"))
    assert ["vs_1/file-b"] == await store.read(left)


async def found_from(store: Store, store_id: str) -> Extract | None:
    """What can be copied into a vector store."""
    return await store.read(lambda tx: tx.find_extract("c", "r", store_id))


async def test_the_same_content_is_found_in_the_own_project_only(whole: Store) -> None:
    """How long indexing takes would else tell what others have."""
    for project, store_id in (("one", "vs_1"), ("one", "vs_2"), ("two", "vs_3")):
        await put(whole.scoped(project), vector_store(store_id))
    await whole.write(lambda tx: with_text(tx, "vs_1", "file-a"))
    found = [await found_from(whole, id_) for id_ in ("vs_1", "vs_2", "vs_3")]

    assert ["vs_1", "vs_1", None] == [one and one.vector_store_id for one in found]
    assert await whole.scoped("two").read(lambda tx: tx.find_extract("c", "r", "vs_1")) is None
    assert await whole.read(lambda tx: tx.find_extract("c", "other", "vs_1")) is None
