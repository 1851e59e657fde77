"""How a server that is told to stop takes leave of those it is talking to.

First it only says so (`/readyz`), and answers as ever. Then it lets go of streams and of requests that wait: a stream
ends with an error that names the way on, a waiting request with 503. It stops nothing itself and knows no run.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from starlette.types import Scope

from .errors import Stopping

CUT = Stopping(
    "The server is being stopped. Nothing is lost: the run goes on when a server is started again. Read on with GET "
    "/v1/threads/{thread}/runs/{run}/events and the header 'Last-Event-ID', the id of the last event that you have.",
    code="server_stopping",
)
"""What a stream says that is cut."""
_DRAIN = "local_assistants.drain"


class Drain:
    """Who is being talked to, and whether leave is being taken.

    Attributes:
        begun: the server is told to stop; it does what it has begun.
        cutting: streams and waiting requests are let go of, new ones at once.
    """

    def __init__(self) -> None:
        self.begun = False
        self.cutting = False
        self._held: set[asyncio.Task[Any]] = set()
        self._let_go = asyncio.Event()

    @property
    def held(self) -> int:
        """How many streams and waiting requests there are."""
        return len(self._held)

    def begin(self) -> None:
        """Say from now on that the server is being stopped."""
        self.begun = True

    async def cut(self, patience: float) -> None:
        """Let go of everybody who has not gone by himself within `patience` seconds, and of all who come later."""
        self.begun = True
        if self._held:
            self._let_go.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._let_go.wait(), patience)
        self.cutting = True
        for task in self._held:
            task.cancel()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """The current task talks to a client for the length of the block; it is cancelled when leave is taken."""
        task = asyncio.current_task()
        assert task is not None
        self._held.add(task)
        if self.cutting:
            task.cancel()
        try:
            yield
        finally:
            self._held.discard(task)
            if not self._held:
                self._let_go.set()

    def took_leave(self) -> bool:
        """In a task that was cancelled: whether it was so to take leave. Then it goes on, to say so."""
        task = asyncio.current_task()
        if not self.cutting or task is None:
            return False
        task.uncancel()
        return True


def enter_drain(scope: Scope, drain: Drain) -> None:
    """Have the request that `scope` tells of taken leave of by `drain`."""
    scope[_DRAIN] = drain


def drain_of(scope: Scope) -> Drain:
    """What takes leave of the request; one that never does where no gate stands before the application."""
    found: Drain | None = scope.get(_DRAIN)
    return found or Drain()
