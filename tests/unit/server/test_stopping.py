"""What a request hears that is still being worked on when the server is stopped."""

import asyncio
import socket
from pathlib import Path

import uvicorn
from starlette.types import Receive, Scope, Send

from local_assistants.server.door import Door
from local_assistants.server.gate import Gate
from local_assistants.server.settings import ServerSettings
from local_assistants.server.wire import http_options

from .house import open_services


class Slow:
    """An application that never comes to an end; `streaming`: after it has begun to answer."""

    def __init__(self, *, streaming: bool) -> None:
        self.streaming = streaming
        self.begun = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve nobody."""
        if self.streaming:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        self.begun.set()
        await asyncio.Event().wait()


async def answered(root: Path, app: Slow) -> bytes:
    """All that a client is sent by a server which is told to stop while `app` is at work."""
    settings = ServerSettings()
    async with open_services(root) as services:
        config = uvicorn.Config(
            Gate(app, settings, Door(services.keys, settings)),
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=0,
            **http_options(),
        )
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            running = asyncio.create_task(server.serve([listener]))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /v1/threads HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await app.begun.wait()
            server.should_exit = True
            async with asyncio.timeout(20):
                told = await reader.read()
                await running
            writer.close()
    return told


async def test_a_request_that_waits_is_told_to_come_again(tmp_path: Path) -> None:
    """In the API's envelope, with a status that the clients try again after."""
    told = await answered(tmp_path, Slow(streaming=False))
    assert told.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 1" in told
    assert b'"type": "server_error"' in told
    assert b"x-request-id: req_" in told


async def test_an_answer_that_has_begun_breaks_off(tmp_path: Path) -> None:
    """It must not look whole: nothing is said behind its first half."""
    told = await answered(tmp_path, Slow(streaming=True))
    assert told.startswith(b"HTTP/1.1 200 ")
    assert b"half" in told
    assert not told.endswith(b"0\r\n\r\n")
