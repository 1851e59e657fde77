"""A task beside the requests that works when it is woken. Knows nothing of what its work is."""

import asyncio
from abc import ABC, abstractmethod


class Background(ABC):
    """One task, from `start` to `stop`. What it has to do is in the store, so that it can be stopped at any moment."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin with what is there to do."""
        self._wanted.set()
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Stop; what is left is done after the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def wake(self) -> None:
        """There may be something to do."""
        self._wanted.set()

    async def _work(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self._once()

    @abstractmethod
    async def _once(self) -> None:
        """Do what there is to do. What this raises ends the task."""
