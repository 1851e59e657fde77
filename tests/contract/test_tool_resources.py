"""Attachments and tool resources as the contract tells them (1.5, 4.3), asked over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.engine import CODE, SEARCH

from .web import Json, Web

Place = Callable[[Web, Json], Awaitable[str]]


async def _thread_create(web: Web, message: Json) -> str:
    return str((await web.post("/threads", {"messages": [message]}))["id"])


async def _message_create(web: Web, message: Json) -> str:
    thread = await web.post("/threads")
    await web.post(f"/threads/{thread['id']}/messages", message)
    return str(thread["id"])


async def _thread_and_run(web: Web, message: Json) -> str:
    assistant = await web.assistant()
    run = await web.started(assistant, thread={"messages": [message]})
    return str(run["thread_id"])


async def _additional_messages(web: Web, message: Json) -> str:
    thread, assistant = await web.post("/threads"), await web.assistant()
    body = {"assistant_id": assistant["id"], "additional_messages": [message]}
    await web.post(f"/threads/{thread['id']}/runs", body)
    return str(thread["id"])


PLACES: tuple[Place, ...] = (
    _thread_create,
    _message_create,
    _thread_and_run,
    _additional_messages,
)


@pytest.mark.parametrize("place", PLACES)
async def test_attachments_reach_the_threads_tools(web: Web, place: Place) -> None:
    """One file for both tools, one twice with one tool each, one named twice: each tool lists each once."""
    one, two, three, bare = [await web.upload(name=f"{n}.txt") for n in range(4)]
    attachments = [
        {"file_id": one["id"], "tools": [CODE, SEARCH]},
        {"file_id": two["id"], "tools": [SEARCH]},
        {"file_id": two["id"], "tools": [CODE]},
        {"file_id": three["id"], "tools": [CODE, CODE]},
        {"file_id": three["id"], "tools": [CODE]},
        {"file_id": bare["id"]},
    ]
    message = {"role": "user", "content": "hi", "attachments": attachments}
    thread_id = await place(web, message)
    resources = (await web.get(f"/threads/{thread_id}"))["tool_resources"]
    (store_id,) = resources["file_search"]["vector_store_ids"]
    stored = await web.get(f"/vector_stores/{store_id}/files", order="asc")
    messages = await web.get(f"/threads/{thread_id}/messages", order="asc")

    assert [one["id"], two["id"], three["id"]] == resources["code_interpreter"]["file_ids"]
    assert [one["id"], two["id"]] == [item["id"] for item in stored["data"]]
    shown = messages["data"][0]["attachments"]
    assert [entry["file_id"] for entry in attachments] == [entry["file_id"] for entry in shown]
    assert attachments[:5] == shown[:5]


@pytest.mark.parametrize("place", PLACES)
async def test_an_attachment_of_nothing_is_refused_and_leaves_nothing(
    web: Web, place: Place
) -> None:
    """The id is named; no thread, message, run or store was made."""
    attachments = [{"file_id": "file-none", "tools": [SEARCH]}]
    message = {"role": "user", "content": "hi", "attachments": attachments}
    with pytest.raises(AssertionError, match=r"No file found with id\(s\): file-none"):
        await place(web, message)
    assert [] == (await web.get("/vector_stores"))["data"]


async def test_later_attachments_go_into_the_same_store(web: Web) -> None:
    """It is made once; attaching again counts as use."""
    first, second = await web.upload(), await web.upload()
    thread = await web.post("/threads")
    path = f"/threads/{thread['id']}"

    async def attach(file: Json) -> str:
        entry = {"file_id": file["id"], "tools": [SEARCH]}
        await web.post(f"{path}/messages", {"role": "user", "content": "x", "attachments": [entry]})
        resources = (await web.get(path))["tool_resources"]
        return str(resources["file_search"]["vector_store_ids"][0])

    store_id = await attach(first)
    before = await web.get(f"/vector_stores/{store_id}")
    await web.home.virtual.advance(60)
    assert store_id == await attach(second)
    after = await web.get(f"/vector_stores/{store_id}")

    assert (60, 60) == (
        after["last_active_at"] - before["last_active_at"],
        after["expires_at"] - before["expires_at"],
    )
    assert 2 == after["file_counts"]["total"]


async def test_twenty_files_for_the_code_interpreter_are_the_limit(web: Web) -> None:
    """In a body, and all attachments of a thread together; the message that is one too many is not stored."""
    ids = [(await web.upload())["id"] for _ in range(21)]
    too_many = {"tool_resources": {"code_interpreter": {"file_ids": ids}}}
    told = await web.refused("POST", "/threads", json=too_many)
    thread = await web.post("/threads")
    path = f"/threads/{thread['id']}/messages"
    entries = [{"file_id": file_id, "tools": [CODE]} for file_id in ids]
    await web.post(path, {"role": "user", "content": "x", "attachments": entries[:20]})
    body = {"role": "user", "content": "x", "attachments": entries[20:]}
    refused = await web.refused("POST", path, json=body)
    await web.post(path, {"role": "user", "content": "x", "attachments": entries[:1]})

    assert ("array_above_max_length", "tool_resources.code_interpreter.file_ids") == (
        told["code"],
        told["param"],
    )
    assert ("array_above_max_length", "attachments") == (refused["code"], refused["param"])
    assert "20 files" in refused["message"]
    assert 2 == len((await web.get(path))["data"])


@pytest.mark.parametrize("kind", ["assistants", "threads"])
async def test_modifying_replaces_only_the_tools_that_are_named(web: Web, kind: str) -> None:
    """The other tool's part stays; an empty list empties; null says nothing; the helper is refused."""
    store, other = [await web.post("/vector_stores") for _ in range(2)]
    file = await web.upload()
    code = {"code_interpreter": {"file_ids": [file["id"]]}}
    search = {"file_search": {"vector_store_ids": [store["id"]]}}
    replaced = {"file_search": {"vector_store_ids": [other["id"]]}}
    known = {"model": "scripted"} if kind == "assistants" else {}
    owner = await web.post(f"/{kind}", known | {"tool_resources": code | search})
    path = f"/{kind}/{owner['id']}"

    async def modified(resources: Any) -> Any:
        return (await web.post(path, {"tool_resources": resources}))["tool_resources"]

    assert code | replaced == await modified(replaced)
    assert code | replaced == await modified(None)
    assert code | replaced == await modified({})
    emptied: Json = {"code_interpreter": {"file_ids": []}}
    assert emptied | replaced == await modified(emptied)
    seeds: Json = {"file_search": {"vector_stores": [{}]}}
    told = await web.refused("POST", path, json={"tool_resources": seeds})
    assert "Unknown parameter: 'tool_resources.file_search.vector_stores'." == told["message"]
    assert emptied | replaced == (await web.get(path))["tool_resources"]


BAD_RESOURCES: list[tuple[Json, str]] = [
    ({"code_interpreter": {"file_ids": ["file-none"]}}, "tool_resources.code_interpreter.file_ids"),
    (
        {"file_search": {"vector_store_ids": ["vs_none"]}},
        "tool_resources.file_search.vector_store_ids",
    ),
    (
        {"file_search": {"vector_store_ids": ["vs_1", "vs_2"]}},
        "tool_resources.file_search.vector_store_ids",
    ),
    (
        {"file_search": {"vector_stores": [{"file_ids": ["file-none"]}]}},
        "tool_resources.file_search.vector_stores[0].file_ids",
    ),
    ({"file_search": {"vector_stores": [{}, {}]}}, "tool_resources.file_search.vector_stores"),
    (
        {"file_search": {"vector_store_ids": ["vs_1"], "vector_stores": [{}]}},
        "tool_resources.file_search.vector_stores",
    ),
    ({"file_search": {"file_ids": ["file-1"]}}, "tool_resources.file_search.file_ids"),
]


@pytest.mark.parametrize(("resources", "param"), BAD_RESOURCES)
@pytest.mark.parametrize("kind", ["assistants", "threads"])
async def test_resources_that_are_refused(web: Web, kind: str, resources: Json, param: str) -> None:
    """400 with the path of what is wrong; nothing was made on the way."""
    known = {"model": "scripted"} if kind == "assistants" else {}
    told = await web.refused("POST", f"/{kind}", json=known | {"tool_resources": resources})
    assert param == told["param"]
    assert [] == (await web.get("/vector_stores"))["data"]
