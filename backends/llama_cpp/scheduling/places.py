"""Which turns are at work and which wait: places, sequences and room in the KV pool are limited.

The line is strict: while its first turn does not fit, nobody passes it, so that a long prompt is never kept out by
short ones. A turn that is put back in line keeps what was evaluated of it as an idle conversation's, as long as nobody
needs the cells.

Used by the scheduler's thread only. Emits nothing.
"""

from ..kv.sequences import Residents
from .jobs import Job, WaitingLine

_GROWTH = 32  # cells to keep free for what each turn at work will say


class Places:
    """At most `count` turns at work, as many as the pool has room for.

    Attributes:
        active: the turns at work, in the order in which they were let in.
    """

    def __init__(self, residents: Residents, count: int) -> None:
        self._residents = residents
        self._count = count
        self._line = WaitingLine()
        self._crowded = False  # a turn had to step back: nobody is let in before one leaves
        self.active: list[Job] = []

    def add(self, job: Job) -> None:
        """Put a turn in line."""
        self._line.add(job)

    def drop_cancelled(self) -> None:
        """Let go of the turns that nobody waits for."""
        for job in [each for each in self.active if each.cancelled]:
            self.leave(job)
        self._line.drop_cancelled()

    def able(self) -> list[Job]:
        """The turns that can take part in a step."""
        return [job for job in self.active if not job.paused]

    def next(self) -> Job | None:
        """The turn to let in now, taken out of the line; None when there is none or no place for it.

        Paused turns give their places up for it.
        """
        job = self._line.first()
        if job is None or (self._crowded and self.able()):
            return None
        while not self._fits(job):
            paused = self._paused()
            if paused is not None:
                self._step_back(paused)
            elif self.active:
                return None
            else:
                break  # alone it may have the whole pool
        self._line.remove(job)
        return job

    def enter(self, job: Job, now: float) -> None:
        """Give a turn a sequence. `now` is the time of the scheduler's clock."""
        job.resident = self._residents.take(job.tokens, job.session)
        if not job.started:
            job.started, job.turn.cached = True, len(job.resident.tokens)
        job.admitted = now
        self.active.append(job)

    def leave(self, job: Job) -> None:
        """A turn is over; its tokens stay in the pool for the next one."""
        if job in self.active:
            self.active.remove(job)
            self._crowded = False
        if job.resident is not None:
            self._residents.release(job.resident)
            job.resident = None

    def make_room(self) -> bool:
        """Free cells: of an idle conversation, else of a paused turn, else of the youngest. False: only one is left."""
        if self._residents.evict():
            return True
        job = self._paused()
        if job is None and len(self.active) > 1:
            job, self._crowded = self.active[-1], True
        if job is None or len(self.active) == 1:
            return False
        self._step_back(job)
        self._residents.evict()
        return True

    def _fits(self, job: Job) -> bool:
        if len(self.active) >= self._count or not self._residents.has_idle():
            return False
        coming = sum(each.pending for each in self.active) + _GROWTH * (len(self.active) + 1)
        return self._residents.has_room(self._residents.missing(job.tokens) + coming)

    def _paused(self) -> Job | None:
        return next((job for job in self.active if job.paused), None)

    def _step_back(self, job: Job) -> None:
        self.active.remove(job)
        if job.resident is not None:
            self._residents.release(job.resident)
            job.resident = None
        self._line.add(job)
