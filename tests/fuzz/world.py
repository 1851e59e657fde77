"""A living server for the fuzzers: the application over a real engine on a loop of its own, called without a socket.

Holds a few objects whose ids the fuzzers put into paths and bodies, and says whether a request that was refused has
changed anything.
"""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

import jsonschema_rs
from hypothesis import HealthCheck

from local_assistants.engine.objects import (
    Assistant,
    File,
    FileBatch,
    Message,
    Run,
    Thread,
    VectorStore,
    VectorStoreFile,
)
from local_assistants.engine.ports import PageQuery, Transaction
from local_assistants.server.app import ROUTERS, create_app
from local_assistants.server.openapi import describe
from local_assistants.server.settings import ServerSettings
from tests.unit.server.house import Json, open_services

T = TypeVar("T")
UNCHECKED = (
    HealthCheck.too_slow,
    HealthCheck.filter_too_much,
    HealthCheck.data_too_large,
    HealthCheck.large_base_example,
    HealthCheck.function_scoped_fixture,
)
"""What Hypothesis shall not complain of: a busy machine, and schemas that are hard to break."""
DOCUMENT: Json = describe(ROUTERS, "fuzzed")
PATIENCE = 20.0  # seconds for an answer
_LISTENING = 0.3  # seconds that an event stream is listened to before the client hangs up
_TURNS: tuple[Json, ...] = (
    {"tool_calls": [{"name": "add", "arguments": {"a": 1}}]},
    {"text": "It is {{tool}}."},
)
_ADD: Json = {"type": "function", "function": {"name": "add"}}
_ENDING = ("/cancel", "/submit_tool_outputs", "/complete", "/runs")
FILE_NAME = '; filename="a.txt"'
_KINDS = (Assistant, Thread, File, VectorStore, VectorStoreFile, FileBatch, Message, Run)
_MOVING = {"file_counts", "status", "usage_bytes", "last_active_at", "expires_at", "last_error"}


@dataclass
class Answer:
    """What came back. `whole` is false for a stream that was left before its end."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    whole: bool = True


@dataclass(frozen=True)
class Request:
    """One request, as raw as a server sees it. `operation` is the route's path as described, for the count."""

    method: str
    target: bytes  # path and query, percent-encoded
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    operation: str = ""


class World:
    """The server, its objects and the count of answers by operation and status."""

    def __init__(self, folder: Path) -> None:
        self.ids: dict[str, str] = {"model": "scripted"}
        self.counts: Counter[tuple[str, int]] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = AsyncExitStack()
        self._thread.start()
        self._run(self._open(folder))

    def close(self) -> None:
        """Stop the engine and its loop."""
        self._run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE * 3)

    async def _open(self, folder: Path) -> None:
        self._services = await self._stack.enter_async_context(open_services(folder, _TURNS))
        settings = ServerSettings(busy_wait=0.2, max_body_bytes=200_000, ping_seconds=0.1)
        self._app = create_app(self._services, settings)
        await self._settle()

    # --- requests ---------------------------------------------------------------------------------

    def send(self, request: Request) -> Answer:
        """The answer, checked: never a fault, never a body that is not ours, nothing changed by a refusal."""
        return self._run(self._send(request))

    async def _send(self, request: Request) -> Answer:
        changing = request.method not in ("GET", "HEAD", "OPTIONS")
        before = await self._state() if changing else None
        answer = await self._call(request)
        self.counts[request.operation, answer.status] += 1
        check_answer(request, answer)
        if before is not None and answer.status >= 400:
            assert before == await self._state(), f"{answer.status} and yet changed: {request}"
        path = request.target.partition(b"?")[0].decode()
        if answer.status == 200 and (request.method == "DELETE" or path.endswith(_ENDING)):
            await self._settle()
        return answer

    async def _call(self, request: Request) -> Answer:
        path, _, query = request.target.partition(b"?")
        headers = {"host": "localhost", "content-length": str(len(request.body))}
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1", "replace"))
                for name, value in {**headers, **request.headers}.items()
            ],
        }
        answer = Answer()
        gone = asyncio.Event()
        pending = [{"type": "http.request", "body": request.body, "more_body": False}]

        async def receive() -> dict[str, Any]:
            if pending:
                return pending.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {k.decode(): v.decode("latin-1") for k, v in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        task = asyncio.ensure_future(self._app(scope, receive, send))
        done, _ = await asyncio.wait([task], timeout=_LISTENING)
        if not done and answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.whole = False
            gone.set()
        await asyncio.wait_for(task, PATIENCE)
        return answer

    # --- objects ----------------------------------------------------------------------------------

    async def _settle(self) -> None:
        """Make the objects that are not there any more."""
        if not await self._there("/v1/assistants/{assistant_id}"):
            made = await self._make("/v1/assistants", {"model": "scripted", "tools": [_ADD]})
            self.ids["assistant_id"] = made["id"]
        if not await self._there("/v1/files/{file_id}"):
            made = await self._send_form("/v1/files", purpose="assistants", file="apples")
            self.ids["file_id"] = made["id"]
        if not await self._there("/v1/vector_stores/{vector_store_id}/files/{file_id}"):
            made = await self._make("/v1/vector_stores", {"file_ids": [self.ids["file_id"]]})
            self.ids["vector_store_id"] = made["id"]
        path = f"/v1/vector_stores/{self.ids['vector_store_id']}/file_batches"
        if not await self._there(f"{path}/{{batch_id}}"):
            made = await self._make(path, {"file_ids": [self.ids["file_id"]]})
            self.ids["batch_id"] = made["id"]
        upload = {"filename": "a", "purpose": "vision", "bytes": 1, "mime_type": "image/png"}
        self.ids["upload_id"] = (await self._make("/v1/uploads", upload))["id"]
        part = f"/v1/uploads/{self.ids['upload_id']}/parts"
        self.ids["part_id"] = (await self._send_form(part, data="x"))["id"]
        self.ids["idle_thread_id"] = (await self._make("/v1/threads", {}))["id"]
        await self._settle_run()

    async def _settle_run(self) -> None:
        """A thread with a run that waits for the outputs of a function."""
        message = "/v1/threads/{thread_id}/messages/{message_id}"
        if await self._there(message) and await self._waits():
            return
        run = await self._make(
            "/v1/threads/runs",
            {
                "assistant_id": self.ids["assistant_id"],
                "thread": {"messages": [{"role": "user", "content": "hi"}]},
            },
        )
        self.ids |= {"thread_id": run["thread_id"], "run_id": run["id"]}
        async with asyncio.timeout(PATIENCE):
            while not await self._waits():  # noqa: ASYNC110 - as clients do
                await asyncio.sleep(0.002)
        path = f"/v1/threads/{run['thread_id']}"
        self.ids["message_id"] = (await self._read(f"{path}/messages"))["data"][0]["id"]
        step = (await self._read(f"{path}/runs/{run['id']}/steps"))["data"][0]
        self.ids["step_id"] = step["id"]
        self.ids["tool_call_id"] = step["step_details"]["tool_calls"][0]["id"]

    async def _waits(self) -> bool:
        run = await self._read("/v1/threads/{thread_id}/runs/{run_id}".format_map(self.ids))
        return bool(run.get("status") == "requires_action")

    async def _there(self, path: str) -> bool:
        try:
            target = path.format_map(self.ids)
        except KeyError:
            return False
        return (await self._call(Request("GET", target.encode()))).status == 200

    async def _read(self, path: str) -> Json:
        found: Json = json.loads((await self._call(Request("GET", path.encode()))).body)
        return found

    async def _make(self, path: str, body: Json) -> Json:
        headers = {"content-type": "application/json"}
        request = Request("POST", path.encode(), headers, json.dumps(body).encode())
        answer = await self._call(request)
        assert 200 == answer.status, answer.body
        made: Json = json.loads(answer.body)
        return made

    async def _send_form(self, path: str, **fields: str) -> Json:
        parts = [
            f'--x\r\nContent-Disposition: form-data; name="{name}"'
            f"{FILE_NAME if name == 'file' else ''}\r\n\r\n{value}\r\n"
            for name, value in fields.items()
        ]
        headers = {"content-type": "multipart/form-data; boundary=x"}
        body = ("".join(parts) + "--x--\r\n").encode()
        answer = await self._call(Request("POST", path.encode(), headers, body))
        assert 200 == answer.status, answer.body
        made: Json = json.loads(answer.body)
        return made

    async def _state(self) -> list[Any]:
        """The newest objects of each kind, without what changes by itself."""
        return await self._services.core.store.read(_newest)


def _newest(tx: Transaction) -> list[Any]:
    found: list[Any] = []
    for kind in _KINDS:
        for each in tx.page(kind, PageQuery({}, 20, "desc"))[0]:
            wire = each.to_wire()
            if kind is Run or (kind is Message and wire["run_id"]):
                if kind is Run:
                    found.append(wire["id"])
                continue
            found.append({key: value for key, value in wire.items() if key not in _MOVING})
    return found


# --- what every answer has to be -----------------------------------------------------------------------


def check_answer(request: Request, answer: Answer) -> None:
    """Fail when an answer is none that the contract knows."""
    assert answer.status in (200, 400, 403, 404, 405, 413, 429, 503), (request, answer)
    assert answer.headers["x-request-id"].startswith("req_")
    assert "openai-processing-ms" in answer.headers
    if answer.status >= 400 and not (
        request.operation.endswith("/readyz") and answer.status == 503
    ):
        assert "application/json" == answer.headers["content-type"], (request, answer)
        error = json.loads(answer.body)
        assert ["error"] == list(error), (request, answer)
        assert {"message", "type", "param", "code"} == set(error["error"]), (request, answer)
    elif answer.headers.get("content-type", "").startswith("text/event-stream"):
        check_stream(answer)
    else:
        _check_described(request, answer)


def check_stream(answer: Answer) -> list[tuple[int, str]]:
    """Fail when a stream is malformed; the number and name of each event."""
    text = answer.body.decode()
    frames = [frame for frame in text.replace(": ping\n", "").split("\n\n") if frame]
    if answer.whole:
        assert "event: done\ndata: [DONE]" == frames.pop()
    else:
        frames = frames[:-1] if not text.endswith("\n\n") else frames
    seen: list[tuple[int, str]] = []
    for frame in frames:
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        json.loads(fields["data"])
        seen.append((int(fields["id"]), fields["event"]))
    numbers = [number for number, _ in seen]
    assert sorted(set(numbers)) == numbers
    return seen


_VALIDATORS: dict[str, Any] = {}


def _check_described(request: Request, answer: Answer) -> None:
    method, _, path = request.operation.partition(" ")
    operation: Json = DOCUMENT["paths"].get(path, {}).get(method.lower(), {})
    content: Json = operation["responses"]["200"]["content"] if operation else {}
    if answer.status != 200 or "application/json" not in content:
        return
    if request.operation not in _VALIDATORS:
        schema: Json = content["application/json"]["schema"]
        whole: Json = {**schema, "components": DOCUMENT["components"]}
        _VALIDATORS[request.operation] = jsonschema_rs.validator_for(whole)
    problems = [
        e.message for e in _VALIDATORS[request.operation].iter_errors(json.loads(answer.body))
    ]
    assert [] == problems, (request, answer)
