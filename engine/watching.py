"""Shows observers what a run is at: its execution, each turn of its model, each call of an engine-side tool.

Whatever ends the work, its end is told. What is measured here changes nothing of the work.
"""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter

from .chat import ChatRequest, ToolCall
from .core import Core
from .objects import Run
from .observer import CallSeen, TurnSeen
from .turn import Turn


@contextmanager
def watched_execution(core: Core, run: Run) -> Generator[None]:
    """One execution of a run."""
    for observer in core.feed.observers:
        observer.execution_began(run)
    try:
        yield
    finally:
        for observer in core.feed.observers:
            observer.execution_ended(run.id)


class TurnWatch:
    """The turn that goes on."""

    def __init__(self, seen: TurnSeen) -> None:
        self.seen = seen
        self._began = perf_counter()

    def heard(self) -> None:
        """The model has given something."""
        if self.seen.first is None:
            self.seen.first = perf_counter() - self._began

    def over(self, turn: Turn) -> None:
        """Take from the turn what it came to."""
        seen = self.seen
        seen.seconds = perf_counter() - self._began
        seen.usage, seen.answer = turn.spent, turn.entry().body
        seen.reason = turn.reason if seen.error is None else None


@contextmanager
def watched_turn(core: Core, turn: Turn, run: Run, request: ChatRequest) -> Generator[TurnWatch]:
    """One turn of the model, from the prompt it is given to its last word."""
    model = core.models.resolve(run.model)
    seen = TurnSeen(run, model, request, core.clock.now())
    watch = TurnWatch(seen)
    for observer in core.feed.observers:
        observer.turn_began(seen)
    try:
        yield watch
    except BaseException as error:
        seen.error = error
        raise
    finally:
        watch.over(turn)
        for observer in core.feed.observers:
            observer.turn_ended(seen)


@contextmanager
def watched_call(core: Core, run_id: str, call: ToolCall) -> Generator[CallSeen]:
    """One call of a tool; whoever makes it puts its result into what is given."""
    seen, began = CallSeen(run_id, call, core.clock.now()), perf_counter()
    for observer in core.feed.observers:
        observer.call_began(seen)
    try:
        yield seen
    except BaseException as error:
        seen.error = error
        raise
    finally:
        seen.seconds = perf_counter() - began
        for observer in core.feed.observers:
            observer.call_ended(seen)
