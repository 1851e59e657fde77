"""What other threads tell the scheduler's thread: turns that come, stop, pause and go on, sessions to forget, the end.

One lock guards all of it and is never held during work, so that nobody who submits or cancels waits for a step.
"""

import threading
from collections.abc import Mapping

from ....engine.errors import BackendFault, RateLimited
from ..context import NativeContext
from .jobs import Job


class Inbox:
    """Takes messages from any thread; one thread reads them and says what it is doing."""

    def __init__(self, context: NativeContext, most_jobs: int) -> None:
        """`most_jobs`: turns that are not over, at work and waiting; one more is refused."""
        self._context = context
        self._most_jobs = most_jobs
        self._wake = threading.Condition()
        self._arrived: list[Job] = []
        self._jobs: set[Job] = set()  # that are not over
        self._forget: set[str] = set()
        self._running: Mapping[Job, int] = {}  # tokens in the running step
        self._news = self._closing = False

    # --- from any thread -----------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Take in a turn.

        Raises:
            BackendFault: the end was announced.
            RateLimited: too many turns wait.
        """
        with self._wake:
            if self._closing:
                raise BackendFault("The model is being unloaded.")
            if len(self._jobs) >= self._most_jobs:
                raise RateLimited(
                    f"The model has {len(self._jobs)} turns to answer and takes no more (max_waiting); "
                    "try again later."
                )
            self._jobs.add(job)
            self._arrived.append(job)
            self._notify()

    def cancel(self, job: Job) -> None:
        """Nobody waits for a turn any more. The running step is aborted if the turn is most of it."""
        with self._wake:
            job.cancelled = True
            self._jobs.discard(job)
            if 2 * self._running.get(job, 0) > sum(self._running.values()):
                self._context.abort()
            self._notify()

    def pause(self, job: Job, paused: bool) -> None:
        """Let a turn rest, or go on."""
        with self._wake:
            job.paused = paused
            self._notify()

    def forget(self, session: str) -> None:
        """A session is to leave no trace."""
        with self._wake:
            self._forget.add(session)
            self._notify()

    def close(self) -> None:
        """Announce the end, and abort the running step."""
        with self._wake:
            self._closing = True
            self._context.abort()
            self._notify()

    def _notify(self) -> None:
        self._news = True
        self._wake.notify()

    # --- from the scheduler's thread -------------------------------------------------------------

    @property
    def news(self) -> bool:
        """Whether anything came since `collect`."""
        return self._news

    @property
    def closing(self) -> bool:
        """Whether the end was announced."""
        with self._wake:
            return self._closing

    def collect(self) -> tuple[list[Job], set[str]]:
        """Turns and sessions to forget that came since the last time. No step is running."""
        with self._wake:
            arrived, self._arrived = self._arrived, []
            forget, self._forget = self._forget, set()
            self._running, self._news = {}, False
            return arrived, forget

    def wait(self, seconds: float | None) -> bool:
        """Wait for news since `collect`; False when none came in that time."""
        with self._wake:
            return self._wake.wait_for(lambda: self._news, seconds)

    def begin(self, step: Mapping[Job, int]) -> bool:
        """A step with so many tokens of each turn begins; False: do not, the end was announced."""
        with self._wake:
            if self._closing:
                return False
            self._running = step
            self._context.rearm()
            return True

    def over(self, job: Job) -> None:
        """A turn has ended."""
        with self._wake:
            self._jobs.discard(job)

    def left(self) -> list[Job]:
        """The turns that have not ended."""
        with self._wake:
            return list(self._jobs)
