"""Threads and their messages: attachments, what tools and models see of them, pages."""

from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine import requests
from local_assistants.engine.chat import Finish, ImagePart, TextDelta, UsageDelta
from local_assistants.engine.errors import InvalidRequest, NotFound
from local_assistants.engine.ports import PageQuery
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    SEARCH,
    DeltaBackend,
    ScriptedTool,
    answering,
    house,
)
from tests.support.stores import indexed, searching

WEEK = 7 * 86_400


def attached(file_id: str, *tools: str) -> dict[str, Any]:
    """An attachment of a message."""
    return {"file_id": file_id, "tools": [{"type": tool} for tool in tools]}


# --- messages and attachments ----------------------------------------------------------------------


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
