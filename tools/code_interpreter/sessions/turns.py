"""Turns at something that has a name: one holder at a time, first come first served. An unused name costs nothing."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field


@dataclass
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    length: int = 0


class Turns:
    """Whose turn it is, by name.

    Attributes:
        rested: set whenever nobody holds or wants some name any more.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self.rested = asyncio.Event()

    def wanted(self, name: str) -> bool:
        """Whether somebody has a turn or waits for one; if not, the next who comes has it at once."""
        return name in self._lines

    @contextlib.asynccontextmanager
    async def turn(self, name: str) -> AsyncGenerator[None, None]:
        """Have a turn for the length of the block."""
        line = self._lines.setdefault(name, _Line())
        line.length += 1
        try:
            async with line.lock:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[name]
                self.rested.set()
