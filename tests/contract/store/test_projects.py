"""Views of one project: what belongs to another project is not there, cannot be changed, and is not replaced."""

from collections.abc import Callable
from typing import Any

import pytest

from local_assistants.engine import objects
from local_assistants.engine.errors import InvalidRequest, StorageFault, ThreadBusy
from local_assistants.engine.events import EventName
from local_assistants.engine.ports import PageQuery, Store, Transaction, TranscriptEntry
from local_assistants.engine.states import RunStatus
from tests.contract.store import samples
from tests.contract.store.conftest import put

LISTED = objects.ToolResources(code_interpreter=objects.FileIds(file_ids=("file-1",)))
ROOTS: tuple[objects.Wire, ...] = (
    samples.assistant(tool_resources=LISTED),
    samples.thread(tool_resources=LISTED),
    samples.file(),
    samples.vector_store(),
    samples.upload(),
)
CHILDREN: tuple[objects.Wire, ...] = (
    samples.message(run_id="run_1"),
    samples.run(),
    samples.step(),
    samples.store_file(),
    samples.batch(),
    samples.part(),
)
KEYS: dict[type[objects.Wire], str] = {objects.VectorStoreFile: "vs_1/file-1"}


OWNERS: tuple[type[objects.Assistant] | type[objects.Thread], ...] = (
    objects.Assistant,
    objects.Thread,
)


def key_of(obj: objects.Wire) -> str:
    """What the object is found by."""
    return KEYS.get(type(obj)) or str(getattr(obj, "id"))  # noqa: B009 - every stored kind has an id


def kind_name(obj: objects.Wire) -> str:
    """For the names of tests."""
    return type(obj).__name__


@pytest.fixture
async def theirs(whole: Store) -> Store:
    """The view of a project that has one object of each kind, chunks, events and a transcript."""
    view = whole.scoped("theirs")
    await put(view, *ROOTS, *CHILDREN)

    def more(tx: Transaction) -> None:
        tx.append_event("run_1", EventName.RUN_CREATED, {"id": "run_1"})
        tx.append_transcript(TranscriptEntry("thread_1", message_id="msg_1"))
        tx.put_chunks([samples.chunk(1, "walrus")])
        tx.add_to_batch("vsfb_1", "vs_1", ["file-1"])

    await view.write(more)
    await whole.write(lambda tx: tx.claim_run("worker", 0.0, 10.0))
    return view


@pytest.fixture
def ours(whole: Store) -> Store:
    """Another project's view."""
    return whole.scoped("ours")


async def everything(view: Store) -> list[Any]:
    """All that a view shows of what `theirs` holds."""

    def read(tx: Transaction) -> list[Any]:
        found: list[Any] = [tx.get(type(obj), key_of(obj)) for obj in (*ROOTS, *CHILDREN)]
        found += [tx.page(type(obj), PageQuery()) for obj in (*ROOTS, *CHILDREN)]
        found += [tx.events("run_1"), tx.last_seq("run_1"), tx.transcript("thread_1")]
        found += [tx.active_run("thread_1"), tx.lease_owner("run_1"), tx.project_of("thread_1")]
        found += [tx.chunks(["chunk_1"]), tx.file_chunks("vs_1"), tx.file_chunks("vs_1", "file-1")]
        found += [tx.match_chunks(["vs_1"], "walrus", 9), tx.stores_with_file("file-1")]
        found += [tx.batches_with_file("vs_1", "file-1")]
        found += [tx.owners_of_file(kind, "file-1") for kind in OWNERS]
        found += [tx.count(type(obj), {}) for obj in (*ROOTS, *CHILDREN)]
        return [*found, tx.count_store_files("vs_1"), tx.count_batch_files("vsfb_1")]

    return await view.read(read)


async def test_the_owner_and_the_whole_store_see_everything(whole: Store, theirs: Store) -> None:
    """Nothing is hidden from who it belongs to, nor from those who work on all of it."""
    seen = await everything(theirs)
    assert all(seen)
    assert seen == await everything(whole)


async def test_another_project_sees_nothing(theirs: Store, ours: Store) -> None:
    """Each way of asking gives what it gives for an object that does not exist."""
    no_page: Any = ([], False)
    nothing: Any = []
    empty: list[Any] = (
        [None] * 11 + [no_page] * 11 + [nothing, 0, nothing] + [None] * 3 + [nothing] * 8 + [0] * 11
    )
    assert [*empty, (objects.FileCounts(), 0), objects.FileCounts()] == await everything(ours)


LISTS: list[tuple[type[objects.Wire], dict[str, str]]] = [
    (objects.Message, {"thread_id": "thread_1"}),
    (objects.Message, {"thread_id": "thread_1", "run_id": "run_1"}),
    (objects.Run, {"thread_id": "thread_1"}),
    (objects.RunStep, {"run_id": "run_1"}),
    (objects.RunStep, {"thread_id": "thread_1", "run_id": "run_1"}),
    (objects.File, {"purpose": "assistants"}),
    (objects.VectorStore, {"status": "completed"}),
    (objects.VectorStoreFile, {"vector_store_id": "vs_1"}),
    (objects.VectorStoreFile, {"batch_id": "vsfb_1"}),
    (objects.FileBatch, {"vector_store_id": "vs_1"}),
    (objects.UploadPartRecord, {"upload_id": "upload_1"}),
]


@pytest.mark.parametrize(("kind", "where"), LISTS)
async def test_a_filtered_list_shows_only_what_is_ones_own(
    theirs: Store, ours: Store, kind: type[objects.Wire], where: dict[str, str]
) -> None:
    """By the id of a parent, by status, by purpose, by membership."""
    query = PageQuery(where)
    own, other = [(await view.read(lambda tx: tx.page(kind, query)))[0] for view in (theirs, ours)]
    counts = [await view.read(lambda tx: tx.count(kind, where)) for view in (theirs, ours)]
    assert (1, 0) == (len(own), len(other))
    assert [1, 0] == counts


@pytest.mark.parametrize("obj", [*ROOTS, *CHILDREN], ids=kind_name)
async def test_another_project_deletes_nothing(
    whole: Store, theirs: Store, ours: Store, obj: objects.Wire
) -> None:
    """Neither by id nor by filter."""
    where = {"created_at": "100"} if type(obj) in map(type, ROOTS) else _parent(obj)
    before = await everything(whole)
    assert not await ours.write(lambda tx: tx.delete(type(obj), key_of(obj)))
    assert 0 == await ours.write(lambda tx: tx.delete_where(type(obj), where))
    assert before == await everything(whole)
    assert await theirs.write(lambda tx: tx.delete(type(obj), key_of(obj)))


def _parent(obj: objects.Wire) -> dict[str, str]:
    for name in ("thread_id", "vector_store_id", "upload_id"):
        if hasattr(obj, name):
            return {name: str(getattr(obj, name))}
    raise AssertionError(f"{obj!r} has no parent")


@pytest.mark.parametrize("obj", [*ROOTS, *CHILDREN], ids=kind_name)
async def test_another_projects_object_is_not_replaced(
    whole: Store, theirs: Store, ours: Store, obj: objects.Wire
) -> None:
    """An id that is taken elsewhere is refused, whole transaction and all."""
    before = await everything(whole)
    await put(ours, samples.thread(2), samples.vector_store(2), samples.upload(2))
    own = {"thread_id": "thread_2", "vector_store_id": "vs_2", "upload_id": "upload_2"}
    own |= {"filename": "mine", "name": "mine"}
    mine = obj.model_copy(update={k: v for k, v in own.items() if hasattr(obj, k)})
    if isinstance(obj, objects.VectorStoreFile):  # its key names the store
        mine = obj.model_copy(update={"usage_bytes": 9})
    with pytest.raises(StorageFault, match="does not fit what is stored"):
        await put(ours, samples.assistant(9), mine)
    assert await ours.read(lambda tx: tx.get(objects.Assistant, "asst_9")) is None
    assert before == await _without(whole, ours)
    del theirs


async def _without(whole: Store, ours: Store) -> list[Any]:
    """Everything, after our own root objects are gone again."""

    def drop(tx: Transaction) -> None:
        assert tx.delete(objects.Thread, "thread_2")
        assert tx.delete(objects.VectorStore, "vs_2")
        assert tx.delete(objects.UploadRecord, "upload_2")

    await ours.write(drop)
    return await everything(whole)


INTRUSIONS: dict[str, Callable[[Transaction], object]] = {
    "message": lambda tx: tx.put(samples.message(2)),
    "run": lambda tx: tx.put(samples.run(2, thread_id="thread_1", status=RunStatus.COMPLETED)),
    "step": lambda tx: tx.put(samples.step(2)),
    "store file": lambda tx: tx.put(samples.store_file(2)),
    "batch": lambda tx: tx.put(samples.batch(2)),
    "part": lambda tx: tx.put(samples.part(2)),
    "event": lambda tx: tx.append_event("run_1", EventName.RUN_QUEUED, {}),
    "transcript": lambda tx: tx.append_transcript(TranscriptEntry("thread_1")),
    "chunk": lambda tx: tx.put_chunks([samples.chunk(2, "walrus")]),
    "replaced chunk": lambda tx: tx.put_chunks(
        [samples.chunk(1, "penguin", vector_store_id="vs_2")]
    ),
    "batch member": lambda tx: tx.add_to_batch("vsfb_1", "vs_1", ["file-2"]),
}


@pytest.mark.parametrize("what", INTRUSIONS)
async def test_nothing_is_added_to_another_project(
    whole: Store, theirs: Store, ours: Store, what: str
) -> None:
    """A thread, run or vector store that is not one's own takes nothing."""
    await put(ours, samples.vector_store(2))
    before = await everything(whole)
    with pytest.raises(StorageFault, match="does not fit what is stored"):
        await ours.write(INTRUSIONS[what])
    assert before == await everything(whole)
    await theirs.write(INTRUSIONS[what] if what != "replaced chunk" else lambda _: None)


async def test_chunks_of_another_project_are_not_deleted(theirs: Store, ours: Store) -> None:
    """They are not named either."""
    for file_id in ("file-1", None):
        assert [] == await ours.write(lambda tx, f=file_id: tx.delete_chunks("vs_1", f))  # type: ignore[misc]
    assert ["chunk_1"] == await theirs.write(lambda tx: tx.delete_chunks("vs_1"))


@pytest.mark.parametrize("param", ["after", "before"])
@pytest.mark.parametrize("obj", ROOTS, ids=kind_name)
async def test_a_cursor_of_another_project_is_unknown(
    theirs: Store, ours: Store, obj: objects.Wire, param: str
) -> None:
    """As one that was made up."""
    query = PageQuery(**{param: key_of(obj)})  # type: ignore[arg-type]
    assert ([], False) == await theirs.read(lambda tx: tx.page(type(obj), query))
    with pytest.raises(InvalidRequest):
        await ours.read(lambda tx: tx.page(type(obj), query))


async def test_a_list_of_one_project_is_not_broken_by_the_others(whole: Store) -> None:
    """Objects of two projects that were made in turns: pages hold only one's own, full ones."""
    for number in range(10):
        await put(whole.scoped("odd" if number % 2 else "even"), samples.thread(number))
    query = PageQuery(limit=3, order="asc", after="thread_3")
    page, more = await whole.scoped("odd").read(lambda tx: tx.page(objects.Thread, query))
    assert (["thread_5", "thread_7", "thread_9"], False) == ([each.id for each in page], more)


async def test_a_change_keeps_the_project(whole: Store, theirs: Store, ours: Store) -> None:
    """Who works on the whole store changes objects of all projects, and moves none."""
    changed = samples.thread(metadata={"changed": "yes"})
    await put(whole, changed)
    assert changed == await theirs.read(lambda tx: tx.get(objects.Thread, "thread_1"))
    assert await ours.read(lambda tx: tx.get(objects.Thread, "thread_1")) is None


async def test_without_a_project_things_are_the_default_projects(whole: Store) -> None:
    """What is made on the whole store is found in `default`."""
    await put(whole, *ROOTS)
    default = whole.scoped(objects.DEFAULT_PROJECT)
    found = await default.read(lambda tx: [tx.get(type(obj), key_of(obj)) for obj in ROOTS])
    assert list(ROOTS) == found
    assert "default" == await whole.read(lambda tx: tx.project_of("thread_1"))


async def test_a_threads_lock_holds_in_a_view_too(theirs: Store) -> None:
    """A second run that is not over is refused as ever."""
    with pytest.raises(ThreadBusy):
        await put(theirs, samples.run(2, thread_id="thread_1"))


BACKGROUND: dict[str, Callable[[Transaction], object]] = {
    "claim": lambda tx: tx.claim_run("worker", 0.0, 10.0),
    "claim one": lambda tx: tx.claim_run("worker", 0.0, 10.0, "run_1"),
    "extend": lambda tx: tx.extend_leases("worker", 0.0, 10.0),
    "release": lambda tx: tx.release_run("run_1", "worker"),
    "projects": lambda tx: tx.several_projects(),
    "leases": lambda tx: tx.leases_after(0.0),
    "overdue": lambda tx: tx.overdue_runs(0.0),
    "expired": lambda tx: tx.due(objects.File, 0.0),
    "next to expire": lambda tx: tx.next_due(),
    "orphans": lambda tx: tx.unowned(["file-1"]),
}


@pytest.mark.parametrize("what", BACKGROUND)
async def test_what_serves_all_projects_is_refused_to_a_view(theirs: Store, what: str) -> None:
    """A worker that claimed the runs of one project would starve the others; a view takes foreign bytes for orphans."""
    with pytest.raises(StorageFault, match="whole store"):
        await theirs.write(BACKGROUND[what])


async def test_keys_are_in_no_project(theirs: Store) -> None:
    """They open projects: no view finds, lists or makes them."""
    key = objects.ApiKey(id="key_1", created_at=1, project="theirs", ending="abcd", digest="00")
    with pytest.raises(StorageFault, match="not stored here"):
        await put(theirs, key)
    with pytest.raises(StorageFault, match="not stored here"):
        await theirs.read(lambda tx: tx.page(objects.ApiKey, PageQuery()))


async def test_a_view_does_not_widen(theirs: Store) -> None:
    """It leads to itself and nowhere else; closing it closes nothing."""
    assert await everything(theirs.scoped("theirs"))
    with pytest.raises(StorageFault):
        theirs.scoped("ours")
    await theirs.close()
    assert all(await everything(theirs))


@pytest.mark.parametrize("project", ["ours' OR '1'='1", "", "THEIRS", "theirs ", "\x00", "%"])
async def test_a_projects_name_is_only_a_name(whole: Store, theirs: Store, project: str) -> None:
    """No pattern, no SQL, no other spelling of another one."""
    assert not await whole.scoped(project).read(lambda tx: tx.get(objects.Thread, "thread_1"))
    assert await theirs.read(lambda tx: tx.get(objects.Thread, "thread_1"))
