"""Live delivery of journal events to any number of followers, without polling the database.

A follower reads the journal first and then what is published. It never misses or repeats an event: a gap between the
two (a slow follower, a subscription made late) is filled from the journal. Publishing never waits for a reader.

Only what this process writes is published. For what another one writes on the same store, a follower that has heard
nothing for a while looks into the journal: each second, and ten times a second as long as it finds something there.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from enum import StrEnum
from itertools import groupby
from operator import attrgetter
from typing import Literal

from .errors import NotFound
from .events import RUN_END, STREAM_END, Event, EventName
from .objects import Run
from .observer import Observer
from .ports import Store, Transaction

_BATCH = 1000  # events read from the journal at a time
_BACKLOG = 1024  # events a follower may lag behind in memory; beyond that it reads the journal
_SILENCE = 1.0  # seconds without an event, after which another process may be the one that works on the run
_ELSEWHERE = 0.1  # the same while it is another one


class Until(StrEnum):
    """How far a follower goes."""

    PAUSE = "pause"  # to the run's end or its next wait for the client, as the API's own streams
    END = "end"  # to the run's end, through every wait


_ENDS = {Until.PAUSE: STREAM_END, Until.END: RUN_END}


class Subscription:
    """The unread live events of one follower; the oldest are dropped when it lags."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque(maxlen=_BACKLOG)
        self._waiter: asyncio.Future[None] | None = None

    def push(self, events: Sequence[Event]) -> None:
        """Hand over events; never blocks."""
        self._events.extend(events)
        self._wake()

    async def take(self, seconds: float = _SILENCE) -> list[Event]:
        """Wait for events and return all there are; none after some seconds of silence."""
        if not self._events:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            silence = loop.call_later(seconds, self._wake)  # a third of what asyncio.timeout costs
            try:
                await self._waiter
            finally:
                self._waiter = None
                silence.cancel()
        taken = list(self._events)
        self._events.clear()
        return taken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class EventFeed:
    """Followers by run, and observers of everything that is published."""

    def __init__(self) -> None:
        self._followers: dict[str, set[Subscription]] = {}
        self.observers: list[Observer] = []

    def publish(self, events: Sequence[Event]) -> None:
        """Hand committed events to their run's followers."""
        for run_id, of_run in groupby(events, key=attrgetter("run_id")):
            if followers := self._followers.get(run_id):
                batch = tuple(of_run)
                for follower in followers:
                    follower.push(batch)
        for observer in self.observers:
            observer.published(events)

    def stored(self, kind: Literal["read", "write"], seconds: float) -> None:
        """Tell the observers how long the store took."""
        for observer in self.observers:
            observer.stored(kind, seconds)

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

    def follow(
        self, store: Store, run_id: str, after: int = 0, until: Until = Until.PAUSE
    ) -> AsyncGenerator[Event, None]:
        """The events of `batches`, one by one."""
        return one_by_one(self.batches(store, run_id, after, until))

    async def batches(
        self, store: Store, run_id: str, after: int = 0, until: Until = Until.PAUSE
    ) -> AsyncGenerator[Sequence[Event], None]:
        """Every event of the run with seq > `after`, up to the first that `until` asks for, as they come together.

        A batch is empty when nothing has come for a second or less. There is none at all if the run's latest event is
        one that ends and the follower has seen it.

        Raises:
            NotFound: the run was deleted before all of it was told.
        """
        ends = _ENDS[until]
        with self.subscribe(run_id) as live:
            seen, silence = after, 0.0  # the first look at the journal is not for silence
            if after and await _nothing_to_come(store, run_id, after, ends):
                return
            while True:
                stored = await _stored(store, run_id, seen)
                told, over = _up_to_end(stored, ends)
                seen = told[-1].seq if told else seen
                yield told
                if over:
                    return
                silence = _after_silence(silence, told)
                while len(stored) < _BATCH:  # else the journal has more
                    fresh = [event for event in await live.take(silence) if event.seq > seen]
                    if not fresh or fresh[0].seq != seen + 1:
                        break  # silence or a gap: the journal has what is missing
                    silence = _SILENCE
                    told, over = _up_to_end(fresh, ends)
                    seen = told[-1].seq
                    yield told
                    if over:
                        return


async def one_by_one(
    batches: AsyncGenerator[Sequence[Event], None],
) -> AsyncGenerator[Event, None]:
    """The events of the batches. Closing this closes them."""
    async with aclosing(batches) as source:
        async for batch in source:
            for event in batch:
                yield event


def _after_silence(seconds: float, told: Sequence[Event]) -> float:
    """How long to wait before the next look into the journal; the last one was after `seconds` and told this."""
    if not seconds:
        return _SILENCE
    return _ELSEWHERE if told else min(2 * seconds, _SILENCE)


def _up_to_end(events: Sequence[Event], ends: frozenset[EventName]) -> tuple[Sequence[Event], bool]:
    """The events up to the first that ends, and whether there is one."""
    for count, event in enumerate(events, 1):
        if event.name in ends:
            return events[:count], True
    return events, False


async def _nothing_to_come(
    store: Store, run_id: str, after: int, ends: frozenset[EventName]
) -> bool:
    def read(tx: Transaction) -> bool:
        last = tx.last_seq(run_id)
        return last <= after and any(e.name in ends for e in tx.events(run_id, last - 1))

    return await store.read(read)


async def _stored(store: Store, run_id: str, after: int) -> list[Event]:
    """The next events of the journal, no more than a batch: a follower keeps no long run in memory."""

    def read(tx: Transaction) -> list[Event]:
        events = tx.events(run_id, after, _BATCH)
        if not events and tx.get(Run, run_id) is None:
            raise NotFound(f"No run found with id '{run_id}'.")
        return events

    return await store.read(read)
