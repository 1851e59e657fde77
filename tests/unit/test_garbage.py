"""Full garbage collections wait for a quiet moment."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from local_assistants.garbage import collected_when_idle

_OLDEST = 2


@contextmanager
def _full_collections() -> Iterator[list[int]]:
    seen: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and info["generation"] == _OLDEST:
            seen.append(1)

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


def _live_through(collections: int) -> None:
    for _ in range(collections):
        gc.collect(1)  # each counts as one that a full collection is measured by


async def _wait_for(what: Callable[[], object]) -> bool:
    for _ in range(100):
        if what():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_what_has_become_due_is_collected_while_nothing_runs() -> None:
    """An idle server tidies up by itself."""
    async with collected_when_idle(lambda: False, every=0.01):
        with _full_collections() as seen:
            _live_through(20)
            assert await _wait_for(lambda: seen)


async def test_a_busy_server_is_not_held_up() -> None:
    """While runs are under way, garbage waits, until there would be too much of it."""
    async with collected_when_idle(lambda: True, every=0.01):
        with _full_collections() as seen:
            _live_through(100)
            assert not await _wait_for(lambda: seen)
            _live_through(150)
            assert await _wait_for(lambda: seen)


async def test_python_collects_by_itself_again_afterwards() -> None:
    """Nothing of it is left behind in the process."""
    before = gc.get_threshold(), gc.get_freeze_count()
    async with collected_when_idle(lambda: False):
        assert gc.get_threshold() != before[0]
    assert before == (gc.get_threshold(), gc.get_freeze_count())
