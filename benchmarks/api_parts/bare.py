"""The yardstick: a FastAPI application that streams recorded bytes and does nothing else, served as ours is.

    python -m api_parts.bare FOLDER

`GET /stream/NAME` and `POST /stream/NAME` (its JSON body is read and dropped) answer with the flushes in
FOLDER/NAME.json. The first line on stdout is the address.
"""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import StreamingResponse

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


def recorded(name: str) -> list[bytes]:
    """What NAME streams, flush by flush."""
    path = Path(sys.argv[1]) / f"{name}.json"
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, _: int) -> list[bytes]:
    flushes: list[str] = json.loads(path.read_text("utf-8"))
    return [flush.encode() for flush in flushes]


class Start:
    """When clients that ask to begin together do so: `seconds` after the first of them."""

    def __init__(self) -> None:
        self._due = 0.0

    async def wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() > self._due:
            self._due = loop.time() + seconds
        await asyncio.sleep(self._due - loop.time())


start = Start()


def _answer(name: str, wait: float = 0.0) -> StreamingResponse:
    async def flushes() -> AsyncIterator[bytes]:
        first, *rest = recorded(name)
        yield first
        if wait:
            await start.wait(wait)
        for flush in rest:
            yield flush

    return StreamingResponse(flushes(), media_type="text/event-stream")


@app.get("/stream/{name}")
async def get_stream(name: str, wait: float = 0.0) -> StreamingResponse:
    """The recorded bytes; all but the first flush `wait` seconds later, for all who wait at the same moment."""
    return _answer(name, wait)


@app.post("/stream/{name}")
async def post_stream(name: str, request: Request) -> StreamingResponse:
    """The recorded bytes, after the body was read."""
    await request.json()
    return _answer(name)


async def _serve() -> None:
    """As `assemble.serving` does it, without an engine."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        print("http://{}:{}".format(*listener.getsockname()), flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(_serve())
