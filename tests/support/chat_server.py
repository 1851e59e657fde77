"""A chat completions server that can be told to fail in every way, on a real socket of this machine.

It thinks of nothing: each request to `/v1/chat/completions` gets the next of its replies, the last one again and again.
Other paths answer what `pages` holds for them, else 404. Everything that was asked is kept in `seen`.
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

CHAT = "/v1/chat/completions"
MODELS: dict[str, Any] = {"object": "list", "data": [{"id": "fake", "object": "model"}]}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Caller:
    """The other side of one connection, for a reply to write to."""

    def __init__(self, writer: asyncio.StreamWriter, seen: Seen) -> None:
        self._writer = writer
        self.seen = seen

    async def whole(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        """A whole answer: bytes as they are, anything else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"Content-Type": "application/json", "Content-Length": str(len(data))}
        await self._head(status, lines | (headers or {}))
        await self.write(data)

    async def begin(self, content_type: str = "text/event-stream") -> None:
        """The head of an answer in chunks."""
        await self._head(200, {"Content-Type": content_type, "Transfer-Encoding": "chunked"})

    async def chunk(self, data: bytes) -> None:
        """One chunk of it, sent on its own."""
        await self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    async def event(self, data: object) -> None:
        """One event of it."""
        text = data if isinstance(data, str) else json.dumps(data)
        await self.chunk(f"data: {text}\n\n".encode())

    async def end(self) -> None:
        """Its proper end."""
        await self.write(b"0\r\n\r\n")

    async def write(self, data: bytes) -> None:
        """Bytes as they are."""
        self._writer.write(data)
        await self._writer.drain()

    async def drop(self) -> None:
        """Close the connection with no further word."""
        self._writer.transport.abort()

    async def _head(self, status: int, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        await self.write(f"HTTP/1.1 {status} Said\r\nConnection: close\r\n{lines}\r\n".encode())


Reply = Callable[[Caller], Awaitable[None]]


def delta(**fields: Any) -> dict[str, Any]:
    """A chunk with this delta."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None}]}


def finish(reason: str) -> dict[str, Any]:
    """The chunk that says why the answer ended."""
    return {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}


def counts(usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """The chunk with the token counts."""
    return {"choices": [], "usage": USAGE if usage is None else usage}


def events(*data: object) -> Reply:
    """Streams these events and ends properly."""

    async def reply(caller: Caller) -> None:
        await caller.begin()
        for one in data:
            await caller.event(one)
        await caller.end()

    return reply


def says(*words: str, reason: str = "stop") -> Reply:
    """Says the words as llama-server would."""
    chunks = [delta(role="assistant", content=None), *(delta(content=word) for word in words)]
    return events(*chunks, finish(reason), counts(), "[DONE]")


def pieces(*data: bytes, content_type: str = "text/event-stream") -> Reply:
    """Streams these bytes, each piece in a chunk of its own."""

    async def reply(caller: Caller) -> None:
        await caller.begin(content_type)
        for one in data:
            await caller.chunk(one)
        await caller.end()

    return reply


def refuses(status: int, body: object = b"", headers: dict[str, str] | None = None) -> Reply:
    """Answers with this status."""

    async def reply(caller: Caller) -> None:
        await caller.whole(status, body, headers)

    return reply


async def drops(caller: Caller) -> None:
    """Closes the connection without an answer."""
    await caller.drop()


async def hangs(caller: Caller) -> None:
    """Never answers."""
    await asyncio.Event().wait()


def then(*data: object, last: Reply) -> Reply:
    """Streams these events, then goes on as `last` does."""

    async def reply(caller: Caller) -> None:
        await caller.begin()
        for one in data:
            await caller.event(one)
        await last(caller)

    return reply


@dataclass
class ChatServer:
    """The server; made by `chat_server`.

    Attributes:
        replies: what chat requests get, one after another.
        pages: what other paths answer: a reply, or JSON.
        seen: every request.
        asked: set when the first chat request came.
        left: set when a client closed its connection before the answer was over.
    """

    replies: Sequence[Reply] = (says("hello"),)
    pages: dict[str, Any] = field(default_factory=lambda: {"/v1/models": MODELS})
    seen: list[Seen] = field(default_factory=list[Seen])
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""
    port: int = 0
    _server: asyncio.Server | None = None
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    @property
    def chats(self) -> list[Any]:
        """The bodies of the chat requests."""
        return [seen.body for seen in self.seen if seen.path == CHAT]

    async def start(self, tls: ssl.SSLContext | None = None) -> None:
        """Listen; again on the same port after `stop`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Close the port and every connection."""
        assert self._server is not None
        self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            seen = await _read(reader)
            self.seen.append(seen)
            if seen.path == CHAT:
                self.asked.set()
            await self._reply(Caller(writer, seen), reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.left.set()
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _reply(self, caller: Caller, reader: asyncio.StreamReader) -> None:
        answering = asyncio.ensure_future(self._choose(caller.seen.path)(caller))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            broken = answering.done() and isinstance(answering.exception(), ConnectionError)
            if broken or not answering.done():
                self.left.set()
        finally:
            for task in (answering, gone):
                task.cancel()
            await asyncio.gather(answering, gone, return_exceptions=True)

    def _choose(self, path: str) -> Reply:
        if path == CHAT:
            number = len(self.chats) - 1
            return self.replies[min(number, len(self.replies) - 1)]
        page: Any = self.pages.get(path.partition("?")[0], refuses(404, {"error": "not here"}))
        return cast("Reply", page) if callable(page) else refuses(200, page)


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.splitlines()
    method, path, _ = first.split(" ")
    pairs = (line.partition(": ") for line in lines if line)
    headers = {name.lower(): value for name, _, value in pairs}
    data = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, path, headers, json.loads(data) if data else None)


@contextlib.asynccontextmanager
async def chat_server(*replies: Reply, **pages: Any) -> AsyncIterator[ChatServer]:
    """A server for the length of the block that gives these replies."""
    server = ChatServer()
    server.replies = replies or server.replies
    server.pages.update(pages)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
