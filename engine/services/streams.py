"""What a subscriber hears of a run: from any point of its journal, as far as it wants, with search results if it asks.

A subscriber never disturbs the run or another subscriber: each reads the journal for itself and may come at any time,
also long after the run has ended. The journal holds search results without their text; a subscriber who asked for it
gets it from the stored step. Knows no transport: numbers in, events out.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from ..core import Core
from ..errors import InvalidRequest
from ..events import Event
from ..feed import Until
from ..journal import public_step
from ..objects import Run, RunStep, Thread
from ..ports import Store, Transaction
from .lookup import must


@dataclass(frozen=True, slots=True)
class View:
    """What a subscriber wants: how far it follows, and whether steps show the text of search results."""

    until: Until = Until.PAUSE
    include_content: bool = False


THE_API_S = View()
"""What the API's own streams show."""


async def check_position(core: Core, thread_id: str, run_id: str, after: int) -> None:
    """A subscriber may go on after any event that the run has had, 0 being its beginning.

    Raises:
        NotFound: no such run in this thread.
        InvalidRequest: the run has had no event with this number.
    """

    def check(tx: Transaction) -> None:
        must(tx, Thread, thread_id)
        must(tx, Run, run_id, thread_id=thread_id)
        last = tx.last_seq(run_id)
        if after > last:
            raise InvalidRequest(
                f"Run {run_id} has no event {after}: its latest is {last}. Event ids count within one run; send the "
                "last id that a stream of this run gave, or none to hear it from its beginning.",
                code="invalid_value",
                param="after",
            )

    await core.store.read(check)


def batches(
    core: Core, run_id: str, after: int, view: View
) -> AsyncGenerator[Sequence[Event], None]:
    """The run's events with a number above `after`, as `view` asks, in the batches of `EventFeed.batches`."""
    told = core.feed.batches(core.store, run_id, after, view.until)
    return _with_content(core.store, told) if view.include_content else told


async def _with_content(
    store: Store, told: AsyncGenerator[Sequence[Event], None]
) -> AsyncGenerator[Sequence[Event], None]:
    async with aclosing(told) as source:
        async for batch in source:
            yield [
                await _filled(store, event) if _finds_something(event.data) else event
                for event in batch
            ]


def _finds_something(data: Mapping[str, Any]) -> bool:
    """Whether an event's payload lists search results."""
    calls = data.get("step_details", {}).get("tool_calls", ())
    return any(call.get("file_search", {}).get("results") for call in calls)


async def _filled(store: Store, event: Event) -> Event:
    """The event with the text of its results. Its payload belongs to all subscribers, so a copy is changed."""
    step = await store.read(lambda tx: tx.get(RunStep, event.data["id"]))
    if step is None:  # deleted with its thread
        return event
    stored = public_step(step, include_content=True)["step_details"]["tool_calls"]
    searches = {call["id"]: call["file_search"] for call in stored if "file_search" in call}
    details = event.data["step_details"]
    calls = [
        call | {"file_search": searches[call["id"]]} if call["id"] in searches else call
        for call in details["tool_calls"]
    ]
    data = event.data | {"step_details": details | {"tool_calls": calls}}
    return Event(event.run_id, event.seq, event.name, data)
