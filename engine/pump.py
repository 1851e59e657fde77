"""Coalesces a stream: gives back what has come since the last look, as one list.

Each batch is written in one transaction, so the journal takes the pace of the disk and not of the model; the first
item is never delayed. An error of the source is raised after the items before it.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

T = TypeVar("T")


async def batches(
    source: AsyncGenerator[T, None], interval: float
) -> AsyncGenerator[list[T], None]:
    """Batches of at least one item, at most one every `interval` seconds. Closing this closes the source."""
    queue: asyncio.Queue[T | None] = asyncio.Queue()
    reader = asyncio.ensure_future(_read(source, queue))
    loop = asyncio.get_running_loop()
    due = 0.0
    try:
        while True:
            first = await queue.get()
            if first is not None and loop.time() < due:
                await asyncio.sleep(due - loop.time())
            batch = [first] + [queue.get_nowait() for _ in range(queue.qsize())]
            items = [item for item in batch if item is not None]
            if items:
                due = loop.time() + interval
                yield items
            if None in batch:
                await reader  # raises what the source raised
                return
    finally:
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


async def _read(source: AsyncGenerator[T, None], queue: "asyncio.Queue[T | None]") -> None:
    try:
        async with aclosing(source) as items:
            async for item in items:
                queue.put_nowait(item)
    finally:
        queue.put_nowait(None)
