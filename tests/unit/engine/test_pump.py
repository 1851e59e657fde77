"""Batches take the pace of whoever reads them, lose nothing, and leave nothing running."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from local_assistants.engine.pump import batches


class Source:
    """Gives items, then raises or waits for ever; knows whether it was closed."""

    def __init__(self, *items: int, error: Exception | None = None, hangs: bool = False) -> None:
        self.items, self.error, self.hangs = items, error, hangs
        self.closed = False

    async def stream(self) -> AsyncGenerator[int, None]:
        """The items."""
        try:
            for item in self.items:
                yield item
            if self.error is not None:
                raise self.error
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_everything_comes_once_and_in_order() -> None:
    """Whatever the batches are."""
    source = Source(*range(100))

    got = [item for batch in [b async for b in batches(source.stream(), 0.0)] for item in batch]

    assert list(range(100)) == got
    assert source.closed


async def test_what_came_meanwhile_comes_as_one_batch() -> None:
    """A reader who takes its time gets all that waited."""
    source, got = Source(*range(10)), list[list[int]]()
    async with aclosing(batches(source.stream(), 0.0)) as stream:
        async for batch in stream:
            got.append(batch)
            await asyncio.sleep(0.01)

    assert len(got) <= 2
    assert list(range(10)) == [item for batch in got for item in batch]


async def test_batches_keep_their_distance_but_the_first_does_not_wait() -> None:
    """At most one per interval; the second holds what came since the first."""
    more = asyncio.Event()

    async def source() -> AsyncGenerator[int, None]:
        yield 1
        await more.wait()
        for item in (2, 3, 4):
            yield item
            await asyncio.sleep(0)

    loop, times, got = asyncio.get_running_loop(), list[float](), list[list[int]]()
    async with aclosing(batches(source(), 0.03)) as stream:
        async for batch in stream:
            times.append(loop.time())
            got.append(batch)
            more.set()

    assert [[1], [2, 3, 4]] == got
    assert times[1] - times[0] >= 0.029


async def test_an_error_comes_after_the_items_before_it() -> None:
    """What was shown before a model broke is not lost."""
    source, got = Source(1, 2, error=ValueError("broken")), list[int]()

    async def drain() -> None:
        async for batch in batches(source.stream(), 0.0):
            got.extend(batch)

    with pytest.raises(ValueError, match="broken"):
        await drain()
    assert [1, 2] == got
    assert source.closed


async def test_closing_closes_a_source_that_hangs() -> None:
    """So that a cancelled run stops its model at once."""
    source = Source(1, hangs=True)
    async with aclosing(batches(source.stream(), 0.0)) as stream:
        assert [1] == await anext(stream)

    assert source.closed


async def test_cancelling_the_reader_closes_the_source() -> None:
    """Also while it waits for the next item."""
    source, started = Source(1, hangs=True), asyncio.Event()

    async def read() -> None:
        async with aclosing(batches(source.stream(), 0.0)) as stream:
            async for _ in stream:
                started.set()

    task = asyncio.create_task(read())
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert source.closed


async def test_an_empty_source_gives_no_batch() -> None:
    """Not even an empty one."""
    assert [] == [batch async for batch in batches(Source().stream(), 0.0)]
