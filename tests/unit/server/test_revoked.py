"""A key that is revoked while a stream it opened goes on."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from starlette.types import Message, Receive, Scope, Send

from local_assistants.server.door import Door
from local_assistants.server.gate import Gate
from local_assistants.server.settings import ServerSettings
from local_assistants.server.sse import DONE, EventStream

from .house import open_services


async def endless(*, quiet: bool) -> AsyncGenerator[bytes, None]:
    """What a stream sends of a run that goes on and on."""
    while True:
        yield b"" if quiet else b"event: thread.message.delta\ndata: {}\n\n"
        await asyncio.sleep(0.1)


class Streaming:
    """An application that answers whatever it is asked with an endless stream."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await EventStream(endless(quiet=self.quiet))(scope, receive, send)


class Client:
    """Asks with a key and listens for as long as there is something to hear."""

    def __init__(self, secret: str) -> None:
        self.heard = b""
        self.whole = False
        self.begun = asyncio.Event()
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer " + secret.encode())]
        path = "/v1/threads/thread_1/runs/run_1/events"
        self.scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": headers}

    async def receive(self) -> Message:
        """It stays."""
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a piece of the answer."""
        self.begun.set()
        self.heard += message.get("body", b"")
        self.whole = message["type"] == "http.response.body" and not message.get("more_body")


@pytest.mark.parametrize("quiet", [True, False])
async def test_a_revoked_key_s_streams_end(tmp_path: Path, quiet: bool) -> None:
    """With the refusal that its next request would get; those of another key go on."""
    settings = ServerSettings()
    async with open_services(tmp_path) as services:
        gate = Gate(Streaming(quiet=quiet), settings, Door(services.keys, settings))
        keys = [await services.keys.create(project="ann") for _ in range(2)]
        clients = [Client(key.secret) for key in keys]
        streams = [asyncio.create_task(gate(c.scope, c.receive, c.send)) for c in clients]
        for client in clients:
            await client.begun.wait()
        await services.keys.revoke(keys[0].key.id)
        async with asyncio.timeout(20):
            await streams[0]
        await asyncio.sleep(0.7)
        assert not streams[1].done()
        streams[1].cancel()
        await asyncio.wait({streams[1]})
    assert b"event: error\ndata: " in clients[0].heard
    assert b"invalid_api_key" in clients[0].heard
    assert clients[0].heard.endswith(DONE)
    assert (True, False) == (clients[0].whole, clients[1].whole)
