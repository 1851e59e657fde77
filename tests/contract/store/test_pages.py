"""Lists: insertion order, cursors in both directions, filters."""

from collections.abc import Sequence
from typing import Any, Literal

import pytest

from local_assistants.engine import objects
from local_assistants.engine.errors import InvalidRequest, StorageFault
from local_assistants.engine.ports import PageQuery, Store
from local_assistants.engine.states import StoreFileStatus
from tests.contract.store import samples
from tests.contract.store.conftest import put


@pytest.fixture
async def filled(store: Store) -> Store:
    """A store with msg_0 .. msg_9 in thread_1, all of the same second, and one message in thread_2."""
    await put(store, samples.thread(1), samples.thread(2))
    await put(store, *(samples.message(number) for number in range(10)))
    await put(store, samples.message(99, thread_id="thread_2"))
    return store


async def numbers(store: Store, **query: Any) -> tuple[list[int], bool]:
    """The numbers of the messages of a page of thread_1, and whether more follow."""
    query.setdefault("where", {"thread_id": "thread_1"})
    found, more = await store.read(lambda tx: tx.page(objects.Message, PageQuery(**query)))
    return [int(message.id.removeprefix("msg_")) for message in found], more


PAGES: list[tuple[dict[str, Any], tuple[list[int], bool]]] = [
    ({}, ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], False)),
    ({"order": "asc", "limit": 3}, ([0, 1, 2], True)),
    ({"order": "desc", "limit": 3}, ([9, 8, 7], True)),
    ({"order": "desc", "limit": 10}, ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], False)),
    ({"order": "asc", "limit": 3, "after": "msg_2"}, ([3, 4, 5], True)),
    ({"order": "asc", "limit": 3, "after": "msg_6"}, ([7, 8, 9], False)),
    ({"order": "desc", "limit": 3, "after": "msg_7"}, ([6, 5, 4], True)),
    ({"order": "desc", "limit": 3, "after": "msg_0"}, ([], False)),
    ({"order": "asc", "limit": 3, "before": "msg_5"}, ([2, 3, 4], True)),
    ({"order": "asc", "limit": 5, "before": "msg_5"}, ([0, 1, 2, 3, 4], False)),
    ({"order": "desc", "limit": 3, "before": "msg_5"}, ([8, 7, 6], True)),
    ({"order": "desc", "limit": 3, "before": "msg_9"}, ([], False)),
    ({"order": "asc", "limit": 2, "after": "msg_2", "before": "msg_6"}, ([3, 4], True)),
    ({"order": "asc", "limit": 3, "after": "msg_2", "before": "msg_6"}, ([3, 4, 5], False)),
    ({"order": "desc", "limit": 9, "after": "msg_6", "before": "msg_2"}, ([5, 4, 3], False)),
    ({"order": "desc", "limit": 9, "after": "msg_6", "before": "msg_8"}, ([], False)),
]


@pytest.mark.parametrize(("query", "expected"), PAGES)
async def test_a_page_lies_where_its_cursors_say(
    filled: Store, query: dict[str, Any], expected: tuple[list[int], bool]
) -> None:
    """Objects of one second keep insertion order; has_more looks in the page's direction."""
    assert expected == await numbers(filled, **query)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_walking_with_after_shows_each_object_once(
    filled: Store, order: Literal["asc", "desc"]
) -> None:
    """Page by page to the end, as the SDK's auto-paging does."""
    seen: list[int] = []
    more, after = True, None
    while more:
        page, more = await numbers(filled, order=order, limit=3, after=after)
        seen += page
        after = f"msg_{page[-1]}"
    assert seen == sorted(range(10), reverse=order == "desc")


async def test_replacing_an_object_keeps_its_place(filled: Store) -> None:
    """A changed message does not move to the front."""
    await put(filled, samples.message(4, metadata={"changed": "yes"}))
    assert ([3, 4, 5], True) == await numbers(filled, order="asc", after="msg_2", limit=3)


async def test_a_cursor_survives_changes_of_other_objects(filled: Store) -> None:
    """Deleted neighbours leave no hole and no repetition."""
    await filled.write(lambda tx: tx.delete(objects.Message, "msg_3"))
    assert ([4, 5], True) == await numbers(filled, order="asc", after="msg_2", limit=2)


@pytest.mark.parametrize("param", ["after", "before"])
@pytest.mark.parametrize("cursor", ["msg_404", "msg_99", "", "'", "msg_1/", "\ud800", "\x00"])
async def test_a_cursor_outside_the_list_is_the_callers_mistake(
    filled: Store, param: str, cursor: str
) -> None:
    """Unknown ids and ids of another thread name the parameter at fault."""
    with pytest.raises(InvalidRequest) as caught:
        await numbers(filled, **{param: cursor})
    assert caught.value.param == param


async def test_filters_combine(filled: Store) -> None:
    """Two columns narrow the list to what matches both."""
    await put(filled, samples.message(20, run_id="run_a"), samples.message(21, run_id="run_b"))
    where = {"thread_id": "thread_1", "run_id": "run_b"}
    assert ([21], False) == await numbers(filled, where=where)


async def test_no_filter_lists_the_whole_kind(filled: Store) -> None:
    """Threads are listed without any condition."""
    found, more = await filled.read(lambda tx: tx.page(objects.Thread, PageQuery(limit=1)))
    assert (["thread_2"], True) == ([thread.id for thread in found], more)


async def test_an_unknown_filter_is_refused(filled: Store) -> None:
    """A column that is not kept is an error, not an empty list; nor is it SQL."""
    for column in ("colour", "1=1; --"):
        with pytest.raises(StorageFault, match="cannot be filtered"):
            await numbers(filled, where={column: "x"})


@pytest.fixture
async def library(store: Store) -> Store:
    """vs_1 and vs_2, each with file-1 .. file-4; file-2 and file-3 of vs_1 are a batch, file-3 is done."""
    await put(store, samples.vector_store(1), samples.vector_store(2), samples.batch())
    for number in range(1, 5):
        await put(
            store, samples.store_file(number), samples.store_file(number, vector_store_id="vs_2")
        )
    await put(store, samples.store_file(3, status=StoreFileStatus.COMPLETED))
    await store.write(lambda tx: tx.add_to_batch("vsfb_1", "vs_1", ["file-2", "file-3"]))
    return store


async def files(store: Store, where: dict[str, str], **query: Any) -> Sequence[str]:
    """Ids on a page of vector store files, oldest first."""
    found, _ = await store.read(
        lambda tx: tx.page(objects.VectorStoreFile, PageQuery(where, order="asc", **query))
    )
    return [f"{file.vector_store_id}/{file.id}" for file in found]


async def test_the_cursor_of_a_store_file_is_its_file_id(library: Store) -> None:
    """A file that lies in two stores is found in the one that is listed."""
    where = {"vector_store_id": "vs_2"}
    assert ["vs_2/file-3", "vs_2/file-4"] == await files(library, where, after="file-2")
    assert ["vs_2/file-1"] == await files(library, where, before="vs_2/file-2")


async def test_store_files_by_status(library: Store) -> None:
    """The API's `filter` is a column."""
    where = {"vector_store_id": "vs_1", "status": "completed"}
    assert ["vs_1/file-3"] == await files(library, where)


async def test_files_of_a_batch(library: Store) -> None:
    """Batch membership filters as a column does, with a cursor too."""
    where = {"vector_store_id": "vs_1", "batch_id": "vsfb_1"}
    assert ["vs_1/file-2", "vs_1/file-3"] == await files(library, where)
    assert ["vs_1/file-3"] == await files(library, {"batch_id": "vsfb_1"}, after="file-2")
    with pytest.raises(InvalidRequest):
        await files(library, where, after="file-1")


# --- filters on what has no column -----------------------------------------------------------------


PAIRS: list[dict[str, str]] = [
    {},
    {"user": "ann"},
    {"user": "bob", "topic": "tax"},
    {"user": "ann", "topic": "tax"},
    {'odd "key"\\ \n': "é' -- %", "user": "null"},
]


@pytest.fixture
async def labelled(store: Store) -> Store:
    """thread_0 .. thread_4 with the metadata above, created at 100, 101, ..."""
    for number, pairs in enumerate(PAIRS):
        thread = samples.thread(number, metadata=pairs)
        await put(store, thread.model_copy(update={"created_at": 100 + number}))
    return store


async def threads(store: Store, **query: Any) -> tuple[str, bool]:
    """The numbers of the threads on a page, oldest first, and whether more follow."""
    asked = PageQuery(order="asc", **query)
    found, more = await store.read(lambda tx: tx.page(objects.Thread, asked))
    return "".join(thread.id.removeprefix("thread_") for thread in found), more


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ({"user": "ann"}, "13"),
        ({"topic": "tax"}, "23"),
        ({"user": "ann", "topic": "tax"}, "3"),
        ({"user": "Ann"}, ""),
        ({"user": ""}, ""),
        ({"nothing": "x"}, ""),
        ({"user": "null"}, "4"),
        ({'odd "key"\\ \n': "é' -- %"}, "4"),
        ({"user": "ann' OR '1'='1"}, ""),
        (PAIRS[2], "2"),
    ],
)
async def test_a_list_by_metadata(labelled: Store, pairs: dict[str, str], expected: str) -> None:
    """All pairs must be there, to the letter; keys and values are never query syntax."""
    assert (expected, False) == await threads(labelled, metadata=pairs)


async def test_a_list_by_time(labelled: Store) -> None:
    """From the first second on, before the second one, alone and together."""
    assert ("234", False) == await threads(labelled, created_from=102)
    assert ("01", False) == await threads(labelled, created_before=102)
    assert ("12", False) == await threads(labelled, created_from=101, created_before=103)
    assert ("", False) == await threads(labelled, created_from=103, created_before=103)


async def test_filters_go_with_cursors(labelled: Store) -> None:
    """A page of what is left, and whether more of it follows; the cursor itself need not match."""
    assert ("1", True) == await threads(labelled, metadata={"user": "ann"}, limit=1)
    assert ("3", False) == await threads(
        labelled, metadata={"user": "ann"}, limit=1, after="thread_2"
    )
    assert ("1", False) == await threads(labelled, metadata={"user": "ann"}, before="thread_2")


async def test_counts_what_matches(filled: Store) -> None:
    """By the columns that lists know."""
    count = [
        await filled.read(lambda tx, where=where: tx.count(objects.Message, where))  # type: ignore[misc]
        for where in ({"thread_id": "thread_1"}, {"thread_id": "thread_2"}, {"thread_id": "none"})
    ]
    assert [10, 1, 0] == count
    with pytest.raises(StorageFault):
        await filled.read(lambda tx: tx.count(objects.Message, {"role": "user"}))
