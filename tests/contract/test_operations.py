"""The 51 operations of the contract (1.2), each in every form a client may use, and what is not routed."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.answers import error_of
from tests.support.engine import FUNCTION, PATIENCE, calls

from .web import ORIGIN, UNSETTLED, USER, Web, open_web

TURNS = (calls("add", {"a": 1}), {"text": "Three."})
ASKED = {"assistant_id": "{assistant}"}
OUTPUTS = [{"tool_call_id": "{call}", "output": "3"}]


@dataclass(frozen=True)
class Form:
    """One of the ways to address the same operations; the agents client's has only those of its own service."""

    name: str
    base: str
    query: dict[str, str] = field(default_factory=dict[str, str])
    headers: dict[str, str] = field(default_factory=dict[str, str])
    agents: bool = False

    def serves(self, path: str) -> bool:
        """Whether this client knows the operation."""
        return not (self.agents and path.startswith(("/uploads", "/models")))


BEARER = {"authorization": "Bearer sk-any"}
BETA = {"openai-beta": "assistants=v2"}
DATED = {"api-version": "2024-05-01-preview"}
FORMS = (
    Form("openai", "/v1", headers=BEARER | BETA),
    Form("azure", "/openai", DATED, {"api-key": "any"} | BETA),
    Form("azure with an Entra token", "/openai", DATED, BEARER),
    Form("azure's v1", "/openai/v1", headers={"api-key": "any"}),
    Form("azure's deployments", "/openai/deployments/x", DATED, {"api-key": "any"}),
    Form("azure-ai-agents", "", {"api-version": "v1"}, BEARER, agents=True),
    Form(
        "azure-ai-agents of a project",
        "/api/projects/p",
        {"api-version": "v1"},
        BEARER,
        agents=True,
    ),
)


@dataclass(frozen=True)
class Op:
    """An operation: its number in the contract, what is sent, what comes back, what of it is needed later.

    `{name}` in path and body stands for an id kept before. Without an `object` the answer is bytes. `until`: what is
    polled afterwards until it rests.
    """

    number: int
    method: str
    path: str
    object: str = ""
    body: Any = None
    files: dict[str, tuple[str, bytes]] | None = None
    keep: str = ""
    polled: bool = False
    until: str = ""


TEXT = {"file": ("a.txt", b"apples and pears")}
PART = {"data": ("part", b"pears")}
UPLOAD = {"filename": "b.txt", "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}
METADATA = {"metadata": {"k": "v"}}
RUN = "/threads/{thread}/runs/{run}"
STORE = "/vector_stores/{store}"
STORED = f"{STORE}/files/{{file}}"
BATCH = f"{STORE}/file_batches/{{batch}}"

OPS = (
    Op(41, "POST", "/files", "file", {"purpose": "vision"}, TEXT, keep="file"),
    Op(40, "GET", "/files", "list"),
    Op(42, "GET", "/files/{file}", "file"),
    Op(44, "GET", "/files/{file}/content"),
    Op(45, "POST", "/uploads", "upload", UPLOAD, keep="upload"),
    Op(46, "POST", "/uploads/{upload}/parts", "upload.part", {}, PART, keep="part"),
    Op(47, "POST", "/uploads/{upload}/complete", "upload", {"part_ids": ["{part}"]}),
    Op(45, "POST", "/uploads", "upload", UPLOAD, keep="upload"),
    Op(48, "POST", "/uploads/{upload}/cancel", "upload"),
    Op(49, "GET", "/models", "list"),
    Op(50, "GET", "/models/scripted", "model"),
    Op(2, "POST", "/assistants", "assistant", {"model": "scripted"}, keep="assistant"),
    Op(1, "GET", "/assistants", "list"),
    Op(3, "GET", "/assistants/{assistant}", "assistant"),
    Op(4, "POST", "/assistants/{assistant}", "assistant", {"tools": [FUNCTION]}),
    Op(6, "POST", "/threads", "thread", keep="thread"),
    Op(7, "GET", "/threads/{thread}", "thread"),
    Op(8, "POST", "/threads/{thread}", "thread", METADATA),
    Op(12, "POST", "/threads/{thread}/messages", "thread.message", USER, keep="message"),
    Op(11, "GET", "/threads/{thread}/messages", "list"),
    Op(13, "GET", "/threads/{thread}/messages/{message}", "thread.message"),
    Op(14, "POST", "/threads/{thread}/messages/{message}", "thread.message", METADATA),
    Op(15, "DELETE", "/threads/{thread}/messages/{message}", "thread.message.deleted"),
    Op(17, "POST", "/threads/{thread}/runs", "thread.run", ASKED, keep="run", until=RUN),
    Op(16, "GET", "/threads/{thread}/runs", "list"),
    Op(18, "GET", RUN, "thread.run", keep="call", polled=True),
    Op(19, "POST", RUN, "thread.run", METADATA),
    Op(22, "GET", f"{RUN}/steps", "list", keep="step"),
    Op(23, "GET", f"{RUN}/steps/{{step}}", "thread.run.step"),
    Op(
        21, "POST", f"{RUN}/submit_tool_outputs", "thread.run", {"tool_outputs": OUTPUTS}, until=RUN
    ),
    Op(17, "POST", "/threads/{thread}/runs", "thread.run", ASKED, keep="run"),
    Op(20, "POST", f"{RUN}/cancel", "thread.run", until=RUN),
    Op(9, "DELETE", "/threads/{thread}", "thread.deleted"),
    Op(10, "POST", "/threads/runs", "thread.run", ASKED),
    Op(5, "DELETE", "/assistants/{assistant}", "assistant.deleted"),
    Op(25, "POST", "/vector_stores", "vector_store", keep="store"),
    Op(24, "GET", "/vector_stores", "list"),
    Op(26, "GET", STORE, "vector_store"),
    Op(27, "POST", STORE, "vector_store", {"name": "S"}),
    Op(31, "POST", f"{STORE}/files", "vector_store.file", {"file_id": "{file}"}, until=STORED),
    Op(32, "GET", STORED, "vector_store.file", polled=True),
    Op(33, "POST", STORED, "vector_store.file", {"attributes": {"k": 1}}),
    Op(30, "GET", f"{STORE}/files", "list"),
    Op(35, "GET", f"{STORED}/content", "vector_store.file_content.page"),
    Op(29, "POST", f"{STORE}/search", "vector_store.search_results.page", {"query": "pears"}),
    Op(34, "DELETE", STORED, "vector_store.file.deleted"),
    Op(
        36,
        "POST",
        f"{STORE}/file_batches",
        "vector_store.files_batch",
        {"file_ids": ["{file}"]},
        keep="batch",
    ),
    Op(37, "GET", BATCH, "vector_store.files_batch", polled=True),
    Op(39, "GET", f"{BATCH}/files", "list"),
    Op(38, "POST", f"{BATCH}/cancel", "vector_store.files_batch"),
    Op(28, "DELETE", STORE, "vector_store.deleted"),
    Op(43, "DELETE", "/files/{file}", "file"),
)
"""In an order in which each has what it needs. 51 refuses, see below."""


class Client:
    """Asks in one form, and keeps the ids that later operations need."""

    def __init__(self, web: Web, form: Form) -> None:
        self._client = web.client
        self._form = form
        self._kept: dict[str, str] = {}

    async def ask(self, op: Op) -> httpx.Response:
        """The answer to one operation."""
        sent: dict[str, Any] = {}
        if op.files is not None:
            sent = {"files": op.files, "data": op.body}
        elif op.body is not None:
            sent = {"json": json.loads(self._filled(json.dumps(op.body)))}
        url = f"{ORIGIN}{self._form.base}{self._filled(op.path)}"
        return await self._client.request(
            op.method, url, params=self._form.query, headers=self._form.headers, **sent
        )

    async def ask_and_keep(self, op: Op) -> httpx.Response:
        """The same, with what `keep` and `until` ask for."""
        answer = await self.ask(op)
        if op.keep:
            self._kept[op.keep] = _id_of(op.keep, answer.json())
        if op.until:
            await self._settled(Op(0, "GET", op.until))
        return answer

    async def _settled(self, op: Op) -> None:
        async with asyncio.timeout(PATIENCE):
            while (await self.ask(op)).json()["status"] in UNSETTLED:  # noqa: ASYNC110 - as clients poll
                await asyncio.sleep(0.005)

    def _filled(self, text: str) -> str:
        return re.sub(r"\{([a-z]+)\}", lambda found: self._kept[found[1]], text)


def _id_of(kind: str, body: Any) -> str:
    if kind == "call":
        return str(body["required_action"]["submit_tool_outputs"]["tool_calls"][0]["id"])
    return str(body["data"][0]["id"] if kind == "step" else body["id"])


def told(op: Op, answer: httpx.Response) -> dict[str, Any]:
    """What the contract says of every answer: status, kind of object and headers."""
    headers = answer.headers
    is_json = headers["content-type"] == "application/json"
    return {
        "number": op.number,
        "status": answer.status_code,
        "object": answer.json()["object"] if is_json and answer.is_success else answer.content,
        "request id": headers["x-request-id"][:4],
        "took": int(headers["openai-processing-ms"]) > 0,
        "version": headers["openai-version"],
        "poll": "openai-poll-after-ms" in headers,
    }


def expected(op: Op) -> dict[str, Any]:
    """The same as it has to be."""
    return {
        "number": op.number,
        "status": 200,
        "object": op.object or b"apples and pears",
        "request id": "req_",
        "took": True,
        "version": "2020-10-01",
        "poll": op.polled,
    }


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
async def test_every_operation_answers_in_every_form(tmp_path: Path, form: Form) -> None:
    """Status, kind of object and headers are the same whichever way the operation is addressed."""
    ops = [op for op in OPS if form.serves(op.path)]
    async with open_web(tmp_path, TURNS) as web:
        client = Client(web, form)
        answers: list[dict[str, Any]] = []
        for op in ops:
            if op.number == 36:  # what is being indexed can be cancelled
                web.home.library.gate = asyncio.Event()
            answers.append(told(op, await client.ask_and_keep(op)))
    assert [expected(op) for op in ops] == answers


def test_the_table_is_complete() -> None:
    """All 51 operations stand in it; only the deletion of a model, which is refused, stands for itself."""
    assert set(range(1, 51)) == {op.number for op in OPS}


@pytest.mark.parametrize("form", FORMS[:5], ids=[form.name for form in FORMS[:5]])
async def test_no_model_of_ours_can_be_deleted(web: Web, form: Form) -> None:
    """Only fine-tuned models could be, and none is made here: refused for one that is served, unknown for others."""
    client = Client(web, form)
    served = await client.ask(Op(51, "DELETE", "/models/scripted"))
    unknown = await client.ask(Op(51, "DELETE", "/models/nobody"))
    assert (403, 404) == (served.status_code, unknown.status_code)
    assert "model_not_found" == error_of(unknown)["code"]
    assert "scripted" in error_of(served)["message"]


UPDATED = [op.path for op in OPS if op.number in (4, 8, 14, 19, 27, 33)]
UNROUTED = [
    *((method, path, 405) for path in UPDATED for method in ("PATCH", "PUT")),
    ("PUT", "/threads", 405),
    ("GET", f"{STORE}/file_batches", 405),
    ("DELETE", BATCH, 405),
    ("DELETE", RUN, 405),
    ("DELETE", f"{RUN}/steps/{{step}}", 405),
    ("POST", f"{RUN}/steps/{{step}}", 405),
    # of the API's first version
    ("GET", "/assistants/{assistant}/files", 404),
    ("POST", "/assistants/{assistant}/files", 404),
    ("GET", "/assistants/{assistant}/files/{file}", 404),
    ("DELETE", "/assistants/{assistant}/files/{file}", 404),
    ("GET", "/threads/{thread}/messages/{message}/files", 404),
    ("GET", "/threads/{thread}/messages/{message}/files/{file}", 404),
    # near misses
    ("GET", "/assistants/", 404),
    ("GET", "//assistants", 404),
    ("POST", f"{RUN}/resume", 404),
    ("GET", "/assistant", 404),
]


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
async def test_nothing_else_is_routed(web: Web, form: Form) -> None:
    """Other methods are a 405 and other paths a 404, told in the form's manner and never in the framework's."""
    wrong: list[Any] = []
    for method, path, status in UNROUTED:
        url = f"{ORIGIN}{form.base}{re.sub('[{}]', '', path)}"
        answer = await web.client.request(method, url, params=form.query, headers=form.headers)
        azure = form.base.startswith("/openai") and status == 404
        keys = ["code", "message"] if azure else ["message", "type", "param", "code"]
        if (status, keys) != (answer.status_code, list(answer.json().get("error", {}))):
            wrong.append((method, path, answer.status_code, answer.text))
    assert [] == wrong


@pytest.mark.parametrize("form", FORMS, ids=[form.name for form in FORMS])
async def test_threads_are_listed_for_the_agents_client_only(web: Web, form: Form) -> None:
    """The API has no such operation; that client's service had it."""
    url = f"{ORIGIN}{form.base}/threads"
    answer = await web.client.get(url, params=form.query, headers=form.headers)
    assert (200 if form.agents else 405) == answer.status_code
