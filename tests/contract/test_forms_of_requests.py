"""What else the contract says of requests and their answers (1.1, 1.4, 1.5, 1.9, 1.10, 1.12, 1.13, 1.15)."""

from typing import Any

import pytest

from tests.support.answers import events_of
from tests.support.engine import CODE, FUNCTION, SEARCH

from .web import USER, Json, Web, image, path_of, plainly, said_text, told

BOTH = {"accept": "application/json, text/event-stream"}


async def test_the_body_says_whether_to_stream_and_not_accept(web: Web) -> None:
    """A client that would take both gets JSON unless the body asks for a stream; null and false ask for none."""
    assistant = await web.assistant()
    start: Json = {"assistant_id": assistant["id"]}
    for body in (start, start | {"stream": None}, start | {"stream": False}):
        answer = await web.client.post("/threads/runs", json=body, headers=BOTH)
        assert ("application/json", "queued") == (
            answer.headers["content-type"],
            answer.json()["status"],
        )
    for headers in (BOTH, {"accept": "application/json"}, {"accept": "*/*"}):
        streamed = start | {"stream": True}
        answer = await web.client.post("/threads/runs", json=streamed, headers=headers)
        assert "text/event-stream; charset=utf-8" == answer.headers["content-type"]
        assert ("done", "[DONE]") == events_of(answer.text)[-1]


async def test_attachments_are_echoed_as_sent(web: Web) -> None:
    """The same file may stand twice with different tools; one attachment may name both."""
    first, second = await web.upload(), await web.upload()
    code, search = {"type": "code_interpreter"}, {"type": "file_search"}
    attachments: list[Json] = [
        {"file_id": first["id"], "tools": [code]},
        {"file_id": first["id"], "tools": [search]},
        {"file_id": second["id"], "tools": [search, code]},
        {"file_id": second["id"], "tools": []},
    ]
    thread = await web.thread()
    path = f"/threads/{thread['id']}/messages"
    made = await web.post(path, USER | {"attachments": attachments})
    assert attachments == made["attachments"]
    assert made == await web.get(f"{path}/{made['id']}")
    kinds = [
        USER | {"attachments": [{"file_id": first["id"], "tools": [tool]}]}
        for tool in (FUNCTION, {"type": "retrieval"})
    ]
    for body in kinds:
        error = await web.refused("POST", path, json=body)
        assert error["param"].startswith("attachments[0].tools[0]")


async def test_parts_of_a_message(web: Web) -> None:
    """Text, files and links in any order come back alike, details too; a refusal is not for clients."""
    picture = await web.upload(b"x", "a.png", "vision")
    path = f"/threads/{(await web.thread())['id']}/messages"
    detailed = [
        {"type": "image_file", "image_file": {"file_id": picture["id"], "detail": detail}}
        for detail in ("auto", "low", "high")
    ]
    linked = {"type": "image_url", "image_url": {"url": "https://x.test/a.gif", "detail": "low"}}
    parts = [linked, {"type": "text", "text": "?"}, *detailed, image(picture["id"])]
    made = await web.post(path, {"role": "assistant", "content": parts})
    assert [linked, said_text("?"), *detailed, image(picture["id"])] == made["content"]
    refusal = {"role": "user", "content": [{"type": "refusal", "refusal": "no"}]}
    error = await web.refused("POST", path, json=refusal)
    message = (
        "Invalid value: 'refusal'. Supported values are: 'text', 'image_file', and 'image_url'."
    )
    assert plainly(message, "content[0].type", "invalid_value") == told(error)


CHANGED_ONLY = [
    ("/threads/{thread}/messages/{message}", "content"),
    ("/threads/{thread}/messages/{message}", "role"),
    ("/threads/{thread}/messages/{message}", "attachments"),
    ("/threads/{run_thread}/runs/{run}", "instructions"),
    ("/threads/{run_thread}/runs/{run}", "status"),
    ("/threads/{thread}", "messages"),
    ("/vector_stores/{store}", "file_ids"),
    ("/vector_stores/{store}", "chunking_strategy"),
    ("/assistants/{assistant}", "id"),
]


async def test_what_cannot_be_changed(web: Web) -> None:
    """Messages and runs take metadata only; what belongs to a create is unknown to a change."""
    run = await web.finished(await web.assistant())
    thread, store = await web.thread("hi"), await web.post("/vector_stores")
    message = (await web.get(f"/threads/{thread['id']}/messages"))["data"][0]
    ids = {
        "thread": thread["id"],
        "message": message["id"],
        "run_thread": run["thread_id"],
        "run": run["id"],
        "store": store["id"],
        "assistant": run["assistant_id"],
    }
    for path, key in CHANGED_ONLY:
        body = {key: "x", "metadata": {"a": "b"}}
        error = await web.refused("POST", path.format(**ids), json=body)
        assert plainly(f"Unknown parameter: '{key}'.", key, "unknown_parameter") == told(error)
    assert run == await web.get(path_of(run))


CHOICES: list[Any] = [
    "none",
    "auto",
    "required",
    {"type": "function", "function": {"name": "add"}},
    CODE,
    SEARCH,
]
FORMATS: list[Any] = [
    "auto",
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "n"}},
    {
        "type": "json_schema",
        "json_schema": {"name": "n", "description": "d", "schema": {"a": None}, "strict": False},
    },
]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("tool_choice", CHOICES),
        ("response_format", FORMATS),
        ("truncation_strategy", [{"type": "auto"}, {"type": "last_messages", "last_messages": 9}]),
    ],
)
async def test_every_form_of_a_run_s_settings(web: Web, key: str, values: list[Any]) -> None:
    """Each comes back as it was sent; last_messages is null where none were asked for."""
    assistant = await web.assistant(tools=[FUNCTION, CODE, SEARCH], instructions="Use JSON.")
    for value in values:
        run = await web.started(assistant, **{key: value})
        shown = value
        if key == "truncation_strategy":
            shown = {"last_messages": None} | value
        assert shown == run[key]


async def test_every_reasoning_effort(web: Web) -> None:
    """Seven words and null; another is refused with the seven."""
    efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max", None]
    made = [await web.assistant(reasoning_effort=effort) for effort in efforts]
    body = {"model": "scripted", "reasoning_effort": "huge"}
    error = await web.refused("POST", "/assistants", json=body)
    assert efforts == [assistant["reasoning_effort"] for assistant in made]
    assert ("reasoning_effort", "invalid_value") == (error["param"], error["code"])
    assert "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', and 'max'" in error["message"]


async def test_pages_of_searches_and_of_content(web: Web) -> None:
    """They have their own envelope; the query is an array also when one was sent."""
    file, store = await web.upload(b"pears"), await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}"
    await web.post(f"{path}/files", {"file_id": file["id"]})
    await web.settled(f"{path}/files/{file['id']}")
    content = await web.get(f"{path}/files/{file['id']}/content")
    found = [await web.post(f"{path}/search", {"query": query}) for query in ("a", ["a", "b"])]
    rest = {"has_more": False, "next_page": None}
    part = [{"type": "text", "text": "pears"}]
    assert {"object": "vector_store.file_content.page", "data": part} | rest == content
    assert ["object", "search_query", "data", "has_more", "next_page"] == list(found[0])
    assert [["a"], ["a", "b"]] == [page["search_query"] for page in found]
    assert {"vector_store.search_results.page"} == {page["object"] for page in found}
    assert [rest] * 2 == [{key: page[key] for key in rest} for page in found]


@pytest.mark.parametrize(
    "purpose", ["fine-tune", "assistants", "batch", "user_data", "vision", "evals"]
)
async def test_every_purpose(web: Web, purpose: str) -> None:
    """Files and uploads take the wide set."""
    file = await web.upload(purpose=purpose)
    sent = {"filename": "b", "purpose": purpose, "bytes": 5, "mime_type": "text/plain"}
    upload = await web.post("/uploads", sent)
    assert (purpose, purpose) == (file["purpose"], upload["purpose"])
