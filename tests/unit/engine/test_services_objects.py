"""Assistants, threads, messages, files and vector stores: made, changed, listed, deleted."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.chat import Finish, ImagePart, TextDelta, UsageDelta
from local_assistants.engine.errors import InvalidRequest, ModelNotFound, NotFound
from local_assistants.engine.objects import FileCounts, VectorStore, VectorStoreFile
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.states import VECTOR_STORE, On
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    MODEL,
    OLDEST_FIRST,
    PATIENCE,
    SEARCH,
    DeltaBackend,
    House,
    ScriptedTool,
    answering,
    house,
)

WEEK = 7 * 86_400


async def indexed(home: House, store_id: str) -> VectorStore:
    """The store once nothing of it is being indexed any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            store = await home.services.vector_stores.get(store_id)
            if not store.file_counts.in_progress:
                return store
            await asyncio.sleep(0.002)


def searching(*file_ids: str) -> dict[str, Any]:
    """Tool resources with the helper that makes a vector store of these files."""
    return {"file_search": {"vector_stores": [{"file_ids": list(file_ids)}]}}


def attached(file_id: str, *tools: str) -> dict[str, Any]:
    """An attachment of a message."""
    return {"file_id": file_id, "tools": [{"type": tool} for tool in tools]}


# --- assistants ------------------------------------------------------------------------------------


async def test_an_assistant_has_the_originals_defaults(tmp_path: Path) -> None:
    """No null where the wire shows none."""
    async with house(tmp_path) as home:
        made = (await home.assistant()).to_wire()
        with_code = await home.assistant(tools=[CODE])

    assert {
        "id": "asst_1",
        "object": "assistant",
        "created_at": START,
        "name": None,
        "description": None,
        "model": MODEL,
        "instructions": None,
        "tools": [],
        "top_p": 1.0,
        "temperature": 1.0,
        "reasoning_effort": None,
        "tool_resources": {},
        "metadata": {},
        "response_format": "auto",
    } == made
    assert {"code_interpreter": {"file_ids": []}} == with_code.to_wire()["tool_resources"]


async def test_an_assistant_needs_a_model_and_files_that_exist(tmp_path: Path) -> None:
    """Nothing is made otherwise."""
    async with house(tmp_path) as home:
        with pytest.raises(ModelNotFound):
            await home.assistant(model="gpt-9")
        with pytest.raises(InvalidRequest, match=r"No file found with id\(s\): file-8, file-9\."):
            await home.assistant(
                tool_resources={"code_interpreter": {"file_ids": ["file-8", "file-9"]}}
            )
        with pytest.raises(InvalidRequest) as refused:
            await home.assistant(tool_resources={"file_search": {"vector_store_ids": ["vs_9"]}})
        with pytest.raises(InvalidRequest):
            await home.assistant(tool_resources=searching("file-9"))
        listed = await home.services.assistants.list(PageQuery())
        stores = await home.services.vector_stores.list(PageQuery())

    assert "tool_resources.file_search.vector_store_ids" == refused.value.param
    assert ((), ()) == (listed.data, stores.data)


async def test_the_vector_stores_helper_of_an_assistant(tmp_path: Path) -> None:
    """Makes a store without expiry, shows its id, and its files are indexed."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        assistant = await home.assistant(tools=[SEARCH], tool_resources=searching(file.id))
        (store_id,) = assistant.tool_resources.vector_store_ids
        store = await indexed(home, store_id)

    assert (None, None, FileCounts(completed=1, total=1)) == (
        store.expires_after,
        store.expires_at,
        store.file_counts,
    )


async def test_modify_changes_what_was_sent(tmp_path: Path) -> None:
    """And nothing else; null clears a text, restores a default, and leaves a list alone."""
    async with house(tmp_path) as home:
        file = await home.file("a.csv", "a")
        made = await home.assistant(
            name="N",
            description="D",
            instructions="I",
            tools=[CODE],
            temperature=0.5,
            metadata={"a": "1", "b": "2"},
        )

        async def modify(**fields: Any) -> dict[str, Any]:
            body = requests.ModifyAssistant.model_validate(fields)
            return (await home.services.assistants.modify(made.id, body)).to_wire()

        nothing = await modify()
        renamed = await modify(name="M", metadata={"c": "3"})
        cleared = await modify(name=None, temperature=None, tools=None, metadata=None)
        given = await modify(tool_resources={"code_interpreter": {"file_ids": [file.id]}})
        with pytest.raises(ModelNotFound):
            await modify(model="gpt-9")

    assert made.to_wire() == nothing
    assert made.to_wire() | {"name": "M", "metadata": {"c": "3"}} == renamed
    assert renamed | {"name": None, "temperature": 1.0} == cleared
    assert cleared | {"tool_resources": {"code_interpreter": {"file_ids": [file.id]}}} == given


async def test_modify_of_one_tools_resources_keeps_the_others(tmp_path: Path) -> None:
    """Each tool's entry is replaced as a whole, on assistants and threads."""
    async with house(tmp_path) as home:
        first, second = await home.file("a.csv", "a"), await home.file("b.csv", "b")
        both = {"code_interpreter": {"file_ids": [first.id]}} | searching(second.id)
        assistant = await home.assistant(tool_resources=both)
        thread = await home.thread(tool_resources=both)
        change = {"tool_resources": {"code_interpreter": {"file_ids": [second.id]}}}
        changed_assistant = await home.services.assistants.modify(
            assistant.id, requests.ModifyAssistant.model_validate(change)
        )
        changed_thread = await home.services.threads.modify(
            thread.id, requests.ModifyThread.model_validate(change)
        )

    for before, after in ((assistant, changed_assistant), (thread, changed_thread)):
        assert (second.id,) == after.tool_resources.file_ids
        assert before.tool_resources.file_search == after.tool_resources.file_search


# --- threads and messages --------------------------------------------------------------------------


async def test_a_message_is_stored_in_parts(tmp_path: Path) -> None:
    """A string becomes a text part; a client's message is complete from the start."""
    async with house(tmp_path) as home:
        thread = await home.thread()
        wire = (await home.message(thread.id, "Hi", metadata={"k": "v"})).to_wire()

    assert {
        "id": "msg_1",
        "object": "thread.message",
        "created_at": START,
        "assistant_id": None,
        "thread_id": thread.id,
        "run_id": None,
        "status": "completed",
        "incomplete_details": None,
        "incomplete_at": None,
        "completed_at": START,
        "role": "user",
        "content": [{"type": "text", "text": {"value": "Hi", "annotations": []}}],
        "attachments": [],
        "metadata": {"k": "v"},
    } == wire


async def test_an_attachment_for_search_goes_into_the_threads_store(tmp_path: Path) -> None:
    """Made on first need, expiring a week after its last use; the second file joins the first."""
    async with house(tmp_path) as home:
        first, second = await home.file("a.txt", "alpha"), await home.file("b.txt", "beta")
        thread = await home.thread()
        assert {} == thread.tool_resources.model_dump()
        message = await home.message(
            thread.id, "x", attachments=[attached(first.id, "file_search")]
        )
        (store_id,) = (await home.services.threads.get(thread.id)).tool_resources.vector_store_ids
        store = await indexed(home, store_id)
        assert store.expires_after is not None
        assert (7, START + WEEK) == (store.expires_after.days, store.expires_at)
        await home.virtual.advance(100)
        await home.message(thread.id, "y", attachments=[attached(second.id, "file_search")])
        again = await indexed(home, store_id)
        resources = (await home.services.threads.get(thread.id)).tool_resources

    assert (2, START + 100 + WEEK) == (again.file_counts.completed, again.expires_at)
    assert ((store_id,), ()) == (resources.vector_store_ids, resources.file_ids)
    assert [attached(first.id, "file_search")] == message.to_wire()["attachments"]


async def test_an_attachment_for_code_joins_the_threads_files(tmp_path: Path) -> None:
    """Once, however often it is attached; one attachment may name both tools, or none."""
    async with house(tmp_path) as home:
        files = [await home.file(f"{n}.csv", "x") for n in range(3)]
        thread = await home.thread(
            messages=[
                {
                    "role": "user",
                    "content": "x",
                    "attachments": [
                        attached(files[0].id, "code_interpreter"),
                        attached(files[1].id, "code_interpreter", "file_search"),
                        attached(files[0].id, "code_interpreter"),
                        attached(files[2].id),
                    ],
                }
            ]
        )
        (store_id,) = thread.tool_resources.vector_store_ids
        stored = await home.services.vector_stores.list_files(store_id, PageQuery())

    assert (files[0].id, files[1].id) == thread.tool_resources.file_ids
    assert [files[1].id] == [item.id for item in stored.data]


async def test_an_attachment_has_to_exist(tmp_path: Path) -> None:
    """Else neither message nor store is made."""
    async with house(tmp_path) as home:
        thread = await home.thread()
        with pytest.raises(InvalidRequest, match=r"No file found with id\(s\): file-9\."):
            await home.message(thread.id, "x", attachments=[attached("file-9", "file_search")])
        page = await home.services.messages.list(thread.id, PageQuery())
        stores = await home.services.vector_stores.list(PageQuery())

    assert ((), ()) == (page.data, stores.data)


async def test_tools_see_the_files_of_assistant_and_thread(tmp_path: Path) -> None:
    """Both lists for code, both stores for search; the prompt tells of them by name."""
    tools = [ScriptedTool(name, answering("ok")) for name in ("code_interpreter", "file_search")]
    turns: list[dict[str, Any]] = [
        {"tool_calls": [{"name": "code_interpreter"}, {"name": "file_search"}]},
        {"text": "ok"},
    ]
    async with house(tmp_path, turns, tools=tools) as home:
        of_assistant, of_thread = await home.file("a.csv", "aa"), await home.file("t.csv", "tt")
        late, found = await home.file("late.csv", "ll"), await home.file("found.txt", "ff")

        def resources(file_id: str) -> dict[str, Any]:
            return {"code_interpreter": {"file_ids": [file_id]}} | searching(file_id)

        assistant = await home.assistant(
            instructions="Help.", tools=[CODE, SEARCH], tool_resources=resources(of_assistant.id)
        )
        thread = await home.thread(tool_resources=resources(of_thread.id))
        brought = [attached(late.id, "code_interpreter"), attached(found.id, "file_search")]
        await home.message(thread.id, "Look", attachments=brought)
        (own,) = assistant.tool_resources.vector_store_ids
        (threads,) = thread.tool_resources.vector_store_ids
        await indexed(home, own)
        await indexed(home, threads)
        await home.finish(await home.run(thread.id, assistant.id))
        session = tools[0].sessions[0]
        system, question = home.backend.requests[0].messages[:2]
        contents = [file.path.read_text() for file in session.files]

    assert ["a.csv", "t.csv", "late.csv"] == [file.file.filename for file in session.files]
    assert ["aa", "tt", "ll"] == contents
    assert (own, threads) == session.vector_store_ids
    # a file that came with a message is told of with that message, so that the prompt only grows
    assert (
        "Help.\n\ncode_interpreter has: a.csv, t.csv\n\nfile_search has: a.csv, t.csv"
    ) == system.text
    assert "code_interpreter has: late.csv\n\nfile_search has: found.txt\nLook" == question.text


async def test_pictures_of_messages_reach_a_model_that_sees(tmp_path: Path) -> None:
    """By their path on this host."""
    backend = DeltaBackend([TextDelta("A cat."), UsageDelta(1, 1), Finish("stop")])
    async with house(tmp_path) as home:
        home.models.current = backend
        file = await home.file("cat.png", "png")
        thread = await home.thread()
        content = [
            {"type": "text", "text": "What is this?"},
            {"type": "image_file", "image_file": {"file_id": file.id}},
        ]
        await home.message(thread.id, content)  # type: ignore[arg-type]
        await home.finish(await home.run(thread.id, (await home.assistant()).id))
        path = str(home.core.blobs.path(file.id))

    (message,) = backend.requests[0].messages
    assert [ImagePart(url=path)] == [p for p in message.content if isinstance(p, ImagePart)]


async def test_a_deleted_message_is_not_read_again(tmp_path: Path) -> None:
    """By the model of the next run; its files stay."""
    async with house(tmp_path) as home:
        thread = await home.thread("one", "two")
        await home.services.messages.delete(thread.id, "msg_1")
        await home.finish(await home.run(thread.id, (await home.assistant()).id))
        with pytest.raises(NotFound, match="No message found with id 'msg_1'"):
            await home.services.messages.get(thread.id, "msg_1")
        (asked,) = home.backend.requests

    assert ["two"] == [message.text for message in asked.messages]


async def test_a_message_of_another_thread_is_not_found(tmp_path: Path) -> None:
    """Neither read nor changed nor deleted."""
    async with house(tmp_path) as home:
        await home.thread("mine")
        other = await home.thread()
        services = home.services.messages
        for attempt in (
            services.get(other.id, "msg_1"),
            services.modify(other.id, "msg_1", requests.ModifyMetadata(metadata={})),
            services.delete(other.id, "msg_1"),
        ):
            with pytest.raises(NotFound, match="No message found with id 'msg_1'"):
                await attempt


async def test_messages_of_one_run_can_be_listed(tmp_path: Path) -> None:
    """The run_id filter."""
    async with house(tmp_path) as home:
        run = await home.finish(await home.ask())
        page = await home.services.messages.list(run.thread_id, PageQuery(), run_id=run.id)

    assert ["Hello."] == [message.text for message in page.data]


# --- pages -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected", "more"),
    [
        (PageQuery(limit=2), [5, 4], True),
        (PageQuery(limit=2, order="asc"), [1, 2], True),
        (PageQuery(limit=2, after="msg_4"), [3, 2], True),
        (PageQuery(limit=2, after="msg_3"), [2, 1], False),
        (PageQuery(limit=2, after="msg_1"), [], False),
        (PageQuery(limit=2, order="asc", after="msg_4"), [5], False),
        (PageQuery(limit=2, before="msg_2"), [4, 3], True),
        (PageQuery(limit=2, order="asc", before="msg_5"), [3, 4], True),
        (PageQuery(limit=5), [5, 4, 3, 2, 1], False),
    ],
)
async def test_pages_follow_insertion(
    tmp_path: Path, query: PageQuery, expected: list[int], more: bool
) -> None:
    """All made within one second; cursors in both directions, `before` gives what lies right ahead of it."""
    async with house(tmp_path) as home:
        thread = await home.thread("1", "2", "3", "4", "5")
        await home.thread("another thread's")
        page = await home.services.messages.list(thread.id, query)

    ids = [f"msg_{n}" for n in expected]
    assert ids == [message.id for message in page.data]
    assert (ids[0] if ids else None, ids[-1] if ids else None, more) == (
        page.first_id,
        page.last_id,
        page.has_more,
    )


async def test_a_cursor_from_another_list_is_refused(tmp_path: Path) -> None:
    """400 that names the parameter."""
    async with house(tmp_path) as home:
        thread = await home.thread("1")
        other = await home.thread("2")
        with pytest.raises(InvalidRequest) as refused:
            await home.services.messages.list(thread.id, PageQuery(after="msg_2"))
        with pytest.raises(InvalidRequest):
            await home.services.messages.list(other.id, PageQuery(before="nonsense"))

    assert "after" == refused.value.param


# --- files and models ------------------------------------------------------------------------------


async def test_files_are_handed_out_unless_they_were_given_for_tools(tmp_path: Path) -> None:
    """The original's rule and text."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        with pytest.raises(InvalidRequest) as refused:
            await home.services.files.content(file.id)

    assert "Not allowed to download files of purpose: assistants" == refused.value.message


async def test_a_file_needs_a_purpose_that_is_known(tmp_path: Path) -> None:
    """400 with the list of those that are."""

    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    async with house(tmp_path) as home:
        with pytest.raises(InvalidRequest) as refused:
            await home.services.files.create("a", "assistants_output", nothing())
        page = await home.services.files.list(PageQuery())

    assert (
        "'assistants_output' is not one of "
        "['fine-tune', 'assistants', 'batch', 'user_data', 'vision', 'evals'] - 'purpose'"
    ) == refused.value.message
    assert () == page.data


async def test_a_deleted_file_is_gone_everywhere(tmp_path: Path) -> None:
    """Its record, its bytes, its place in every store and its text in the library."""
    async with house(tmp_path) as home:
        file = await home.file("a.txt", "alpha")
        body = requests.CreateVectorStore(file_ids=(file.id,))
        stores = [(await home.services.vector_stores.create(body)).id for _ in range(2)]
        for store_id in stores:
            await indexed(home, store_id)
        path = home.core.blobs.path(file.id)
        await home.services.files.delete(file.id)
        with pytest.raises(NotFound, match=f"No such File object: {file.id}"):
            await home.services.files.get(file.id)
        with pytest.raises(NotFound):
            await home.services.files.delete(file.id)
        counts = [(await home.services.vector_stores.get(s)).file_counts.total for s in stores]

    assert not path.exists()
    assert [0, 0] == counts
    assert {} == home.library.texts


async def test_models_answer_under_the_name_asked_for(tmp_path: Path) -> None:
    """And unknown ones are 404."""
    async with house(tmp_path) as home:
        listed = [model.id for model in await home.services.models.list()]
        assert MODEL == (await home.services.models.get(MODEL)).id
        with pytest.raises(ModelNotFound):
            await home.services.models.get("gpt-9")

    assert [MODEL] == listed


# --- vector stores ---------------------------------------------------------------------------------


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
