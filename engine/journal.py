"""The only way the core writes: object, journal event and transcript change in one transaction, then followers hear.

`Journal.commit` hands a `Unit` to a function that runs on the store's thread. The function reads what it needs
through the unit, moves statuses with `fire` and announces them; when it raises, nothing of it happened. A commit is
not undone by cancelling the task that awaits it: what was begun is finished and published.

What it does not know: when to do what (services, worker, loop).
"""

import asyncio
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, TypeVar

from .errors import IllegalTransition, NotFound
from .events import Event, EventName, message_event, run_event, step_event
from .feed import EventFeed
from .objects import Message, Run, RunStep, Wire
from .ports import Clock, Store, Transaction
from .states import MESSAGE, RUN, STEP, Machine, On

T = TypeVar("T")
OwnedT = TypeVar("OwnedT", Run, RunStep, Message)

_MACHINES: Mapping[type[Wire], Machine] = {Run: RUN, RunStep: STEP, Message: MESSAGE}


class Unit:
    """One transaction's view of the world for one moment in time (`now`, Unix seconds)."""

    def __init__(self, tx: Transaction, now: int) -> None:
        self.tx = tx
        self.now = now
        self.events: list[Event] = []

    def must_get(self, kind: type[OwnedT], key: str) -> OwnedT:
        """The object, which has to exist.

        Raises:
            NotFound: it was deleted meanwhile.
        """
        found = self.tx.get(kind, key)
        if found is None:
            raise NotFound(f"No {_MACHINES[kind].name} found with id '{key}'.")
        return found

    def must_work(self, run_id: str) -> None:
        """Refuse to add to a run that is over, whoever ended it.

        Raises:
            IllegalTransition: it is.
        """
        run = self.must_get(Run, run_id)
        if RUN.is_final(run.status):
            raise IllegalTransition(f"Run {run_id} is over: {run.status}.")

    def save(self, obj: Run | RunStep | Message, *announced: EventName) -> None:
        """Store a new or changed object and journal the given events with its wire form."""
        self.tx.put(obj)
        run_id, shown = _run_id(obj), public_form(obj)
        for name in announced:
            self.emit(run_id, name, shown)

    def fire(self, kind: type[OwnedT], key: str, event: On, **fields: Any) -> OwnedT:
        """Move the stored object's status by the table, with `fields` changed, and announce it."""
        moved = _MACHINES[kind].fire(self.must_get(kind, key), event, self.now, **fields)
        self.save(moved, announcement(moved))
        return moved

    def emit(self, run_id: str, name: EventName, data: Mapping[str, Any]) -> None:
        """Journal one event."""
        self.events.append(self.tx.append_event(run_id, name, data))


class Journal:
    """Commits units and publishes their events in commit order."""

    def __init__(self, store: Store, feed: EventFeed, clock: Clock) -> None:
        self.store = store
        self.feed = feed
        self.clock = clock
        self._pending: set[asyncio.Task[Any]] = set()

    def over(self, store: Store) -> "Journal":
        """A journal that commits to `store`, a view of this one's; `settle` of either waits for both."""
        other = Journal(store, self.feed, self.clock)
        other._pending = self._pending
        return other

    async def commit(self, change: Callable[[Unit], T]) -> T:
        """Run `change` in one transaction; returns what it returns, raises what it raises."""
        task = asyncio.ensure_future(self._commit(change))
        self._pending.add(task)  # a task without a reference may be collected half-way
        task.add_done_callback(self._pending.discard)
        return await asyncio.shield(task)

    async def settle(self) -> None:
        """Wait for commits whose callers were cancelled."""
        while self._pending:
            await asyncio.wait(set(self._pending))

    async def _commit(self, change: Callable[[Unit], T]) -> T:
        now = int(self.clock.now())

        def run(tx: Transaction) -> tuple[T, list[Event]]:
            unit = Unit(tx, now)
            return change(unit), unit.events

        began = perf_counter()
        result, events = await self.store.write(run)
        for observer in self.feed.observers:
            observer.committed(perf_counter() - began)
        self.feed.publish(events)
        return result


def announcement(obj: Run | RunStep | Message) -> EventName:
    """The event that tells of the object's present status."""
    if isinstance(obj, Run):
        return run_event(obj.status)
    if isinstance(obj, RunStep):
        return step_event(obj.status)
    return message_event(obj.status)


def public_step(step: RunStep, include_content: bool = False) -> dict[str, Any]:
    """A step's wire form: search results show their text only on demand, usage only at the end."""
    wire = step.to_wire()
    if not STEP.is_final(step.status):
        wire["usage"] = None  # known already for a step that waits for outputs, shown when it ends
    if not include_content:
        for call in wire["step_details"].get("tool_calls", ()):
            for result in call.get("file_search", {}).get("results", ()):
                result.pop("content", None)
    return wire


def public_form(obj: Run | RunStep | Message) -> dict[str, Any]:
    """As events show it."""
    if isinstance(obj, RunStep):
        return public_step(obj)
    wire = obj.to_wire()
    if isinstance(obj, Run) and not wire["tool_resources"]:
        wire["tool_resources"] = {"code_interpreter": {"file_ids": []}}  # so in streams only (1.10)
    return wire


def _run_id(obj: Run | RunStep | Message) -> str:
    run_id = obj.id if isinstance(obj, Run) else obj.run_id
    if run_id is None:
        raise ValueError("an API message belongs to no run and has no journal")
    return run_id
