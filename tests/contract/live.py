"""A listening server for the tests that need a real connection: one that is cut, or that nobody reads."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import uvicorn

from local_assistants.server.app import create_app
from local_assistants.server.settings import ServerSettings
from tests.support.answers import events_of
from tests.support.engine import House

from .web import Json

DONE = b"event: done\ndata: [DONE]\n\n"


@asynccontextmanager
async def listening(
    home: House, settings: ServerSettings | None = None
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of the house's application on a loopback port; paths are relative to /v1."""
    app = create_app(home.services, settings)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve([listener]))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        try:
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                yield client
        finally:
            server.should_exit = True
            await serving


def frames_of(stream: bytes) -> list[bytes]:
    """The events of a stream as their bytes; comments are left out, and so is an event that was cut off."""
    whole = stream.replace(b": ping\n", b"").split(b"\n\n")
    return [frame + b"\n\n" for frame in whole[:-1]]


def last_id(stream: bytes) -> int:
    """The id of the last whole event; 0 before the first."""
    ids = [line for frame in frames_of(stream) for line in frame.split(b"\n")]
    return max((int(line[4:]) for line in ids if line.startswith(b"id: ")), default=0)


def run_of(stream: bytes) -> Json:
    """The run that a stream tells of, as its first run event shows it."""
    told = events_of(b"".join(frames_of(stream)).decode())
    return next(
        data for name, data in told if name.startswith("thread.run.") and "step" not in name
    )
