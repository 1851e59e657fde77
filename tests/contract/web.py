"""The contract's tests' way in: the application over the whole core, asked over HTTP.

Scripted turns, tools that do as told, and a library that can be held up (tests.support.engine); ids are the product's.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from local_assistants.engine.clock import RandomIds
from local_assistants.engine.ports import Tool
from local_assistants.engine.settings import CoreSettings
from local_assistants.server.app import create_app
from local_assistants.server.settings import ServerSettings
from tests.support.answers import error_of, json_of
from tests.support.engine import FAST, PATIENCE, House, Turns, house

Json = dict[str, Any]
HELLO: Turns = ({"text": "Hello there."},)
UNSETTLED = ("queued", "in_progress", "cancelling")
ORIGIN = "http://localhost"
USER: Json = {"role": "user", "content": "hi"}


@dataclass(frozen=True)
class Web:
    """A client at the application's door (paths are relative to /v1), and the house behind it."""

    client: httpx.AsyncClient
    home: House

    async def get(self, path: str, **query: Any) -> Json:
        """The JSON of a GET that has to succeed."""
        return json_of(await self.client.get(path, params=query or None))

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """The JSON of a POST that has to succeed; without a body none is sent."""
        return json_of(await self.client.post(path, json=body))

    async def delete(self, path: str) -> Json:
        """The JSON of a DELETE that has to succeed."""
        return json_of(await self.client.delete(path))

    async def refused(self, method: str, path: str, status: int = 400, **sent: Any) -> Json:
        """The envelope's content of a request that has to be refused with `status`."""
        answer = await self.client.request(method, path, **sent)
        assert status == answer.status_code, answer.text
        return error_of(answer)

    async def upload(
        self, content: bytes = b"apples and pears", name: str = "a.txt", purpose: str = "assistants"
    ) -> Json:
        """A stored file."""
        form = {"file": (name, content)}
        return json_of(await self.client.post("/files", files=form, data={"purpose": purpose}))

    async def assistant(self, **fields: Any) -> Json:
        """A new assistant."""
        return await self.post("/assistants", {"model": "scripted"} | fields)

    async def thread(self, *texts: str) -> Json:
        """A new thread with these messages of the user's."""
        messages = [{"role": "user", "content": text} for text in texts]
        return await self.post("/threads", {"messages": messages})

    async def started(self, assistant: Json, **fields: Any) -> Json:
        """A run on a new thread with one question."""
        body = {"assistant_id": assistant["id"], "thread": {"messages": [USER]}} | fields
        return await self.post("/threads/runs", body)

    async def settled(self, path: str) -> Json:
        """The object at `path` once it is neither queued, in progress nor cancelling."""
        async with asyncio.timeout(PATIENCE):
            while (found := await self.get(path))["status"] in UNSETTLED:  # noqa: ASYNC110 - as clients poll
                await asyncio.sleep(0.005)
        return found

    async def finished(self, assistant: Json, **fields: Any) -> Json:
        """A run on a new thread when it has ended or waits for its client."""
        run = await self.started(assistant, **fields)
        return await self.settled(path_of(run))


@asynccontextmanager
async def open_web(
    folder: Path,
    turns: Turns = HELLO,
    *,
    tools: Iterable[Tool] = (),
    settings: ServerSettings | None = None,
    headers: Mapping[str, str] | None = None,
    core: CoreSettings = FAST,
) -> AsyncGenerator[Web]:
    """The application over a running core, called in this process."""
    async with house(folder, turns, tools=tools, settings=core, ids=RandomIds()) as home:
        transport = httpx.ASGITransport(create_app(home.services, settings))
        async with httpx.AsyncClient(
            transport=transport, base_url=f"{ORIGIN}/v1", headers=headers
        ) as client:
            yield Web(client, home)


def path_of(run: Json) -> str:
    """Where a run is read."""
    return f"/threads/{run['thread_id']}/runs/{run['id']}"


def said_text(value: str) -> Json:
    """A text part of an answer, without annotations."""
    return {"type": "text", "text": {"value": value, "annotations": []}}


Told = tuple[str, str, str | None, str | None]
BAD = "invalid_request_error"


def told(error: Json) -> Told:
    """Message, type, param and code of an error."""
    return error["message"], error["type"], error["param"], error["code"]


def plainly(message: str, param: str | None = None, code: str | None = None) -> Told:
    """A mistake of the client's, as `told` gives it."""
    return message, BAD, param, code


def image(file_id: str) -> Json:
    """A part that shows a file."""
    return {"type": "image_file", "image_file": {"file_id": file_id}}
