"""What clones get wrong about files, vector stores and attachments: one test for each numbered point of the list."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import FilePath, ImageOutput
from local_assistants.engine.ports import Emit, ToolResult, ToolSession
from local_assistants.tools.file_search.tool import FileSearch
from tests.support.clock import START
from tests.support.engine import (
    CODE,
    PATIENCE,
    SEARCH,
    ScriptedTool,
    Shelf,
    Turns,
    answering,
    calls,
)

from .web import Json, Web, open_web, path_of

SEARCHES: Turns = (calls("file_search", {"queries": ["apples"]}), {"text": "Here."})
COUNTS = ("in_progress", "completed", "failed", "cancelled")
WEEK = 7 * 86_400


def searching(*file_ids: str, **seed: Any) -> Json:
    """Tool resources with the helper that makes a vector store."""
    return {"file_search": {"vector_stores": [{"file_ids": list(file_ids), **seed}]}}


def attached(file: Json, *tools: Json) -> Json:
    """An attachment."""
    return {"file_id": file["id"], "tools": list(tools)}


async def indexed(web: Web, store_id: str) -> Json:
    """The store once nothing of it is being indexed."""
    async with asyncio.timeout(PATIENCE):
        while True:
            store = await web.get(f"/vector_stores/{store_id}")
            if not store["file_counts"]["in_progress"]:
                return store
            await asyncio.sleep(0.005)


def store_of(owner: Json) -> str:
    """The one vector store of an assistant or thread."""
    (store_id,) = owner["tool_resources"]["file_search"]["vector_store_ids"]
    return str(store_id)


DOWNLOADS = {
    "assistants": 400,
    "user_data": 400,
    "vision": 200,
    "batch": 200,
    "fine-tune": 200,
    "evals": 200,
}


@pytest.mark.parametrize(("purpose", "status"), DOWNLOADS.items())
async def test_point_26_downloads_by_purpose(web: Web, purpose: str, status: int) -> None:
    """What was given for tools is not handed out again; the rest comes back byte for byte."""
    file = await web.upload(b"\x00\xff bytes", purpose=purpose)
    answer = await web.client.get(f"/files/{file['id']}/content")
    assert status == answer.status_code
    if status == 200:
        assert b"\x00\xff bytes" == answer.content
    else:
        told = answer.json()["error"]
        assert f"Not allowed to download files of purpose: {purpose}" == told["message"]
        assert (None, None) == (told["param"], told["code"])


async def test_point_26_generated_files_are_handed_out(tmp_path: Path) -> None:
    """An image that code made is a file of purpose assistants_output, and can be downloaded."""

    async def draw(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        assert session.save_file is not None
        made = await session.save_file("plot.png", b"pixels")
        await emit(ImageOutput(image=FilePath(file_id=made.id)))
        return ToolResult("drawn", images=(made.id,))

    turns: Turns = (calls("code_interpreter", {"code": "plot()"}), {"text": "See."})
    async with open_web(tmp_path, turns, tools=[ScriptedTool("code_interpreter", draw)]) as web:
        run = await web.finished(await web.assistant(tools=[CODE]))
        messages = await web.get(f"/threads/{run['thread_id']}/messages")
        file_id = messages["data"][0]["content"][0]["image_file"]["file_id"]
        file = await web.get(f"/files/{file_id}")
        listed = await web.get("/files", purpose="assistants_output")
        answer = await web.client.get(f"/files/{file_id}/content")

    assert ("assistants_output", "plot.png", 6) == (
        file["purpose"],
        file["filename"],
        file["bytes"],
    )
    assert [file] == listed["data"]
    assert (200, b"pixels", "image/png") == (
        answer.status_code,
        answer.content,
        answer.headers["content-type"],
    )


async def test_point_27_what_a_delete_answers(web: Web) -> None:
    """200 with id, `deleted: true` and the kind with its suffix; a file says plain `file`."""
    file, assistant, thread = await web.upload(), await web.assistant(), await web.thread("hi")
    (message,) = (await web.get(f"/threads/{thread['id']}/messages"))["data"]
    store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    paths = {
        f"/vector_stores/{store['id']}/files/{file['id']}": "vector_store.file.deleted",
        f"/vector_stores/{store['id']}": "vector_store.deleted",
        f"/files/{file['id']}": "file",
        f"/threads/{thread['id']}/messages/{message['id']}": "thread.message.deleted",
        f"/threads/{thread['id']}": "thread.deleted",
        f"/assistants/{assistant['id']}": "assistant.deleted",
    }
    answers = [await web.delete(path) for path in paths]
    again = [(await web.client.delete(path)).status_code for path in paths]

    assert [
        {"id": path.rpartition("/")[2], "object": kind, "deleted": True}
        for path, kind in paths.items()
    ] == answers
    assert [404] * len(paths) == again


async def test_point_29_a_deleted_file_is_found_nowhere(web: Web) -> None:
    """Not in a search, not in the store's list, not in the code interpreter's lists of assistants and threads."""
    file, kept = await web.upload(b"apples"), await web.upload(b"pears")
    both = [file["id"], kept["id"]]
    stores = [await web.post("/vector_stores", {"file_ids": both}) for _ in range(2)]
    listed = {"code_interpreter": {"file_ids": both}}
    assistant = await web.assistant(tools=[CODE], tool_resources=listed)
    thread = await web.post("/threads", {"tool_resources": listed})
    for store in stores:
        await indexed(web, store["id"])
    search = f"/vector_stores/{stores[0]['id']}/search"
    before = await web.post(search, {"query": "apples"})
    await web.delete(f"/files/{file['id']}")
    after = await web.post(search, {"query": "apples"})
    left = [await web.get(f"/vector_stores/{store['id']}/files") for store in stores]
    counts = [(await web.get(f"/vector_stores/{store['id']}"))["file_counts"] for store in stores]
    owners = [
        await web.get(f"/assistants/{assistant['id']}"),
        await web.get(f"/threads/{thread['id']}"),
    ]
    await web.refused("GET", f"/vector_stores/{stores[0]['id']}/files/{file['id']}", 404)
    await web.refused("GET", f"/files/{file['id']}/content", 404)

    assert [[file["id"]], []] == [
        [hit["file_id"] for hit in found["data"]] for found in (before, after)
    ]
    assert [[kept["id"]]] * 2 == [[item["id"] for item in page["data"]] for page in left]
    assert [1, 1] == [count["total"] for count in counts]
    assert [[kept["id"]]] * 2 == [
        owner["tool_resources"]["code_interpreter"]["file_ids"] for owner in owners
    ]


async def test_point_29_a_run_under_way_survives_the_deletion(tmp_path: Path) -> None:
    """The tool's files go while it works; the run goes on without them and completes."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        begun.set()
        await go_on.wait()
        return ToolResult(f"{len(session.files)} files")

    turn = calls("code_interpreter", {"code": "1"})
    tool = ScriptedTool("code_interpreter", work)
    async with open_web(tmp_path, (turn, turn, {"text": "Done."}), tools=[tool]) as web:
        file = await web.upload()
        resources = {"code_interpreter": {"file_ids": [file["id"]]}}
        assistant = await web.assistant(tools=[CODE], tool_resources=resources)
        run = await web.started(assistant)
        await begun.wait()
        await web.delete(f"/files/{file['id']}")
        go_on.set()
        done = await web.settled(path_of(run))

    assert "completed" == done["status"]
    assert [1, 0] == [len(session.files) for session in tool.sessions]


async def test_point_30_an_attachment_makes_the_threads_store(tmp_path: Path) -> None:
    """With a life of seven days from its last use; a run searches the assistant's store and the thread's."""
    tool = ScriptedTool("file_search", answering("nothing"))
    async with open_web(tmp_path, SEARCHES, tools=[tool]) as web:
        file = await web.upload()
        assistant = await web.assistant(
            tools=[SEARCH], tool_resources=searching((await web.upload())["id"])
        )
        message = {"role": "user", "content": "hi", "attachments": [attached(file, SEARCH)]}
        thread = await web.post("/threads", {"messages": [message]})
        store = await indexed(web, store_of(thread))
        (own,) = (await web.get(f"/vector_stores/{store['id']}/files"))["data"]
        assistants_own = await web.get(f"/vector_stores/{store_of(assistant)}")
        run = await web.post(f"/threads/{thread['id']}/runs", {"assistant_id": assistant["id"]})
        done = await web.settled(path_of(run))

    assert ({"anchor": "last_active_at", "days": 7}, START, START + WEEK) == (
        store["expires_after"],
        store["last_active_at"],
        store["expires_at"],
    )
    assert (None, None) == (assistants_own["expires_after"], assistants_own["expires_at"])
    assert file["id"] == own["id"]
    assert "completed" == done["status"]
    assert [(store_of(assistant), store["id"])] == [
        session.vector_store_ids for session in tool.sessions
    ]


async def test_point_31_the_helper_becomes_an_id(web: Web) -> None:
    """`vector_stores` of a create call is answered as `vector_store_ids`, on assistants and threads."""
    file = await web.upload()
    made = [
        await web.assistant(tools=[SEARCH], tool_resources=searching(file["id"])),
        await web.post("/threads", {"tool_resources": searching(file["id"], metadata={"k": "v"})}),
    ]
    read = [
        await web.get(f"/assistants/{made[0]['id']}"),
        await web.get(f"/threads/{made[1]['id']}"),
    ]
    stores = [await indexed(web, store_of(owner)) for owner in made]

    for owner in (*made, *read):
        assert ["vector_store_ids"] == list(owner["tool_resources"]["file_search"])
    assert [1, 1] == [store["file_counts"]["completed"] for store in stores]
    assert [{}, {"k": "v"}] == [store["metadata"] for store in stores]
    assert [None, {"anchor": "last_active_at", "days": 7}] == [
        store["expires_after"] for store in stores
    ]


AUTO = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50}}


@pytest.mark.parametrize(
    ("asked", "shown"), [(None, AUTO), ({"type": "auto"}, AUTO), (SMALL, SMALL)]
)
async def test_point_32_chunking_is_reported_as_static(
    web: Web, asked: Json | None, shown: Json
) -> None:
    """Auto reads as static 800/400, wherever a file is attached."""
    files = [(await web.upload())["id"] for _ in range(5)]
    chunking = {"chunking_strategy": asked}
    store = await web.post("/vector_stores", {"file_ids": files[:1], **chunking})
    path = f"/vector_stores/{store['id']}"
    await web.post(f"{path}/files", {"file_id": files[1], **chunking})
    await web.post(f"{path}/file_batches", {"file_ids": files[2:3], **chunking})
    await web.post(f"{path}/file_batches", {"files": [{"file_id": files[3], **chunking}]})
    seeded = await web.assistant(tool_resources=searching(files[4], **chunking))
    listed = (await web.get(f"{path}/files"))["data"]
    listed += (await web.get(f"/vector_stores/{store_of(seeded)}/files"))["data"]

    assert set(files) == {item["id"] for item in listed}
    assert [shown] * 5 == [item["chunking_strategy"] for item in listed]


async def test_point_33_a_batch_with_failing_files_comes_to_its_end(web: Web) -> None:
    """in_progress reaches 0; the batch is completed, its counts tell what failed, the files why."""
    texts = {"ok": b"apples", "broken": b"broken", "odd": b"unsupported"}
    ids = [(await web.upload(text, name=name))["id"] for name, text in texts.items()]
    store = await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}/file_batches"
    batch = await web.post(path, {"file_ids": ids})
    done = await web.settled(f"{path}/{batch['id']}")
    failed = await web.get(f"{path}/{batch['id']}/files", filter="failed", order="asc")

    assert ("in_progress", "completed") == (batch["status"], done["status"])
    assert [0, 1, 2, 0] == [done["file_counts"][name] for name in COUNTS]
    assert ["invalid_file", "unsupported_file"] == [
        item["last_error"]["code"] for item in failed["data"]
    ]
    assert [0, 0] == [item["usage_bytes"] for item in failed["data"]]


async def test_point_34_counts_add_up_at_every_step(web: Web) -> None:
    """`total` is the sum, and the store is in progress exactly while a file is."""
    web.home.library.gate = asyncio.Event()
    empty = await web.post("/vector_stores")
    path = f"/vector_stores/{empty['id']}"
    good, bad = await web.upload(b"apples"), await web.upload(b"broken")
    await web.post(f"{path}/files", {"file_id": good["id"]})
    batch = await web.post(f"{path}/file_batches", {"file_ids": [bad["id"]]})
    waiting = await web.get(path)
    web.home.library.gate.set()
    done = await indexed(web, empty["id"])
    await web.delete(f"{path}/files/{good['id']}")
    fewer = await web.get(path)
    ended = await web.get(f"{path}/file_batches/{batch['id']}")

    for counts in (each["file_counts"] for each in (empty, waiting, done, fewer, ended, batch)):
        assert counts["total"] == sum(counts[name] for name in COUNTS)
    assert ["completed", "in_progress", "completed", "completed"] == [
        store["status"] for store in (empty, waiting, done, fewer)
    ]
    assert [0, 2, 2, 1] == [s["file_counts"]["total"] for s in (empty, waiting, done, fewer)]
    assert [0, 0, 6, 0] == [s["usage_bytes"] for s in (empty, waiting, done, fewer)]


async def test_point_40_a_search_without_files_is_an_empty_tool(tmp_path: Path) -> None:
    """No store, or an empty one: the search gives nothing, and the run completes."""
    async with open_web(tmp_path, SEARCHES, tools=[FileSearch(Shelf())]) as web:
        bare = await web.finished(await web.assistant(tools=[SEARCH]))
        empty = await web.finished(await web.assistant(tools=[SEARCH], tool_resources=searching()))
        nothing: Json = {
            "file_search": {"vector_store_ids": []},
            "code_interpreter": {"file_ids": []},
        }
        listless = await web.finished(await web.assistant(tools=[SEARCH], tool_resources=nothing))
        steps = [
            (await web.get(f"{path_of(run)}/steps", order="asc"))["data"][0]
            for run in (bare, empty, listless)
        ]

    assert ["completed"] * 3 == [run["status"] for run in (bare, empty, listless)]
    for step in steps:
        (call,) = step["step_details"]["tool_calls"]
        assert [] == call["file_search"]["results"]


async def test_point_54_a_deleted_store_is_an_empty_tool(tmp_path: Path) -> None:
    """Still named by assistant and thread, it is simply not there: the run completes; new files get a new store."""
    async with open_web(tmp_path, SEARCHES, tools=[FileSearch(Shelf())]) as web:
        file = await web.upload()
        assistant = await web.assistant(tools=[SEARCH], tool_resources=searching(file["id"]))
        thread = await web.post("/threads", {"tool_resources": searching(file["id"])})
        for owner in (assistant, thread):
            await web.delete(f"/vector_stores/{store_of(owner)}")
        body = {"assistant_id": assistant["id"]}
        run = await web.settled(path_of(await web.post(f"/threads/{thread['id']}/runs", body)))
        message = {"role": "user", "content": "hi", "attachments": [attached(file, SEARCH)]}
        await web.post(f"/threads/{thread['id']}/messages", message)
        after = await web.get(f"/threads/{thread['id']}")
        made = await indexed(web, store_of(after))

    assert "completed" == run["status"]
    assert store_of(thread) != store_of(after)
    assert (1, 7) == (made["file_counts"]["completed"], made["expires_after"]["days"])
