"""Sends text on in a steady pace: pieces that come faster are joined.

Code may print a thousand times a second, and each piece that is shown costs a transaction. The first piece is sent at
once; no piece waits longer than the pace and the piece before it. Errors of sending are raised by the next call.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Self

_PACE = 0.025  # seconds


class LogStream:
    """Text on its way to `send`; a context, at whose end everything is sent unless it ends with an error."""

    def __init__(self, send: Callable[[str], Awaitable[None]]) -> None:
        self._send = send
        self._pending: list[str] = []
        self._sending = asyncio.Lock()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._send_in_pace(), name="log-stream")
        return self

    async def __aexit__(self, error: type[BaseException] | None, *_: object) -> None:
        try:
            if error is None:
                await self.flush()
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def write(self, text: str) -> None:
        """Take a piece."""
        self._raise_error()
        self._pending.append(text)
        self._wake.set()

    async def flush(self) -> None:
        """Send all that was taken, now."""
        self._raise_error()
        await self._send_pending()

    async def _send_in_pace(self) -> None:
        while True:
            await self._wake.wait()
            await self._send_pending()
            await asyncio.sleep(_PACE)

    async def _send_pending(self) -> None:
        async with self._sending:
            self._wake.clear()
            text, self._pending = "".join(self._pending), []
            if text:
                await self._send(text)

    def _raise_error(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()
