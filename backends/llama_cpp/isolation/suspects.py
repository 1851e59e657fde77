"""Who may be at work in the model process after it has died, and who has made it die.

Whatever was at work when the process died is suspect. Suspects go on one at a time, so that the next death tells: one
that was alone at work then is the culprit. Each is cleared by having got past the place where it was; the cleared ones
go on beside the next suspect. What came later waits until nobody is suspect any more; so does, once, what had been
handed over and was not heard of, for it stood in line.

Pure bookkeeping: no process, no clock, no messages.
"""

from typing import Generic, TypeVar

T = TypeVar("T")  # what is to be done: hashable, and the same only as itself


class Suspects(Generic[T]):
    """Who is at work, who waits, who is suspect.

    Args:
        proof: steps after which a suspect is cleared.
    """

    def __init__(self, proof: int) -> None:
        self._proof = proof
        self._steps: dict[T, int] = {}  # of who is at work, since it was handed over
        self._suspects: list[T] = []  # who waits to be tried
        self._waiting: list[T] = []  # who waits because others are suspect
        self._tried: T | None = None  # the one suspect at work that is not cleared
        self._spared: set[T] = set()  # who is not spared again

    @property
    def at_work(self) -> tuple[T, ...]:
        """Who was handed over and is not done."""
        return tuple(self._steps)

    @property
    def everybody(self) -> tuple[T, ...]:
        """Who is not done, at work or not."""
        return (*self._steps, *self._suspects, *self._waiting)

    def is_at_work(self, one: T) -> bool:
        """Whether it was handed over and is not done."""
        return one in self._steps

    def add(self, one: T) -> None:
        """Somebody new."""
        self._waiting.append(one)

    def drop(self, one: T) -> bool:
        """Somebody is done, or nobody wants it any more. Whether it was at work."""
        if one is self._tried:
            self._tried = None
        for line in (self._suspects, self._waiting):
            if one in line:
                line.remove(one)
        self._spared.discard(one)
        return self._steps.pop(one, None) is not None

    def step(self, one: T) -> None:
        """Somebody at work was heard of: it got on by a step."""
        self._steps[one] += 1
        if self._steps[one] >= self._proof:
            self.clear(one)

    def clear(self, one: T) -> None:
        """Somebody at work cannot be what ends the process: it has done enough, or does nothing."""
        if one is self._tried:
            self._tried = None

    def next(self) -> list[T]:
        """Who may be handed over now; they count as at work from here on."""
        if self._tried is not None or not (self._suspects or self._waiting):
            return []
        if self._suspects:
            self._tried = self._suspects.pop(0)
            chosen = [self._tried]
        else:
            chosen, self._waiting = self._waiting, []
        self._steps.update(dict.fromkeys(chosen, 0))
        return chosen

    def died(self) -> T | None:
        """The process is gone with all who were at work. The culprit, if that is certain; it is dropped."""
        at_work, tried = self._steps, self._tried
        self._steps, self._tried = {}, None
        if tried is not None and len(at_work) == 1:
            self._spared.discard(tried)
            return tried
        in_line = [one for one in at_work if not at_work[one] and one not in self._spared]
        if len(in_line) == len(at_work) or tried in in_line:
            in_line = []  # one of them it must have been
        self._spared.update(in_line)
        self._waiting = in_line + self._waiting
        # Most requests that end the process do so at once: who has done the least is tried first.
        newest_first = [one for one in reversed(at_work) if one not in in_line]
        guess = sorted(newest_first, key=lambda one: (one is not tried, at_work[one]))
        self._suspects = guess + self._suspects
        return None
