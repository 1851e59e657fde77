"""Vector stores, their files, batches and search, over the real index."""

from typing import Any

import openai

from .reporting import Cases, holds, same
from .world import World, every, got

CASES = Cases()
CATS = "Cats purr when they are content. A cat sleeps sixteen hours a day."
SHIPS = "The frigate Amalia left the harbour of Rotterdam in 1894 with a cargo of tin."


async def stored(world: World, name: str, text: str, purpose: str = "assistants") -> str:
    """The id of a new file."""
    made = await got(world.client.files.create(file=(name, text.encode()), purpose=purpose))
    return str(made.id)


async def store_of(world: World, *files: str, **fields: Any) -> str:
    """The id of a new store in which these files are indexed."""
    store = await got(world.stores.create(**fields))
    for file in files:
        await got(world.stores.files.create_and_poll(file, vector_store_id=store.id))
    return str(store.id)


@CASES("objects", "vector stores: create, retrieve, update, list, delete")
async def stores(world: World) -> None:
    """With a name and without one, with and without an expiry."""
    api = world.stores
    plain = await got(api.create())
    same((None, "completed", 0), (plain.name, plain.status, plain.file_counts.total))
    made = await got(
        api.create(
            name="library",
            expires_after={"anchor": "last_active_at", "days": 3},
            metadata={"k": "v"},
        )
    )
    same(3 * 86400, made.expires_at - made.last_active_at)
    changed = await got(api.update(made.id, name="archive", expires_after=None, metadata={}))
    same(("archive", None), (changed.name, changed.expires_after))
    same("{}", str(changed.metadata))
    same(changed.model_dump(), (await got(api.retrieve(made.id))).model_dump())
    found = [store.id for store in await every(api.list(limit=1))]
    same([made.id, plain.id], found[:2], "newest first, by pages of one")
    oldest = await got(api.list(order="asc", after=plain.id))
    same(made.id, oldest.data[0].id)
    same([plain.id], [store.id for store in (await got(api.list(before=found[2]))).data[1:2]])
    gone = await got(api.delete(made.id))
    same(("vector_store.deleted", True), (gone.object, gone.deleted))


@CASES("objects", "store files: create, retrieve, update, content, list, delete")
async def store_files(world: World) -> None:
    """Attributes and chunking; the parsed text; what fails says why."""
    api = world.stores.files
    store = await store_of(world)
    cats = await stored(world, "cats.txt", CATS)
    chunks = {
        "type": "static",
        "static": {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 50},
    }
    made = await got(
        api.create(
            vector_store_id=store, file_id=cats, attributes={"n": 1}, chunking_strategy=chunks
        )
    )
    same((cats, store), (made.id, made.vector_store_id))
    done = await got(api.poll(cats, vector_store_id=store))
    same(("completed", 200), (done.status, done.chunking_strategy.static.max_chunk_size_tokens))
    holds(done.usage_bytes > len(CATS), "the index takes place")
    changed = await got(
        api.update(cats, vector_store_id=store, attributes={"kind": "pet", "n": 2.0, "old": False})
    )
    same({"kind": "pet", "n": 2.0, "old": False}, changed.attributes)
    text = "".join([part.text for part in await every(api.content(cats, vector_store_id=store))])
    holds("Cats purr" in text, f"the parsed text is {text!r}")
    bad = await stored(world, "data.parquet", "PAR1")
    failed = await got(api.create_and_poll(bad, vector_store_id=store))
    same(("failed", "unsupported_file"), (failed.status, failed.last_error.code))
    by_status = await every(api.list(store, filter="failed"))
    same([bad], [file.id for file in by_status])
    same([bad, cats], [file.id for file in await every(api.list(store, limit=1))])
    gone = await got(api.delete(cats, vector_store_id=store))
    same(("vector_store.file.deleted", True), (gone.object, gone.deleted))
    same(1, (await got(world.stores.retrieve(store))).file_counts.total)


@CASES("objects", "file batches: create, retrieve, cancel, list files")
async def batches(world: World) -> None:
    """Attributes for all; the files of a batch by status."""
    api = world.stores.file_batches
    store = await store_of(world)
    files = [await stored(world, f"{n}.txt", f"{SHIPS} {n}") for n in range(3)]
    made = await got(api.create(store, file_ids=files, attributes={"batch": "one"}))
    done = await got(api.poll(made.id, vector_store_id=store))
    same(("completed", 3, 3), (done.status, done.file_counts.completed, done.file_counts.total))
    same("completed", (await got(api.retrieve(made.id, vector_store_id=store))).status)
    listed = await every(api.list_files(made.id, vector_store_id=store, limit=2, order="asc"))
    same(files, [file.id for file in listed])
    same({"batch": "one"}, listed[0].attributes)
    stopped = await _cancelled_batch(world, store)
    settled = await got(api.poll(stopped.id, vector_store_id=store))
    same((8, 0), (settled.file_counts.total, settled.file_counts.in_progress))
    holds(settled.file_counts.cancelled, "files that were not indexed yet are cancelled")


async def _cancelled_batch(world: World, store: str) -> Any:
    """A batch that was cancelled; one that is indexed before the cancel comes is followed by another."""
    api = world.stores.file_batches
    for attempt in range(5):
        files = [await stored(world, f"{attempt}-{n}.txt", f"{CATS} {n}" * 50) for n in range(8)]
        batch = await got(api.create(store, file_ids=files))
        try:
            return await got(api.cancel(batch.id, vector_store_id=store))
        except openai.BadRequestError:
            await got(api.poll(batch.id, vector_store_id=store))
    raise AssertionError("no batch was slow enough to be cancelled")


@CASES("objects", "vector stores: search with filters")
async def search(world: World) -> None:
    """The right file first; filters of both kinds; several queries at once."""
    cats, ships = (
        await stored(world, "cats.txt", CATS),
        await stored(world, "ships.md", SHIPS),
    )
    store = await store_of(world, cats, ships)
    await got(
        world.stores.files.update(
            ships, vector_store_id=store, attributes={"year": 1894, "sea": True}
        )
    )
    found = await every(world.stores.search(store, query="When did the frigate leave Rotterdam?"))
    same((ships, "ships.md"), (found[0].file_id, found[0].filename))
    holds("1894" in found[0].content[0].text, "the passage is there")
    after = {"type": "gte", "key": "year", "value": 1900}
    same([], await every(world.stores.search(store, query="frigate", filters=after)))
    both: Any = {
        "type": "and",
        "filters": [
            {"type": "lt", "key": "year", "value": 1900},
            {"type": "eq", "key": "sea", "value": True},
        ],
    }
    several = await every(
        world.stores.search(
            store, query=["frigate", "cargo"], filters=both, max_num_results=1, rewrite_query=False
        )
    )
    same([ships], [hit.file_id for hit in several])


@CASES("helpers", "vector_stores.files: upload, upload_and_poll")
async def uploaded_files(world: World) -> None:
    """Both helpers upload and attach."""
    store = await store_of(world)
    done = await got(
        world.stores.files.upload_and_poll(vector_store_id=store, file=("cats.txt", CATS.encode()))
    )
    same("completed", done.status)
    begun = await got(
        world.stores.files.upload(vector_store_id=store, file=("ships.md", SHIPS.encode()))
    )
    same("completed", (await got(world.stores.files.poll(begun.id, vector_store_id=store))).status)


@CASES("helpers", "vector_stores.file_batches: create_and_poll, upload_and_poll")
async def uploaded_batch(world: World) -> None:
    """Uploads in parallel and waits for all; a batch of known files; a file that fails does not block."""
    store = await store_of(world)
    known = await stored(world, "known.txt", CATS)
    done = await got(
        world.stores.file_batches.upload_and_poll(
            store,
            files=[("a.txt", CATS.encode()), ("b.txt", SHIPS.encode()), ("c.bin", b"\0\1")],
            file_ids=[known],
        )
    )
    counts = done.file_counts
    same((3, 1, 4), (counts.completed, counts.failed, counts.total))
    again = await got(world.stores.file_batches.create_and_poll(store, file_ids=[known]))
    same("completed", again.status)
