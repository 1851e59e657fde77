"""What a turn comes to, on its way from the scheduler's thread to whoever reads it on an event loop.

Bounded: when nobody reads, the turn is held up, and goes on when half of what had come was read.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from ...engine.chat import Finish
from ...engine.errors import AssistantsError
from .turn import Fragment

_MOST = 32  # fragments unread before the turn is held up

Item = Fragment | AssistantsError


class Outlet:
    """One turn's way out; belongs to the event loop that it was made on.

    Args:
        hold_up: called when the reader lags.
        let_go: called when it has caught up.
    """

    def __init__(self, hold_up: Callable[[], None], let_go: Callable[[], None]) -> None:
        self._hold_up = hold_up
        self._let_go = let_go
        self._loop = asyncio.get_running_loop()
        self._items: deque[Item] = deque()
        self._news = asyncio.Event()
        self._held = False

    def put(self, item: Item) -> None:
        """Send something, from any thread; never waits."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._arrive, item)

    async def get(self) -> Fragment:
        """The next fragment.

        Raises:
            AssistantsError: what the turn ended with.
        """
        while not self._items:
            self._news.clear()
            await self._news.wait()
        item = self._items.popleft()
        if self._held and len(self._items) <= _MOST // 2:
            self._held = False
            self._let_go()
        if isinstance(item, AssistantsError):
            raise item
        return item

    def _arrive(self, item: Item) -> None:
        self._items.append(item)
        self._news.set()
        # Here and not in `put`: what holds up and lets go must happen in this order, without a lock of our own.
        if not self._held and len(self._items) >= _MOST:
            self._held = True
            self._hold_up()


def is_last(fragment: Fragment) -> bool:
    """Whether a turn is over with this."""
    return bool(fragment.deltas) and isinstance(fragment.deltas[-1], Finish)
