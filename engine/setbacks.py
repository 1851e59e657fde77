"""What kept files from being indexed that is no fault of theirs: a full disk, a locked database, no worker process.

Such a file stays in progress and is tried again. While the host is in trouble one file at a time is tried, after pauses
that grow; with the first success all goes on at once. Kept in memory only: a start tries everything anew.
"""

from collections.abc import Collection
from dataclasses import dataclass

from .errors import AssistantsError
from .ports import Clock

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0  # seconds: so long at most after the disk has room again


@dataclass(frozen=True, slots=True)
class Setback:
    """Why a file waits, and how often it was tried in vain; safe to show to a client."""

    reason: str
    attempts: int


class Setbacks:
    """Of all files that wait for a better moment, the one that has waited longest first.

    A file is known by "store/file".
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files: dict[str, Setback] = {}
        self._in_a_row = 0
        self._until = 0.0

    @property
    def trouble(self) -> bool:
        """Whether nothing has succeeded since the last setback."""
        return self._in_a_row > 0

    def pause(self) -> float:
        """Seconds until a file that waits may be tried again; 0 when none waits."""
        left = self._until - self._clock.now() if self._files else 0.0
        return min(max(0.0, left), LONGEST_PAUSE)  # a clock may be set back

    def get(self, key: str) -> Setback | None:
        """What a file met; None when it met nothing."""
        return self._files.get(key)

    def shut_out(self, at_work: Collection[str]) -> list[str]:
        """Files that are not to be tried now: all during a pause, then all but the next one of them."""
        keys = [key for key in self._files if key not in at_work]
        return keys if self.pause() else keys[1:]

    def next(self, at_work: Collection[str]) -> str | None:
        """The file that may be tried again now, if any."""
        if self.pause():
            return None
        return next((key for key in self._files if key not in at_work), None)

    def met(self, key: str, fault: AssistantsError) -> float:
        """A file met a fault of the host; returns the pause in seconds. Many at a time count as one."""
        known = self._files.pop(key, None)
        self._files[key] = Setback(fault.message, known.attempts + 1 if known else 1)
        now = self._clock.now()
        if now >= self._until:
            self._until = now + growing(self._in_a_row)
            self._in_a_row += 1
        return self.pause()

    def over(self, key: str) -> None:
        """A file has its outcome: the host does what it should."""
        self._files.pop(key, None)
        self._in_a_row, self._until = 0, 0.0

    def forget(self, key: str) -> None:
        """Nobody wants the file any more."""
        self._files.pop(key, None)


def growing(failures: int) -> float:
    """Seconds to wait after so many failures in a row."""
    return min(FIRST_PAUSE * 2.0 ** min(failures, 16), LONGEST_PAUSE)
