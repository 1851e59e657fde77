"""Bodies on their way in: how long they may be silent, and how much of them is held in memory at once.

A client that sends half a body and no more costs what it sent for as long as it is waited for. Knows nothing of what a
body says. Does not bound how slow a body may be that keeps coming.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager

from starlette.requests import Request

from .errors import Crowded, SilentBody

UNCOUNTED = 64 * 1024
"""Bytes at the head of every body that are not counted, about what its connection buffers anyway: so that ordinary
requests are served while others fill the memory with large ones."""


async def chunks_of(request: Request, silence: float) -> AsyncGenerator[bytes, None]:
    """The body as it comes.

    Raises:
        SilentBody: nothing came for `silence` seconds.
    """
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(silence):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise SilentBody(
                f"Nothing more of the request's body came within {silence:g} seconds. Send the request again."
            ) from None
        if chunk is None:
            return
        yield chunk


class BodyBudget:
    """The memory that all bodies have together, in bytes."""

    def __init__(self, most: int) -> None:
        self._left = most

    @contextmanager
    def share(self) -> Generator[Callable[[int], None], None, None]:
        """One body's share for the length of the block; it is told how long the body has become.

        Raises:
            Crowded: from what it gives, when the other bodies leave no room.
        """
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            more = max(0, size - UNCOUNTED) - held
            if more > self._left:
                raise Crowded("The server holds too many large requests at once. Try again.")
            self._left -= more
            held += more

        try:
            yield hold
        finally:
            self._left += held
