"""Bodies that come slowly, in halves, or too many at once."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from local_assistants.server.settings import ServerSettings
from tests.support.answers import error_of

from .house import open_house
from .test_wire import HOST, POST, envelope, served

FORM = (
    b"POST /v1/files HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=b\r\n"
    b'Content-Length: 9999\r\n\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhal'
)
LARGE = b" " * 250_000 + b"{}"


@pytest.mark.parametrize("half", [POST + b"Content-Length: 2\r\n\r\n{", FORM])
async def test_a_body_that_falls_silent_is_not_waited_for(tmp_path: Path, half: bytes) -> None:
    """JSON or a form: it is told so, and the connection is closed."""
    async with served(tmp_path, settings=ServerSettings(body_silence=0.3)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(half)
        async with asyncio.timeout(20):
            told = await reader.read()
        writer.close()
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in head.lower().split(b"\r\n")
    assert "invalid_request_error" == envelope(body)["type"]


async def test_a_body_may_take_longer_than_a_silence(tmp_path: Path) -> None:
    """As long as something comes now and then."""

    async def trickle() -> AsyncIterator[bytes]:
        for piece in (b"{", b" ", b" ", b" ", b"}"):
            await asyncio.sleep(0.4)
            yield piece

    async with open_house(tmp_path, settings=ServerSettings(body_silence=1.5)) as house:
        answer = await house.client.post("/threads", content=trickle())
    assert 200 == answer.status_code, answer.text


async def test_bodies_share_a_bound_of_memory(tmp_path: Path) -> None:
    """What finds no room may come again, small requests go on, and what is read makes room."""
    held, go = asyncio.Event(), asyncio.Event()

    async def halting() -> AsyncIterator[bytes]:
        yield LARGE[:200_000]
        held.set()
        await go.wait()
        yield LARGE[200_000:]

    taken: list[int] = []

    async def counted() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 10_000):
            taken.append(start)
            yield LARGE[start : start + 10_000]

    settings = ServerSettings(max_bodies_bytes=200_000)
    async with open_house(tmp_path, settings=settings) as house:
        first = asyncio.create_task(house.client.post("/threads", content=halting()))
        await held.wait()
        refused = await house.client.post("/threads", content=counted())
        small = await house.client.post("/threads", content=b"{}")
        go.set()
        answers: list[httpx.Response] = [small, await first]
        answers.append(await house.client.post("/threads", content=LARGE))
    assert (503, "1") == (refused.status_code, refused.headers["retry-after"])
    assert ("server_error", None) == (error_of(refused)["type"], error_of(refused)["code"])
    assert len(taken) * 10_000 < len(LARGE)  # the rest was not read
    assert [200] * 3 == [answer.status_code for answer in answers]


async def test_a_refused_body_makes_room(tmp_path: Path) -> None:
    """Whatever it was refused for: bodies that are no JSON use nothing up."""
    settings = ServerSettings(max_bodies_bytes=200_000)
    async with open_house(tmp_path, settings=settings) as house:
        codes = [
            (await house.client.post("/threads", content=LARGE[:-1])).status_code for _ in range(3)
        ]
    assert [400] * 3 == codes
