"""Hands results from the thread that has them to the event loops that wait for them: once for a group, not once each.

What this saves is measured in docs/decisions/0028. What it does not promise: that a loop that was closed meanwhile
hears anything; nobody waits there any more.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of something that `future` waits for."""

    future: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None


def hand_over(outcomes: Sequence[Outcome]) -> None:
    """Have each loop settle its own futures, in this order; callable from any thread, waits for nobody."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        by_loop[outcome.future.get_loop()].append(outcome)
    for loop, own in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(_settle, own)


def _settle(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        if outcome.future.done():  # cancelled
            continue
        if outcome.error is None:
            outcome.future.set_result(outcome.result)
        else:
            outcome.future.set_exception(outcome.error)
