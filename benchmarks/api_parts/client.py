"""A small HTTP/1.1 client for loads: one keep-alive connection, one request at a time, no more work than it must do.

It knows Content-Length and chunked answers, nothing else, and takes them apart only when asked, after the clock was
stopped. It is for servers that we started ourselves.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import urlsplit

_HEAD_END = b"\r\n\r\n"
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Answer:
    """The bytes of an answer as they came, and when (`time.perf_counter`)."""

    def __init__(self, waits_for: bytes = b"") -> None:
        self.began = 0.0  # the request went out
        self.ended = 0.0  # the last byte came
        self.marked = 0.0  # the first piece that holds `waits_for` came
        self._waits_for = waits_for
        self._pieces: list[bytes] = []
        self._head = b""
        self._missing: int | None = None  # bytes still to come; None: chunked

    def feed(self, piece: bytes) -> bool:
        """Take what came; True when the answer is whole."""
        if self._waits_for and not self.marked and self._waits_for in piece:
            self.marked = time.perf_counter()
        self._pieces.append(piece)
        if not self._head:
            return self._begin()
        return self._whole(len(piece))

    def _begin(self) -> bool:
        head, found, rest = b"".join(self._pieces).partition(_HEAD_END)
        if not found:
            return False
        self._head, self._pieces = head, [rest]
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                self._missing = int(line[15:])
        return self._whole(len(rest))

    def _whole(self, more: int) -> bool:
        if self._missing is not None:
            self._missing -= more
            return self._missing <= 0
        tail = self._pieces[-1]
        if len(tail) < len(_LAST_CHUNK):
            tail = b"".join(self._pieces[-3:])
        return tail.endswith(_LAST_CHUNK)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self._head[9:12])

    @property
    def flushes(self) -> list[bytes]:
        """The body as the server flushed it: its chunks, or all of it."""
        body = b"".join(self._pieces)
        if self._missing is not None:
            return [body]
        chunks: list[bytes] = []
        at = 0
        while size := int(body[at : (line := body.index(b"\r\n", at))], 16):
            chunks.append(body[line + 2 : line + 2 + size])
            at = line + 4 + size
        return chunks

    @property
    def body(self) -> bytes:
        """The body without the transfer's framing."""
        return b"".join(self.flushes)

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            RuntimeError: the server refused; holds what it said.
        """
        if self.status != 200:
            raise RuntimeError(f"status {self.status}: {self.body[:500]!r}")
        return json.loads(self.body)

    def events(self) -> int:
        """How many server-sent events the body holds."""
        return self.body.count(b"event: ")


class Connection(asyncio.Protocol):
    """One connection. Made by `open_connection`."""

    def __init__(self, address: str) -> None:
        self._host = urlsplit(address).netloc
        self._transport: asyncio.WriteTransport | None = None
        self._answer = Answer()
        self._done: asyncio.Future[Answer] | None = None

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        mark: bytes = b"",
        kind: str = "application/json",
    ) -> Answer:
        """Send a request with a body of this kind and wait for the whole answer; `mark` as in `Answer.marked`.

        Raises:
            ConnectionError: the server closed the connection.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the server has closed the connection")
        self._answer = answer = Answer(mark)
        self._done = asyncio.get_running_loop().create_future()
        request = (
            f"{method} {path} HTTP/1.1\r\nhost: {self._host}\r\naccept: */*\r\n"
            f"content-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        answer.began = time.perf_counter()
        self._transport.write(request.encode() + body)
        return await self._done

    def close(self) -> None:
        """Close it."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        if self._answer.feed(data) and self._done is not None and not self._done.done():
            self._answer.ended = time.perf_counter()
            self._done.set_result(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError(f"the server closed the connection: {exc}"))


async def open_connection(address: str) -> Connection:
    """A connection to an address such as http://127.0.0.1:8000."""
    parts = urlsplit(address)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(address), parts.hostname, parts.port
    )
    return connection


def json_bytes(body: Mapping[str, Any]) -> bytes:
    """A request body."""
    return json.dumps(body).encode()
