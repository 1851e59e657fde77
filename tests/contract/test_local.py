"""What the original never had: a list of all threads, and a thread written out whole."""

import asyncio
import json
import threading
import tracemalloc
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message as AsgiMessage
from starlette.types import Scope

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import (
    FilePath,
    FileSearchDetails,
    ImageOutput,
    Message,
    SearchResult,
    SearchText,
    TextContent,
    TextValue,
    Thread,
)
from local_assistants.engine.ports import Emit, ToolResult, ToolSession, Transaction
from local_assistants.engine.requests import CreateThread
from local_assistants.engine.services import ExportFormat
from local_assistants.engine.states import MessageStatus
from local_assistants.server.app import create_app
from tests.support.answers import error_of, events_of, json_of
from tests.support.clock import START
from tests.support.engine import CODE, FUNCTION, PATIENCE, SEARCH, ScriptedTool, calls, house

from .web import ORIGIN, USER, Json, Web, open_web, path_of, told

LOCAL = f"{ORIGIN}/local/threads"
ASK = calls("add", {"a": 1})
KINDS = ["export", "thread", "message", "run", "step", "event", "code_session", "file", "end"]


async def listed(web: Web, **query: Any) -> list[str]:
    """The ids on a page of all threads."""
    return [thread["id"] for thread in (await web.get(LOCAL, **query))["data"]]


# --- the list --------------------------------------------------------------------------------------


async def test_all_threads_are_listed_newest_first(web: Web) -> None:
    """With the usual paging in both directions."""
    ids = [(await web.thread())["id"] for _ in range(5)]
    page = await web.get(LOCAL, limit=2)
    assert ["object", "data", "first_id", "last_id", "has_more"] == list(page)
    assert (ids[4], ids[3], True) == (page["first_id"], page["last_id"], page["has_more"])
    assert ids[::-1] == await listed(web)
    assert ids == await listed(web, order="asc")
    assert [ids[1], ids[0]] == await listed(web, after=ids[2])
    assert [ids[4], ids[3]] == await listed(web, before=ids[2])
    assert [ids[3]] == await listed(web, before=ids[2], limit=1)


async def test_no_threads_are_an_empty_page(web: Web) -> None:
    """As the API's own empty pages."""
    empty: Json = {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
    assert empty == await web.get(LOCAL)


async def test_a_listed_thread_shows_what_is_going_on_in_it(tmp_path: Path) -> None:
    """Its fields, the number of messages, when something happened last, the run that holds it."""
    async with open_web(tmp_path, [ASK]) as web:
        assistant = await web.assistant(tools=[FUNCTION])
        quiet = await web.post("/threads", {"messages": [USER, USER], "metadata": {"a": "b"}})
        await web.home.virtual.advance(100)
        run = await web.finished(assistant)
        first, second = (await web.get(LOCAL, order="asc"))["data"]
        assert quiet | {"tool_resources": first["tool_resources"]} == {
            key: first[key] for key in quiet
        }
        assert (2, START, None, None) == figures(first)
        assert (1, START + 100, run["id"], "requires_action") == figures(second)
        await web.home.virtual.advance(50)
        await web.post(f"{path_of(run)}/cancel")
        await web.settled(path_of(run))
        await web.post(f"/threads/{quiet['id']}/messages", USER)
        second, first = (await web.get(LOCAL))["data"]
        assert (1, START + 150, None, None) == figures(second)
        assert (3, START + 150, None, None) == figures(first)


def figures(thread: Json) -> tuple[Any, ...]:
    """What a listed thread says beyond the thread itself."""
    keys = ("message_count", "last_activity_at", "active_run_id", "active_run_status")
    return tuple(thread[key] for key in keys)


async def test_threads_are_found_by_metadata(web: Web) -> None:
    """All pairs that are given, in the spelling of the SDKs; nothing in them is query syntax."""
    ids = [
        (await web.post("/threads", {"metadata": pairs}))["id"]
        for pairs in ({"user": "ann"}, {"user": "ann", "topic": "tax"}, {'q"[]': "a&b=c"})
    ]
    assert ids[1::-1] == await listed(web, **{"metadata[user]": "ann"})
    assert [ids[1]] == await listed(web, **{"metadata[user]": "ann", "metadata[topic]": "tax"})
    assert [ids[2]] == await listed(web, **{'metadata[q"[]]': "a&b=c"})
    assert [] == await listed(web, **{"metadata[user]": "bob"})


async def test_threads_are_found_by_time(web: Web) -> None:
    """From a second on, before a second."""
    first = (await web.thread())["id"]
    await web.home.virtual.advance(10)
    second = (await web.thread())["id"]
    assert [second] == await listed(web, created_from=START + 10)
    assert [first] == await listed(web, created_before=START + 10)
    assert [second, first] == await listed(web, created_from=START, created_before=START + 11)


@pytest.mark.parametrize(
    ("query", "param", "code"),
    [
        ({"limit": "0"}, "limit", "integer_below_min_value"),
        ({"order": "up"}, "order", "invalid_value"),
        ({"created_from": "yesterday"}, "created_from", "invalid_type"),
        ({"created_before": "-1"}, "created_before", "invalid_type"),
        ({"after": "thread_none"}, "after", "invalid_value"),
    ],
)
async def test_a_wrong_query_is_refused(web: Web, query: Json, param: str, code: str) -> None:
    """In the API's own words, naming the parameter."""
    error = await web.refused("GET", LOCAL, params=query)
    assert (param, code) == (error["param"], error["code"])


async def test_a_key_with_two_values_is_refused(web: Web) -> None:
    """It could only ever find nothing."""
    path = f"{LOCAL}?metadata[user]=ann&metadata[user]=bob"
    said = "Invalid 'metadata[user]': no thread has two values for one key."
    error = await web.refused("GET", path)
    assert (said, "invalid_request_error", "metadata[user]", "invalid_value") == told(error)


# --- the export ------------------------------------------------------------------------------------


async def draw(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """The first code of a session; it shows a picture."""
    assert session.save_file is not None
    assert session.session_started is not None
    await session.session_started(START + 0.5)
    file = await session.save_file("plot.png", b"png")
    await emit(ImageOutput(image=FilePath(file_id=file.id)))
    return ToolResult("", images=(file.id,))


async def search(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A search that finds one passage."""
    result = SearchResult(
        file_id="file-gone", file_name="a.txt", score=0.5, content=(SearchText(text="apples"),)
    )
    return ToolResult("apples", search=FileSearchDetails(results=(result,)))


DRAWN: list[Json] = [
    {
        "tool_calls": [
            {"name": "code_interpreter", "arguments": {"code": "plot()"}},
            {"name": "file_search", "arguments": {"queries": ["apples"]}},
        ]
    },
    {"text": "See é."},
]
TOOLS = [ScriptedTool("code_interpreter", draw), ScriptedTool("file_search", search)]


async def drawn(web: Web) -> tuple[Json, Json]:
    """A run that has drawn and searched, on a thread with an attachment; and the attached file."""
    file = await web.upload()
    message = USER | {
        "attachments": [{"file_id": file["id"], "tools": [{"type": "code_interpreter"}]}]
    }
    assistant = await web.assistant(tools=[CODE, SEARCH])
    run = await web.finished(assistant, thread={"messages": [message]})
    assert "completed" == run["status"]
    return run, file


async def exported(web: Web, thread_id: str, **query: Any) -> bytes:
    """An export."""
    answer = await web.client.get(f"{LOCAL}/{thread_id}/export", params=query)
    assert 200 == answer.status_code, answer.text
    assert str(len(answer.content)) == answer.headers["content-length"]
    return answer.content


def records(export: bytes) -> list[tuple[str, Json]]:
    """(type, data) of each line."""
    lines = [json.loads(line) for line in export.splitlines()]
    assert [["type", "data"]] * len(lines) == [list(line) for line in lines]
    return [(line["type"], line["data"]) for line in lines]


async def test_an_export_holds_everything_that_happened(tmp_path: Path) -> None:
    """Each record is what the API shows of it; steps with the text that was found, events as streamed."""
    async with open_web(tmp_path, DRAWN, tools=TOOLS) as web:
        run, file = await drawn(web)
        thread = f"/threads/{run['thread_id']}"
        found = records(await exported(web, run["thread_id"]))
        of: dict[str, list[Json]] = {kind: [d for k, d in found if k == kind] for kind in KINDS}
        include = {"include[]": "step_details.tool_calls[*].file_search.results[*].content"}
        oldest_first = {"order": "asc", "limit": 100}
        messages = await web.get(f"{thread}/messages", **oldest_first)
        steps = await web.get(f"{path_of(run)}/steps", **oldest_first, **include)
        stream = (await web.client.get(f"{path_of(run)}/events")).text
        picture = steps["data"][0]["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"][
            0
        ]
        made = await web.get(f"/files/{picture['image']['file_id']}")

    assert KINDS == list(dict.fromkeys(kind for kind, _ in found))
    assert [{"format": "local-assistants.thread", "version": 1, "exported_at": START}] == of[
        "export"
    ]
    assert run["thread_id"] == of["thread"][0]["id"]
    assert messages["data"] == of["message"]
    assert [run] == of["run"]
    assert steps["data"] == of["step"]
    assert "apples" in json.dumps(of["step"])
    assert [file, made] == of["file"]
    assert [{"run_id": run["id"], "started_at": START}] == of["code_session"]
    assert events_of(stream)[:-1] == [(e["event"], e["data"]) for e in of["event"]]
    assert {(run["id"], seq + 1) for seq in range(len(of["event"]))} == {
        (event["run_id"], event["seq"]) for event in of["event"]
    }
    counts = {f"{kind}s": len(of[kind]) for kind in KINDS[2:-1]}
    assert [counts] == of["end"]


async def test_json_says_the_same_as_jsonl(tmp_path: Path) -> None:
    """One object with a list for each kind of record."""
    async with open_web(tmp_path, DRAWN, tools=TOOLS) as web:
        run, _ = await drawn(web)
        lines = records(await exported(web, run["thread_id"], format="jsonl"))
        whole = json.loads(await exported(web, run["thread_id"], format="json"))
    of = {f"{kind}s": [data for k, data in lines if k == kind] for kind in KINDS[2:-1]}
    assert lines[0][1] | {"thread": lines[1][1]} | of == whole


async def test_an_empty_thread_is_exported(web: Web) -> None:
    """No record of a kind is an empty list of it."""
    thread = await web.thread()
    whole = json.loads(await exported(web, thread["id"], format="json"))
    lines = records(await exported(web, thread["id"]))
    assert [[]] * 6 == [whole[f"{kind}s"] for kind in KINDS[2:-1]]
    assert ["export", "thread", "end"] == [kind for kind, _ in lines]


async def test_the_files_of_an_export_are_those_it_names(web: Web) -> None:
    """Attachments that the thread does not list any more are; what a client writes into metadata is not."""
    attached, mentioned = await web.upload(), await web.upload()
    message = USER | {
        "attachments": [{"file_id": attached["id"], "tools": [{"type": "code_interpreter"}]}]
    }
    thread = await web.post(
        "/threads", {"messages": [message], "metadata": {"file_id": mentioned["id"]}}
    )
    emptied: Json = {"tool_resources": {"code_interpreter": {"file_ids": []}}}
    await web.post(f"/threads/{thread['id']}", emptied)
    whole = json.loads(await exported(web, thread["id"], format="json"))
    assert [attached] == whole["files"]


async def test_an_export_is_a_download(web: Web) -> None:
    """With a name to save it under; a browser shows none of it as a page."""
    thread = await web.thread()
    answer = await web.client.get(f"{LOCAL}/{thread['id']}/export")
    name = f'attachment; filename="{thread["id"]}.jsonl"'
    assert "application/jsonl" == answer.headers["content-type"]
    assert (name, "nosniff") == (
        answer.headers["content-disposition"],
        answer.headers["x-content-type-options"],
    )


async def test_what_cannot_be_exported_is_said_plainly(web: Web) -> None:
    """No such thread, no such format, no thread's id at all."""
    thread = await web.thread()
    missing = await web.refused("GET", f"{LOCAL}/thread_none/export", 404)
    odd = await web.refused("GET", f"{LOCAL}/{thread['id']}/export", params={"format": "xml"})
    malformed = await web.refused("GET", f"{LOCAL}/undefined/export")
    assert "No thread found with id 'thread_none'." == missing["message"]
    said = "Invalid value: 'xml'. Supported values are: 'jsonl' and 'json'."
    assert (said, "invalid_request_error", "format", "invalid_value") == told(odd)
    assert "thread_id" == malformed["param"]


async def test_an_export_of_a_thread_under_way_is_one_moment(tmp_path: Path) -> None:
    """While a run waits for its client, the export says so in run, step and events alike."""
    async with open_web(tmp_path, [ASK, {"text": "Done."}]) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        lines = records(await exported(web, run["thread_id"]))
    last = [data for kind, data in lines if kind == "event"][-1]
    assert "thread.run.requires_action" == last["event"]
    assert ["requires_action"] == [data["status"] for kind, data in lines if kind == "run"]
    assert ["in_progress"] == [data["status"] for kind, data in lines if kind == "step"]


class Counted(BytesIO):
    """Takes everything and keeps only how much it was."""

    size = 0

    def write(self, data: Any, /) -> int:
        """Forget it."""
        self.size += len(data)
        return len(data)


def fill(tx: Transaction) -> None:
    """Put 6,000 messages of four thousand characters into thread_long."""
    tx.put(Thread(id="thread_long", created_at=START))
    message = Message(
        id="msg",
        created_at=START,
        thread_id="thread_long",
        status=MessageStatus.COMPLETED,
        role="user",
        content=(TextContent(text=TextValue(value="x" * 4000)),),
    )
    for number in range(6_000):
        tx.put(message.model_copy(update={"id": f"msg_{number}"}))


async def test_a_long_thread_does_not_fill_the_memory(tmp_path: Path) -> None:
    """6,000 messages, 24 MB written: less than a quarter of that is in memory at a time."""
    async with house(tmp_path) as home:
        await home.store.write(fill)
        target = Counted()
        await home.services.export.write("thread_long", Counted(), ExportFormat.JSONL)
        tracemalloc.start()
        try:
            await home.services.export.write("thread_long", target, ExportFormat.JSON)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert target.size > 24_000_000
    assert peak < target.size / 4


class Stuck(BytesIO):
    """Takes nothing until it is let."""

    def __init__(self, let: threading.Event) -> None:
        super().__init__()
        self._let = let

    def write(self, data: Any) -> int:
        """Wait, then take it."""
        self._let.wait()
        return super().write(data)


async def test_exports_leave_the_store_s_readers_to_others(tmp_path: Path) -> None:
    """Eight projects export to disks that stand still, and what anybody asks for is answered meanwhile."""
    let = threading.Event()
    async with house(tmp_path) as home:
        projects = [home.services.of(f"p{number}") for number in range(8)]
        threads = [await each.threads.create(CreateThread()) for each in projects]
        targets = [Stuck(let) for _ in projects]
        exports = [
            asyncio.create_task(each.export.write(thread.id, target, ExportFormat.JSONL))
            for each, thread, target in zip(projects, threads, targets, strict=True)
        ]
        await asyncio.sleep(0)  # now each has asked for its reader
        try:
            async with asyncio.timeout(10):
                found = await projects[0].threads.get(threads[0].id)
        finally:
            let.set()
        await asyncio.gather(*exports)
    assert threads[0].id == found.id
    assert all(b'"type":"end"' in target.getvalue() for target in targets)


# --- whose they are --------------------------------------------------------------------------------


async def test_no_key_sees_another_project_s_threads(tmp_path: Path) -> None:
    """Neither in the list nor by an export; without a key there is nothing to see."""
    async with open_web(tmp_path) as web:
        keys = web.home.services.keys
        ann, bob = [(await keys.create(project=name)).secret for name in ("ann", "bob")]
        thread = json_of(await asked(web, "POST", f"{ORIGIN}/v1/threads", ann))
        export = f"{LOCAL}/{thread['id']}/export"
        own, other = [json_of(await asked(web, "GET", LOCAL, key)) for key in (ann, bob)]
        opened, refused = [await asked(web, "GET", export, key) for key in (ann, bob)]
        nobody = [await web.client.get(path) for path in (LOCAL, export)]
    assert [thread["id"]] == [listed["id"] for listed in own["data"]]
    assert [] == other["data"]
    assert (200, 404) == (opened.status_code, refused.status_code)
    assert f"No thread found with id '{thread['id']}'." == error_of(refused)["message"]
    assert [401, 401] == [answer.status_code for answer in nobody]


async def asked(web: Web, method: str, path: str, key: str) -> httpx.Response:
    """The answer to a request with a key."""
    return await web.client.request(method, path, headers={"authorization": f"Bearer {key}"})


async def test_nothing_is_written_for_a_client_that_left_before_its_turn(tmp_path: Path) -> None:
    """Who waits behind it is served as ever."""
    gone = asyncio.Event()
    async with house(tmp_path) as home:
        thread = await home.thread("Hi")
        export, left, stayed = home.services.export, BytesIO(), BytesIO()
        async with export.turn:
            waiting = [
                asyncio.create_task(export.write(thread.id, left, ExportFormat.JSON, gone=gone)),
                asyncio.create_task(export.write(thread.id, stayed, ExportFormat.JSON)),
            ]
            await asyncio.sleep(0)
            gone.set()
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
    assert b"" == left.getvalue()
    assert thread.id == json.loads(stayed.getvalue())["thread"]["id"]


async def test_a_client_that_leaves_while_it_waits_for_its_export(tmp_path: Path) -> None:
    """Nothing is read and nothing written for it."""
    leave, sent = asyncio.Event(), list[AsgiMessage]()
    coming: list[AsgiMessage] = [{"type": "http.request", "body": b""}]

    async def receive() -> AsgiMessage:
        if coming:
            return coming.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    async with house(tmp_path) as home:
        thread = await home.thread("Hi")
        path = f"/local/threads/{thread.id}/export"
        scope: Scope = {"type": "http", "method": "GET", "path": path, "query_string": b""}
        scope["asgi"] = {
            "spec_version": "2.4"
        }  # then nothing but the route looks whether the client is there
        scope["headers"] = [(b"host", b"localhost")]
        async with home.services.export.turn:
            asked = asyncio.create_task(create_app(home.services)(scope, receive, send))
            await asyncio.sleep(0.1)
            leave.set()
            await asyncio.sleep(0.1)
        await asyncio.wait_for(asked, PATIENCE)
    assert b"" == b"".join(message.get("body", b"") for message in sent)
