"""Raw bytes at a real socket: whatever arrives, the answer is an envelope or nothing, and the server lives on."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from local_assistants.server.app import create_app
from local_assistants.server.settings import ServerSettings
from local_assistants.server.wire import HEAD_SECONDS, MAX_HEAD_BYTES, http_options

from .house import Json, open_services

HOST = b"Host: localhost\r\n"
POST = b"POST /v1/threads HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"


@asynccontextmanager
async def served(
    root: Path, head_seconds: float = HEAD_SECONDS, settings: ServerSettings | None = None
) -> AsyncGenerator[int]:
    """The port of a server as `serve` sets it up."""
    async with open_services(root) as services:
        options = http_options(head_seconds)
        app = create_app(services, settings)
        config = uvicorn.Config(app, log_level="error", lifespan="off", **options)
        server = uvicorn.Server(config)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            task = asyncio.create_task(server.serve([listener]))
            try:
                yield int(listener.getsockname()[1])
            finally:
                server.should_exit = True
                await task


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    """A running server's port."""
    async with served(tmp_path) as number:
        yield number


async def answer_to(port: int, *pieces: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the first answer to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            headers = {
                k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), headers, body
    finally:
        writer.close()


def envelope(body: bytes) -> Json:
    """The error; fails when the body is anything else."""
    found: Json = json.loads(body)
    assert {"message", "type", "param", "code"} == set(found["error"])
    error: Json = found["error"]
    return error


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v1/models HTTP/9.9\r\n" + HOST + b"\r\n",
        b"GET /v1/mod\xff\xfeels HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://[ HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/models HTTP/1.1\r\nHo st: x\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999999\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n{}",
        b"BREW /v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    ],
)
async def test_what_is_not_http_is_told_so(port: int, raw: bytes) -> None:
    """In the envelope, with an id, and the connection is closed."""
    status, headers, body = await answer_to(port, raw)
    assert 400 <= status < 500
    assert "invalid_request_error" == envelope(body)["type"]
    assert headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /v1/models HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 1000,
        b"GET /v1/models?" + b"a" * 1000,
        b"GET /v1/models HTTP/1.1\r\n" + b"X-Many: yes\r\n" * 100,
    ],
)
async def test_a_head_without_end_is_refused(port: int, endless: bytes) -> None:
    """It is not gathered until memory is gone."""
    more = endless[-13:] * (MAX_HEAD_BYTES // 13)
    status, _, body = await answer_to(port, endless, more, more, more)
    assert (431, "invalid_request_error") == (status, envelope(body)["type"])


async def test_a_head_that_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    """However steadily it trickles: whoever sends it has shown no key, and connections are few."""
    async with served(tmp_path, head_seconds=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\n" + HOST)
        trickle = asyncio.create_task(trickling(writer))
        async with asyncio.timeout(20):
            told = await reader.read()
        trickle.cancel()
        writer.close()
    assert told.startswith(b"HTTP/1.1 408 ")
    assert "invalid_request_error" == envelope(told.partition(b"\r\n\r\n")[2])["type"]


async def trickling(writer: asyncio.StreamWriter) -> None:
    """A byte of a header now and then."""
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.05)


async def test_a_connection_that_asks_for_nothing_is_closed(tmp_path: Path) -> None:
    """Without a word, since nothing was asked."""
    async with served(tmp_path, head_seconds=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(20):
            assert b"" == await reader.read()
        writer.close()


async def test_the_rest_of_a_refused_body_is_not_waited_for(tmp_path: Path) -> None:
    """It is dropped unread, and the connection does not stay open for it."""
    async with served(tmp_path, head_seconds=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(POST + b"Content-Length: 99999999999\r\n\r\n{")
        async with asyncio.timeout(10):
            told = await reader.readuntil(b"\r\n\r\n")
            writer.write(b" ")
            await reader.read()
        writer.close()
    assert told.startswith(b"HTTP/1.1 413 ")


async def test_a_head_s_time_is_not_the_answer_s(tmp_path: Path) -> None:
    """A body may take longer, also on a connection that has been used before."""
    async with served(tmp_path, head_seconds=0.3) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(POST + b"Content-Length: 2\r\n\r\n{")
            await asyncio.sleep(0.6)
            writer.write(b"}")
            async with asyncio.timeout(20):
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200 ")
                length = int(head.lower().partition(b"content-length: ")[2].split()[0])
                await reader.readexactly(length)
        writer.close()


async def test_an_upgrade_is_answered_as_a_plain_request(port: int) -> None:
    """No websocket is served, and asking for one breaks nothing."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    raw = b"GET /v1/models HTTP/1.1\r\n" + HOST + upgrade + key
    status, _, body = await answer_to(port, raw)
    assert (200, "list") == (status, json.loads(body)["object"])


async def test_a_client_may_ask_before_it_sends(port: int) -> None:
    """Expect: 100-continue is answered before the body is read."""
    head = POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    status, _, _ = await answer_to(port, head)
    assert 100 == status


async def test_a_body_too_large_by_its_own_words_is_not_read(port: int) -> None:
    """The declared length is enough."""
    status, _, body = await answer_to(port, POST + b"Content-Length: 99999999999\r\n\r\n{")
    assert (413, "invalid_request_error") == (status, envelope(body)["type"])


async def test_chunks_are_read(port: int) -> None:
    """A body in pieces is a body."""
    chunks = (b"1\r\n{\r\n", b"1\r\n}\r\n", b"0\r\n\r\n")
    status, _, body = await answer_to(port, POST + b"Transfer-Encoding: chunked\r\n\r\n", *chunks)
    assert (200, "thread") == (status, json.loads(body)["object"])


async def test_several_requests_pass_on_one_connection(port: int) -> None:
    """The bound of a head begins anew with each request."""
    request = b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-Pad: " + b"a" * 20_000 + b"\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(8):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await reader.readexactly(len(b'{"status":"ok"}'))
    writer.close()
