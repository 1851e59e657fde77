"""The yardstick: a FastAPI application that streams recorded bytes and does nothing else, served as ours is.

    python -m api_parts.bare FOLDER

`GET /stream/NAME` and `POST /stream/NAME` (its JSON body is read and dropped) answer with the flushes in
FOLDER/NAME.json; `GET /live/NAME?wait=SECONDS` tells them to several clients at the same time, a flush at a time. The
first line on stdout is the address.
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

from local_assistants.server.wire import http_options

app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)


def recorded(name: str) -> list[bytes]:
    """What NAME streams, flush by flush."""
    path = Path(sys.argv[1]) / f"{name}.json"
    return _read(path, path.stat().st_mtime_ns)


@cache
def _read(path: Path, _: int) -> list[bytes]:
    flushes: list[str] = json.loads(path.read_text("utf-8"))
    return [flush.encode() for flush in flushes]


class Stage:
    """Plays a recording to all who have come before it begins, flush by flush, as a live run is told."""

    def __init__(self) -> None:
        self._seats: list[asyncio.Queue[bytes | None]] = []
        self._playing: asyncio.Task[None] | None = None

    async def watch(self, flushes: list[bytes], wait: float) -> AsyncIterator[bytes]:
        """The flushes, the first of them `wait` seconds after the first watcher has come."""
        if not self._seats:
            self._playing = asyncio.create_task(self._play(flushes, wait))
        seat: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._seats.append(seat)
        while (flush := await seat.get()) is not None:
            yield flush

    async def _play(self, flushes: list[bytes], wait: float) -> None:
        await asyncio.sleep(wait)
        seats, self._seats = self._seats, []
        for flush in [*flushes, None]:
            for seat in seats:
                seat.put_nowait(flush)
            await asyncio.sleep(0)


stage = Stage()


def _answer(flushes: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(flushes, media_type="text/event-stream")


async def _at_once(name: str) -> AsyncIterator[bytes]:
    for flush in recorded(name):
        yield flush


@app.get("/stream/{name}")
async def get_stream(name: str) -> StreamingResponse:
    """The recorded bytes."""
    return _answer(_at_once(name))


@app.get("/live/{name}")
async def get_live(name: str, wait: float) -> StreamingResponse:
    """The recorded bytes, to all who come within `wait` seconds."""
    return _answer(stage.watch(recorded(name), wait))


@app.post("/stream/{name}")
async def post_stream(name: str, request: Request) -> StreamingResponse:
    """The recorded bytes, after the body was read."""
    await request.json()
    return _answer(_at_once(name))


async def _serve() -> None:
    """As `serving.serve_forever` does it, without an engine."""
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5, **http_options())
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        print("http://{}:{}".format(*listener.getsockname()), flush=True)
        await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(_serve())
