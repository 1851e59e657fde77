"""What a turn comes to, on its way from the scheduler's thread to whoever reads it on an event loop.

Bounded: when nobody reads, the turn is held up, and goes on when half of what had come was read. What all turns of a
step come to goes over together: waking an event loop costs more than all the rest.
"""

import asyncio
import contextlib
from collections import defaultdict, deque
from collections.abc import Callable

from ...engine.chat import Finish
from ...engine.errors import AssistantsError
from .turn import Fragment

_MOST = 32  # fragments unread before the turn is held up

Item = Fragment | AssistantsError


class Post:
    """Carries what turns come to over to their event loops, a step at a time. Used on the scheduler's thread."""

    def __init__(self) -> None:
        self._parcels: defaultdict[asyncio.AbstractEventLoop, list[tuple[Outlet, Item]]]
        self._parcels = defaultdict(list)

    def put(self, outlet: "Outlet", item: Item) -> None:
        """Take something along."""
        self._parcels[outlet.loop].append((outlet, item))

    def deliver(self) -> None:
        """Send all that was put since the last time; never waits."""
        while self._parcels:
            loop, parcel = self._parcels.popitem()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(_hand_out, parcel)


def _hand_out(parcel: "list[tuple[Outlet, Item]]") -> None:
    for outlet, item in parcel:
        outlet.arrive(item)


class Outlet:
    """One turn's way out; belongs to the event loop that it was made on.

    Args:
        post: brings what comes.
        hold_up: called when the reader lags.
        let_go: called when it has caught up.
    """

    def __init__(self, post: Post, hold_up: Callable[[], None], let_go: Callable[[], None]) -> None:
        self.loop = asyncio.get_running_loop()
        self._post = post
        self._hold_up = hold_up
        self._let_go = let_go
        self._items: deque[Item] = deque()
        self._news = asyncio.Event()
        self._held = False

    def put(self, item: Item) -> None:
        """Send something with the next post, from the scheduler's thread."""
        self._post.put(self, item)

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

    def arrive(self, item: Item) -> None:
        """Something has come, on the loop."""
        self._items.append(item)
        self._news.set()
        # Here and not in `put`: what holds up and lets go must happen in this order, without a lock of our own.
        if not self._held and len(self._items) >= _MOST:
            self._held = True
            self._hold_up()


def is_last(fragment: Fragment) -> bool:
    """Whether a turn is over with this."""
    return bool(fragment.deltas) and isinstance(fragment.deltas[-1], Finish)
