"""Backends on faulty servers of this machine, with a clock that only the test turns."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from local_assistants.backends.openai_compatible import OpenAICompatibleBackend, OpenAISettings
from tests.support.chat_server import ChatServer, chat_server

INTERVAL = 10.0  # as in the settings' default: how the clock tells checks from waits


class StepClock:
    """Waits between attempts pass at once and are noted; waits between health checks end when the test says so."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._turns: asyncio.Queue[None] = asyncio.Queue()

    def now(self) -> float:
        """Seconds waited so far."""
        return sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        """Pass the time, or wait for the test."""
        if seconds == INTERVAL:
            await self._turns.get()
        else:
            self.waits.append(seconds)

    def check(self) -> None:
        """It is time for the next health check."""
        self._turns.put_nowait(None)


@pytest.fixture
def clock() -> StepClock:
    """The clock of the backends that `connect` opens."""
    return StepClock()


@pytest.fixture
async def server() -> AsyncIterator[ChatServer]:
    """A server that can be told what to do."""
    async with chat_server() as server:
        yield server


Connect = Callable[..., Awaitable[OpenAICompatibleBackend]]


@pytest.fixture
async def connect(clock: StepClock) -> AsyncIterator[Connect]:
    """Opens backends on servers, with settings; closed afterwards."""
    opened: list[OpenAICompatibleBackend] = []

    async def connect(*servers: ChatServer, **settings: Any) -> OpenAICompatibleBackend:
        base = OpenAISettings(tuple(f"{server.url}/v1" for server in servers))
        backend = await OpenAICompatibleBackend.open(
            replace(base, **settings), clock=clock, random=lambda: 1.0
        )
        opened.append(backend)
        return backend

    yield connect
    for backend in opened:
        await backend.close()
