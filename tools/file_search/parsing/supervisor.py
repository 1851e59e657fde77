"""Parses files in children of this process: several at once, bounded in time and memory, whatever the files are.

A file is hostile until parsed: a PDF of 49 kB was seen to keep a parser busy for half a minute and to take hundreds of
megabytes. What a file does to its child is said of that file alone.
"""

import asyncio
import contextlib
from pathlib import Path

from .documents import Document
from .limits import ParseLimits
from .process import ParsingProcess
from .reading import extension

_AGAIN = 0.05  # seconds between two attempts to stop a child that may just be starting


class Parser:
    """Parses up to `children` files at once. Belongs to one event loop."""

    def __init__(self, limits: ParseLimits | None = None, children: int = 2) -> None:
        self._processes = [ParsingProcess(limits or ParseLimits()) for _ in range(children)]
        self._idle = list(self._processes)
        self._turns = asyncio.Semaphore(children)

    async def parse(self, path: Path, filename: str) -> Document:
        """Parse the file at `path` as what `filename` says it is. Cancelling ends its child.

        Raises:
            UnsupportedFile: no parser for its type.
            InvalidRequest: it cannot be parsed within the limits; the message says why.
            ToolFault: no child can be started.
        """
        extension(filename)
        async with self._turns:
            process = self._idle.pop()  # the one that worked last: it is there already
            parsing = asyncio.ensure_future(asyncio.to_thread(process.parse, path, filename))
            try:
                return await asyncio.shield(parsing)
            except asyncio.CancelledError:
                await _stopped(process, parsing)
                raise
            finally:
                self._idle.append(process)

    async def close(self) -> None:
        """End the children. A later `parse` starts new ones."""
        for process in self._processes:
            await asyncio.to_thread(process.stop)


async def _stopped(process: ParsingProcess, parsing: "asyncio.Future[Document]") -> None:
    while not parsing.done():
        await asyncio.to_thread(process.stop)
        await asyncio.wait([parsing], timeout=_AGAIN)
    with contextlib.suppress(Exception):
        parsing.result()
