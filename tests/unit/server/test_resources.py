"""Every resource over HTTP: what goes in comes out, in wire form."""

import asyncio

import pytest

from tests.support.answers import error_of, json_of

from .house import House


async def test_an_assistant_lives_its_life(house: House) -> None:
    """Create, read, change, list, delete."""
    made = await house.post("/assistants", {"model": "scripted", "name": "A", "tools": None})
    changed = await house.post(f"/assistants/{made['id']}", {"name": None, "metadata": {"k": "v"}})
    listed = await house.get("/assistants")
    gone = json_of(await house.client.delete(f"/assistants/{made['id']}"))
    after = await house.client.get(f"/assistants/{made['id']}")
    assert ("A", None, {"k": "v"}) == (made["name"], changed["name"], changed["metadata"])
    assert listed == {
        "object": "list",
        "data": [changed],
        "first_id": made["id"],
        "last_id": made["id"],
        "has_more": False,
    }
    assert gone == {"id": made["id"], "object": "assistant.deleted", "deleted": True}
    assert after.status_code == 404
    assert error_of(after)["message"] == f"No assistant found with id '{made['id']}'."


async def test_a_thread_can_be_made_of_nothing(house: House) -> None:
    """No body, an empty one, `{}` and null all make an empty thread."""
    made = [
        json_of(await house.client.post("/threads")),
        json_of(await house.client.post("/threads", content=b"")),
        await house.post("/threads", {}),
        json_of(await house.client.post("/threads", content=b"null")),
    ]
    assert [{}] * 4 == [thread["metadata"] for thread in made]


async def test_messages_are_listed_newest_first(house: House) -> None:
    """Order, cursor and limit work over HTTP."""
    thread = await house.post("/threads")
    path = f"/threads/{thread['id']}/messages"
    ids = [(await house.post(path, {"role": "user", "content": str(i)}))["id"] for i in range(3)]
    page = await house.get(path, limit=2)
    rest = await house.get(path, after=page["last_id"])
    rising = await house.get(path, order="asc")
    assert (ids[:0:-1], True) == ([m["id"] for m in page["data"]], page["has_more"])
    assert ([ids[0]], False) == ([m["id"] for m in rest["data"]], rest["has_more"])
    assert ids == [m["id"] for m in rising["data"]]


async def test_an_empty_list_has_null_ends(house: House) -> None:
    """first_id and last_id are null, not missing and not empty strings."""
    assert await house.get("/vector_stores") == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


async def test_messages_of_one_run(house: House) -> None:
    """`run_id` narrows the list to what that run said."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    thread = await house.post("/threads", {"messages": [{"role": "user", "content": "hi"}]})
    run = await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
    said = await house.get(f"/threads/{thread['id']}/messages", run_id=run["id"])
    assert "completed" == run["status"]
    assert ["Hello there."] == [m["content"][0]["text"]["value"] for m in said["data"]]


async def test_steps_of_a_run(house: House) -> None:
    """Steps are listed and read one by one; `include[]` is taken in every spelling."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    thread = await house.post("/threads", {"messages": [{"role": "user", "content": "hi"}]})
    run = await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
    path = f"/threads/{thread['id']}/runs/{run['id']}/steps"
    wanted = "step_details.tool_calls[*].file_search.results[*].content"
    lists = [await house.get(path, **{key: wanted}) for key in ("include[]", "include")]
    step = lists[0]["data"][0]
    assert lists[0] == lists[1]
    assert step == await house.get(f"{path}/{step['id']}")
    assert ("message_creation", "completed") == (step["type"], step["status"])


async def test_metadata_of_runs_and_messages_can_be_replaced(house: House) -> None:
    """A given map replaces the old one."""
    assistant = await house.post("/assistants", {"model": "scripted"})
    message = {"role": "user", "content": "hi", "metadata": {"a": "1"}}
    thread = await house.post("/threads", {"messages": [message]})
    run = await house.finished_run(thread["id"], {"assistant_id": assistant["id"]})
    listed = await house.get(f"/threads/{thread['id']}/messages", order="asc")
    paths = [
        f"/threads/{thread['id']}/runs/{run['id']}",
        f"/threads/{thread['id']}/messages/{listed['data'][0]['id']}",
    ]
    changed = [await house.post(path, {"metadata": {"b": "2"}}) for path in paths]
    assert [{"b": "2"}] * 2 == [obj["metadata"] for obj in changed]


async def test_a_message_can_be_deleted(house: House) -> None:
    """The answer names the object kind with its `.deleted`."""
    thread = await house.post("/threads", {"messages": [{"role": "user", "content": "hi"}]})
    path = f"/threads/{thread['id']}/messages"
    message = (await house.get(path))["data"][0]
    gone = json_of(await house.client.delete(f"{path}/{message['id']}"))
    assert gone == {"id": message["id"], "object": "thread.message.deleted", "deleted": True}
    assert [] == (await house.get(path))["data"]


async def test_a_vector_store_is_filled_and_searched(house: House) -> None:
    """A file is attached, polled until it is indexed, found, read back as text and detached."""
    file = await house.upload()
    store = await house.post("/vector_stores", {"name": "S"})
    path = f"/vector_stores/{store['id']}"
    await house.post(f"{path}/files", {"file_id": file["id"], "attributes": {"year": 2020}})
    await until_indexed(house, f"{path}/files/{file['id']}")
    found = await house.post(f"{path}/search", {"query": "pears"})
    text = await house.get(f"{path}/files/{file['id']}/content")
    listed = await house.get(f"{path}/files", filter="completed")
    gone = json_of(await house.client.delete(f"{path}/files/{file['id']}"))
    assert ["pears"] == found["search_query"]
    assert [file["id"]] == [hit["file_id"] for hit in found["data"]]
    assert [{"type": "text", "text": "apples and pears"}] == text["data"]
    assert [{"year": 2020}] == [entry["attributes"] for entry in listed["data"]]
    assert gone == {"id": file["id"], "object": "vector_store.file.deleted", "deleted": True}


async def test_a_batch_is_polled_to_its_end(house: House) -> None:
    """A batch counts its files, also those that cannot be read."""
    files = [await house.upload(), await house.upload(name="a.bin")]
    store = await house.post("/vector_stores")
    path = f"/vector_stores/{store['id']}/file_batches"
    batch = await house.post(path, {"file_ids": [file["id"] for file in files]})
    await until_indexed(house, f"{path}/{batch['id']}")
    counts = (await house.get(f"{path}/{batch['id']}"))["file_counts"]
    failed = await house.get(f"{path}/{batch['id']}/files", filter="failed")
    assert (1, 1, 2) == (counts["completed"], counts["failed"], counts["total"])
    assert ["unsupported_file"] == [entry["last_error"]["code"] for entry in failed["data"]]


async def test_models_are_listed_without_cursors(house: House) -> None:
    """The list of models has only `object` and `data`; one model can be read."""
    model = {"id": "scripted", "object": "model", "created": 0, "owned_by": "tests"}
    assert {"object": "list", "data": [model]} == await house.get("/models")
    assert model == await house.get("/models/scripted")


async def test_pollers_are_told_when_to_come_again(house: House) -> None:
    """Runs, store files and batches carry the poll header."""
    file = await house.upload()
    store = await house.post("/vector_stores")
    path = f"/vector_stores/{store['id']}"
    batch = await house.post(f"{path}/file_batches", {"file_ids": [file["id"]]})
    assistant = await house.post("/assistants", {"model": "scripted"})
    run = await house.post("/threads/runs", {"assistant_id": assistant["id"]})
    polled = [
        await house.client.get(p)
        for p in (
            f"/threads/{run['thread_id']}/runs/{run['id']}",
            f"{path}/files/{file['id']}",
            f"{path}/file_batches/{batch['id']}",
        )
    ]
    assert ["100"] * 3 == [answer.headers["openai-poll-after-ms"] for answer in polled]


async def until_indexed(house: House, path: str) -> None:
    """Poll until the object is no longer in progress; the test's timeout is the limit."""
    while (await house.get(path))["status"] == "in_progress":  # noqa: ASYNC110 - as clients poll
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("model", ["scripted", "org/scripted"])
async def test_models_that_are_served_are_not_deleted(house: House, model: str) -> None:
    """A served one is refused with the way to remove it; names may hold slashes, unknown ones are not found."""
    answer = await house.client.delete(f"/models/{model}")
    error = error_of(answer)
    known = model == "scripted"
    assert (403 if known else 404, "model") == (answer.status_code, error["param"])
    assert ("models ls" if known else f"The model '{model}' does not exist") in error["message"]
    assert 200 == (await house.client.get("/models/scripted")).status_code
