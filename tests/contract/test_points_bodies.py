"""What clients may leave out, null or change (contract, 1.1 and 1.4 to 1.13; points 21, 22 and 46)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import CODE, FUNCTION, calls

from .web import USER, Json, Web, open_web, path_of

STATIC = {"max_chunk_size_tokens": 200, "chunk_overlap_tokens": 100}


@dataclass(frozen=True)
class Places:
    """Where there is something to be changed, and what can be named in bodies."""

    assistant: Json
    thread: Json
    message: str
    run: str
    store: str
    file: str
    stored: str

    @classmethod
    async def made(cls, web: Web) -> "Places":
        """One of each kind."""
        assistant = await web.assistant()
        run = await web.finished(assistant)
        thread = await web.thread("hi")
        message = (await web.get(f"/threads/{thread['id']}/messages"))["data"][0]
        file = await web.upload()
        store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
        await web.settled(f"/vector_stores/{store['id']}")
        return cls(
            assistant=assistant,
            thread=thread,
            message=f"/threads/{thread['id']}/messages/{message['id']}",
            run=path_of(run),
            store=f"/vector_stores/{store['id']}",
            file=file["id"],
            stored=f"/vector_stores/{store['id']}/files/{file['id']}",
        )


CREATED = ("created_at", "id", "started_at", "thread_id")  # differ from one object to the next


def without(made: Json) -> Json:
    """An object less what is its own."""
    return {key: value for key, value in made.items() if key not in CREATED}


def nulls(names: str) -> Json:
    """A body with these fields null."""
    return dict.fromkeys(names.split())


RUN_FIELDS = (
    "model instructions tools metadata temperature top_p response_format stream max_prompt_tokens "
    "max_completion_tokens truncation_strategy tool_choice parallel_tool_calls"
)

CREATES: dict[str, Callable[[Places], tuple[str, Json, Json]]] = {
    "assistant": lambda at: (
        "/assistants",
        {"model": "scripted"},
        nulls(
            "name description instructions reasoning_effort tools tool_resources metadata temperature top_p "
            "response_format"
        ),
    ),
    "thread": lambda at: ("/threads", {}, nulls("messages tool_resources metadata")),
    "message": lambda at: (
        f"/threads/{at.thread['id']}/messages",
        USER,
        nulls("attachments metadata"),
    ),
    "thread and run": lambda at: (
        "/threads/runs",
        {"assistant_id": at.assistant["id"]},
        nulls(f"thread tool_resources {RUN_FIELDS}"),
    ),
    "run": lambda at: (
        f"/threads/{at.thread['id']}/runs",
        {"assistant_id": at.assistant["id"]},
        nulls(f"reasoning_effort additional_instructions additional_messages {RUN_FIELDS}"),
    ),
    "vector store": lambda at: (
        "/vector_stores",
        {},
        nulls("file_ids name description expires_after chunking_strategy metadata"),
    ),
    "store file": lambda at: (
        f"{at.store}/files",
        {"file_id": at.file},
        nulls("chunking_strategy attributes"),
    ),
    "file batch": lambda at: (
        f"{at.store}/file_batches",
        {"file_ids": [at.file]},
        nulls("files chunking_strategy attributes"),
    ),
    "search": lambda at: (
        f"{at.store}/search",
        {"query": "pears"},
        nulls("rewrite_query max_num_results filters ranking_options"),
    ),
    "upload": lambda at: (
        "/uploads",
        {"filename": "b.txt", "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"},
        nulls("expires_after"),
    ),
}


@pytest.mark.parametrize("kind", CREATES)
async def test_point_21_null_is_the_same_as_nothing(web: Web, kind: str) -> None:
    """Every optional field of every create may be null; what is made is what is made without them."""
    at = await Places.made(web)
    path, required, null = CREATES[kind](at)
    made: list[Json] = []
    for body in (required, required | null):
        made.append(await web.post(path, body))
        if kind == "run":  # the thread takes one at a time
            await web.settled(f"{path}/{made[-1]['id']}")
    assert without(made[0]) == without(made[1])


async def test_point_21_null_inside_other_fields(web: Web) -> None:
    """Also in tools, parts, attachments, resources, strategies and formats."""
    at = await Places.made(web)
    function = {"name": "f", "description": None, "parameters": None, "strict": None}
    schema = {"name": "n", "description": None, "schema": None, "strict": None}
    assistant = await web.assistant(
        tools=[
            {
                "type": "file_search",
                "file_search": {"max_num_results": None, "ranking_options": None},
            },
            {"type": "function", "function": function},
        ],
        tool_resources={
            "code_interpreter": {"file_ids": None},
            "file_search": {"vector_store_ids": None, "vector_stores": None},
        },
        response_format={"type": "json_schema", "json_schema": schema},
    )
    seed = {"file_ids": None, "chunking_strategy": None, "metadata": None}
    picture = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": None}}
    attachment = {"file_id": at.file, "tools": None}
    thread = await web.post(
        "/threads",
        {
            "messages": [{"role": "user", "content": [picture], "attachments": [attachment]}],
            "tool_resources": {"code_interpreter": None, "file_search": {"vector_stores": [seed]}},
        },
    )
    run = await web.started(assistant, truncation_strategy={"type": "auto", "last_messages": None})
    strategy = {"type": "auto", "static": None}
    store = await web.post("/vector_stores", {"chunking_strategy": strategy})
    message = (await web.get(f"/threads/{thread['id']}/messages"))["data"][0]
    assert {"type": "json_schema", "json_schema": {"name": "n"}} == assistant["response_format"]
    assert [{"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}] == message[
        "content"
    ]
    assert [{"file_id": at.file, "tools": []}] == message["attachments"]
    assert 1 == len(thread["tool_resources"]["file_search"]["vector_store_ids"])
    assert ("queued", "completed") == (run["status"], store["status"])


async def test_point_21_a_required_field_cannot_be_null(web: Web) -> None:
    """null there is the same as nothing, too: missing."""
    errors = [
        await web.refused("POST", "/assistants", json={"model": None}),
        await web.refused("POST", "/threads/runs", json={"assistant_id": None}),
    ]
    assert ["missing_required_parameter"] * 2 == [error["code"] for error in errors]
    assert ["model", "assistant_id"] == [error["param"] for error in errors]


EMPTY_BODIES: list[dict[str, Any]] = [
    {},
    {"content": b""},
    {"content": b"{}"},
    {"content": b"{}", "headers": {"content-type": "application/json"}},
    {"content": b"", "headers": {"content-type": "application/json"}},
    {"content": b"null", "headers": {"content-type": "application/json"}},
    {"content": b" \r\n", "headers": {"content-type": "application/json; charset=utf-8"}},
]

OPTIONAL: list[Callable[[Places], str]] = [
    lambda at: "/threads",
    lambda at: "/vector_stores",
    lambda at: f"/assistants/{at.assistant['id']}",
    lambda at: f"/threads/{at.thread['id']}",
    lambda at: at.message,
    lambda at: at.run,
    lambda at: at.store,
]


async def test_point_22_a_post_that_needs_nothing_takes_nothing(web: Web) -> None:
    """No body, an empty one, `{}`, null and blanks are the same for every POST without a required field."""
    at = await Places.made(web)
    for place in OPTIONAL:
        path = place(at)
        answers = [await web.client.post(path, **sent) for sent in EMPTY_BODIES]
        made = [without(answer.json()) for answer in answers]
        assert (path, [200] * len(made)) == (path, [answer.status_code for answer in answers])
        assert [made[0]] * len(made) == made


@pytest.mark.parametrize("sent", EMPTY_BODIES, ids=repr)
async def test_point_22_cancelling_takes_any_empty_body(
    tmp_path: Path, sent: dict[str, Any]
) -> None:
    """Runs, uploads and batches are cancelled without one."""
    upload = {"filename": "b", "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}
    async with open_web(tmp_path, (calls("add", {}),)) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        pending = await web.post("/uploads", upload)
        answers = [
            await web.client.post(f"{path_of(run)}/cancel", **sent),
            await web.client.post(f"/uploads/{pending['id']}/cancel", **sent),
        ]
    statuses = [answer.json()["status"] for answer in answers]
    assert ["cancelling", "cancelled"] == statuses


async def test_point_46_an_assistant_keeps_what_was_not_sent(web: Web) -> None:
    """Each field can be changed alone; all others stay."""
    file, store = await web.upload(), await web.post("/vector_stores")
    made = await web.assistant(
        name="N",
        description="D",
        instructions="I",
        tools=[CODE],
        top_p=0.5,
        temperature=0.5,
        reasoning_effort="low",
        metadata={"a": "1", "b": "2"},
        response_format={"type": "json_object"},
        tool_resources={
            "code_interpreter": {"file_ids": [file["id"]]},
            "file_search": {"vector_store_ids": [store["id"]]},
        },
    )
    path = f"/assistants/{made['id']}"
    expected = made
    changes: list[Json] = [
        {},
        {"name": "N2"},
        {"description": ""},
        {"instructions": "I2"},
        {"tools": [FUNCTION]},
        {"tools": []},
        {"top_p": 1.0},
        {"temperature": 0.0},
        {"reasoning_effort": "high"},
        {"metadata": {"c": "3"}},
        {"metadata": {}},
        {"response_format": "auto"},
        {"model": "scripted"},
    ]
    for change in changes:
        expected = expected | change
        changed = await web.post(path, change)
        changed["tools"] = [
            FUNCTION if tool["type"] == "function" else tool for tool in changed["tools"]
        ]
        assert (change, expected) == (change, changed)


async def test_point_46_resources_are_replaced_tool_by_tool(web: Web) -> None:
    """What is sent for one tool replaces that tool's; the other tool's stays, of assistants and of threads."""
    files = [(await web.upload())["id"] for _ in range(2)]
    store = await web.post("/vector_stores")
    whole = {
        "code_interpreter": {"file_ids": files[:1]},
        "file_search": {"vector_store_ids": [store["id"]]},
    }
    code, search = {"file_ids": files[1:]}, {"vector_store_ids": list[str]()}
    for path in ("/assistants", "/threads"):
        body = {"model": "scripted"} if path == "/assistants" else {}
        made = await web.post(path, body | {"tool_resources": whole})
        one = f"{path}/{made['id']}"
        first = await web.post(one, {"tool_resources": {"code_interpreter": code}})
        second = await web.post(one, {"tool_resources": {"file_search": search}})
        assert whole == made["tool_resources"]
        assert whole | {"code_interpreter": code} == first["tool_resources"]
        assert {"code_interpreter": code, "file_search": search} == second["tool_resources"]
        assert second == await web.get(one)


async def test_point_46_threads_messages_runs_and_stores_keep_what_was_not_sent(web: Web) -> None:
    """An empty change changes nothing, a null map neither; a given map replaces the whole one."""
    at = await Places.made(web)
    for path in (f"/threads/{at.thread['id']}", at.message, at.run, at.store):
        first = await web.post(path, {"metadata": {"a": "1", "b": "2"}})
        kept = [await web.post(path, body) for body in ({}, {"metadata": None})]
        replaced = await web.post(path, {"metadata": {"c": "3"}})
        emptied = await web.post(path, {"metadata": {}})
        assert {"a": "1", "b": "2"} == first["metadata"]
        assert [first, first] == kept
        assert [first | {"metadata": {"c": "3"}}, first | {"metadata": {}}] == [replaced, emptied]


async def test_point_46_a_store_s_name_and_expiry(web: Web) -> None:
    """Each changes alone, and null clears it."""
    expiry = {"anchor": "last_active_at", "days": 2}
    made = await web.post("/vector_stores", {"name": "S", "expires_after": expiry})
    path = f"/vector_stores/{made['id']}"
    renamed = await web.post(path, {"name": "T"})
    endless = await web.post(path, {"expires_after": None})
    nameless = await web.post(path, {"name": None})
    longer = await web.post(path, {"expires_after": expiry | {"days": 3}})
    assert made | {"name": "T"} == renamed
    assert renamed | {"expires_after": None, "expires_at": None} == endless
    assert endless | {"name": None} == nameless
    shown = longer["expires_at"] - longer["last_active_at"]
    assert (3 * 86_400, {"days": 3}) == (shown, {"days": longer["expires_after"]["days"]})


async def test_null_takes_an_assistant_s_text_away(web: Web) -> None:
    """In a change null clears what may be null, gives numbers and format their defaults, and leaves the rest."""
    made = await web.assistant(
        name="N",
        description="D",
        instructions="I",
        tools=[CODE],
        top_p=0.5,
        temperature=0.5,
        reasoning_effort="low",
        metadata={"a": "1"},
        response_format={"type": "json_object"},
    )
    cleared = nulls("name description instructions reasoning_effort")
    defaults = {"top_p": 1.0, "temperature": 1.0, "response_format": "auto"}
    changed = await web.post(f"/assistants/{made['id']}", dict.fromkeys(made.keys() - UNSENT))
    assert made | cleared | defaults == changed


UNSENT = {"id", "object", "created_at"}


async def test_attributes_of_a_store_s_file(web: Web) -> None:
    """A given map replaces the whole one, null empties it, and the key has to be there."""
    at = await Places.made(web)
    first = await web.post(at.stored, {"attributes": {"a": "x", "b": True, "c": 0.5}})
    second = await web.post(at.stored, {"attributes": {"d": "y"}})
    none = await web.post(at.stored, {"attributes": None})
    error = await web.refused("POST", at.stored, json={})
    assert {"a": "x", "b": True, "c": 0.5} == first["attributes"]
    assert [{"d": "y"}, {}] == [second["attributes"], none["attributes"]]
    assert ("missing_required_parameter", "attributes") == (error["code"], error["param"])


async def test_static_chunking_comes_back_as_sent(web: Web) -> None:
    """For a store's files, one file and a batch; a batch's own strategy is not for its `files`."""
    strategy = {"type": "static", "static": STATIC}
    files = [(await web.upload())["id"] for _ in range(4)]
    body = {"file_ids": files[:1], "chunking_strategy": strategy}
    store = await web.post("/vector_stores", body)
    path = f"/vector_stores/{store['id']}"
    await web.post(f"{path}/files", {"file_id": files[1], "chunking_strategy": strategy})
    for fields in ({"file_ids": files[2:3]}, {"files": [{"file_id": files[3]}]}):
        await web.post(f"{path}/file_batches", fields | {"chunking_strategy": strategy})
    listed = (await web.get(f"{path}/files", order="asc"))["data"]
    usual = {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}
    assert [STATIC] * 3 + [usual] == [file["chunking_strategy"]["static"] for file in listed]
