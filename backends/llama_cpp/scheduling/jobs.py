"""A turn on its way through the scheduler, and the line in which turns wait.

Bookkeeping only. The line is not safe to use from several threads.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from ....engine.errors import AssistantsError
from ..batch import Span
from ..kv.sequences import Resident
from ..turn import Fragment, Turn

Emit = Callable[[Fragment | AssistantsError], None]
LEVEL = 30.0  # seconds of waiting that one level of priority is worth
_MOST_LEVELS = 10


@dataclass(slots=True, eq=False)
class Job:
    """A turn with all tokens that it consists of so far: its prompt and what it has said.

    Those in `resident` are evaluated. `emit` is called on the scheduler's thread with an empty fragment when the turn
    is let in, then for every token, and once with an error where the turn fails; after a Finish or an error, and after
    a cancel, never again. `pictures`: the rows of the tokens that stand for pictures' (numpy), by token.
    """

    turn: Turn
    tokens: list[int]
    session: str | None
    emit: Emit
    priority: int = 0
    pictures: Mapping[int, Any] = field(default_factory=dict[int, Any])
    resident: Resident | None = None
    arrived: float = 0.0  # seconds of the scheduler's clock
    admitted: float = 0.0
    served: int = 0  # place in the round of those that generate
    started: bool = False
    cancelled: bool = False
    paused: bool = False

    @property
    def pending(self) -> int:
        """Tokens that are not evaluated."""
        return len(self.tokens) - (len(self.resident.tokens) if self.resident else 0)

    def span(self, count: int, sequence: int) -> Span:
        """The next tokens to evaluate: `count`, or fewer where a picture begins or ends among them."""
        start = len(self.tokens) - self.pending
        tokens = self.tokens[start : start + count]
        rows: Any = None
        if self.pictures:
            shown = tokens[0] in self.pictures
            tokens = list(takewhile(lambda token: (token in self.pictures) is shown, tokens))
            rows = _stacked(self.pictures, tokens) if shown else None
        last = start + len(tokens) == len(self.tokens)
        return Span(tokens, start, sequence, last, rows)

    @property
    def rank(self) -> float:
        """Its place in line, the lowest first: when it came, or earlier by so many levels of priority.

        So a higher priority goes first among those that came at about the same time, and whoever has waited long
        enough goes before it.
        """
        level = max(-_MOST_LEVELS, min(self.priority, _MOST_LEVELS))
        return self.arrived - level * LEVEL


def _stacked(pictures: Mapping[int, Any], tokens: Sequence[int]) -> Any:
    import numpy as np

    return np.stack([pictures[token] for token in tokens])


class WaitingLine:
    """Turns that wait for a place, by rank. One that had to give its place back comes in where it was."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs)

    def add(self, job: Job) -> None:
        """Put a turn in line."""
        insort(self._jobs, job, key=lambda each: each.rank)

    def first(self) -> Job | None:
        """Whose turn it is; paused ones let the others pass."""
        return next((job for job in self._jobs if not job.paused), None)

    def remove(self, job: Job) -> None:
        """Take a turn out of the line."""
        self._jobs.remove(job)

    def drop_cancelled(self) -> None:
        """Take out those that nobody waits for any more."""
        self._jobs = [job for job in self._jobs if not job.cancelled]
