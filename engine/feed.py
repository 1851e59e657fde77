"""Live delivery of journal events to any number of followers, without polling the database.

A follower reads the journal first and then what is published. It never misses or repeats an event: a gap between the
two (a slow follower, a subscription made late) is filled from the journal. Publishing never waits for a reader.

Only what this process writes is published. For what another one writes on the same store, a follower that has heard
nothing for a while looks into the journal.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager, suppress

from .events import STREAM_END, Event
from .ports import Store, Transaction

_BACKLOG = 1024  # events a follower may lag behind in memory; beyond that it reads the journal
_SILENCE = 1.0  # seconds without an event, after which another process may be the one that works on the run


class Subscription:
    """The unread live events of one follower; the oldest are dropped when it lags."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_BACKLOG)
        self._arrived = asyncio.Event()

    def push(self, event: Event) -> None:
        """Hand over one event; never blocks."""
        self._events.append(event)
        self._arrived.set()

    async def take(self) -> list[Event]:
        """Wait for events and return all there are; none after a second of silence."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE):
                await self._arrived.wait()
        self._arrived.clear()
        taken = list(self._events)
        self._events.clear()
        return taken


class EventFeed:
    """Followers by run."""

    def __init__(self) -> None:
        self._followers: dict[str, set[Subscription]] = {}

    def publish(self, events: Sequence[Event]) -> None:
        """Hand committed events to their run's followers."""
        for event in events:
            for follower in self._followers.get(event.run_id, ()):
                follower.push(event)

    @contextmanager
    def subscribe(self, run_id: str) -> Iterator[Subscription]:
        """A subscription to one run for the length of the block."""
        subscription = Subscription()
        self._followers.setdefault(run_id, set()).add(subscription)
        try:
            yield subscription
        finally:
            followers = self._followers[run_id]
            followers.discard(subscription)
            if not followers:
                del self._followers[run_id]

    async def follow(
        self, store: Store, run_id: str, after: int = 0
    ) -> AsyncGenerator[Event, None]:
        """Every event of the run with seq > `after`, up to the first that ends a stream.

        Nothing if the run's latest event ends a stream and the follower has seen it.
        """
        with self.subscribe(run_id) as live:
            seen = after
            if await _nothing_to_come(store, run_id, after):
                return
            while True:
                for event in await _journal_from(store, run_id, seen):
                    seen = event.seq
                    yield event
                    if event.name in STREAM_END:
                        return
                while True:
                    fresh = [event for event in await live.take() if event.seq > seen]
                    if not fresh or fresh[0].seq != seen + 1:
                        break  # silence or a gap: the journal has what is missing
                    for event in fresh:
                        seen = event.seq
                        yield event
                        if event.name in STREAM_END:
                            return


async def _nothing_to_come(store: Store, run_id: str, after: int) -> bool:
    def read(tx: Transaction) -> bool:
        last = tx.last_seq(run_id)
        return last <= after and any(e.name in STREAM_END for e in tx.events(run_id, last - 1))

    return await store.read(read)


async def _journal_from(store: Store, run_id: str, after: int) -> list[Event]:
    def read(tx: Transaction) -> list[Event]:
        events: list[Event] = []
        while batch := tx.events(run_id, events[-1].seq if events else after):
            events += batch
        return events

    return await store.read(read)
