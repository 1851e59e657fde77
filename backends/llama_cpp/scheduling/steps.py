"""The next step: which turns take part, with which tokens, and what is learned once it is done."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..batch import Span
from ..kv.sequences import Resident, Residents
from .costs import StepCosts
from .jobs import Job
from .planning import Demand, after, plan
from .width import Widths


@dataclass(frozen=True, slots=True)
class Share:
    """What a turn has in a step.

    Attributes:
        job: the turn.
        resident: its sequence.
        span: the tokens, which follow those that the sequence has.
        last_row: the row of the last of them; of a picture's nothing.
        is_prompt: more than the one token that a turn has that generates.
        place: the turn's in the round, once the step is done.
    """

    job: Job
    resident: Resident
    span: Span
    last_row: int
    is_prompt: bool
    place: int


class Planner:
    """Divides steps between the turns at work."""

    def __init__(
        self, residents: Residents, widths: Widths, costs: StepCosts, batch_size: int
    ) -> None:
        self._residents = residents
        self._widths = widths
        self._costs = costs
        self._batch_size = batch_size
        self._first_prompt: Job | None = None  # of those that are not evaluated yet

    def next(self, jobs: Sequence[Job], now: float) -> list[Share]:
        """The shares of `jobs`, in the order in which they were let in. `now`: of the scheduler's clock, in seconds."""
        pending = [job.pending for job in jobs]
        width = self._widths.best(pending.count(1))
        if width == len(jobs):  # nearly always: all generate, and all in this step
            self._first_prompt = None
            return _shares(jobs, pending, [job.served for job in jobs])
        if self._catch_up(next((job for job in jobs if job.pending > 1), None)):
            return self.next(jobs, now)
        demands = [Demand(each, job.served) for each, job in zip(pending, jobs, strict=True)]
        since = (job.admitted for job, each in zip(jobs, pending, strict=True) if each > 1)
        chunk = self._costs.chunk(width, now - min(since, default=now))
        counts = plan(demands, width=width, chunk=min(chunk, self._batch_size - width))
        return _shares(jobs, counts, after(demands, counts))

    def done(self, shares: Sequence[Share], seconds: float) -> int:
        """Note that a step was taken, and how long the library took; the tokens that were evaluated."""
        prompts = [len(share.span.tokens) for share in shares if share.is_prompt]
        width = len(shares) - len(prompts)
        self._costs.observe(width, sum(prompts), seconds, prompts=len(prompts))
        self._residents.prefill_rate = self._costs.prefill_rate
        for share in shares:
            self._residents.extend(share.resident, share.span.tokens)
            share.job.served = share.place
        return width + sum(prompts)

    def _catch_up(self, job: Job | None) -> bool:
        """When a prompt's turn comes, let it have what others have evaluated of it while it waited."""
        if job is self._first_prompt:
            return False
        self._first_prompt = job
        if job is None or job.resident is None:
            return False
        gained = self._residents.catch_up(job.resident, job.tokens)
        job.turn.cached += gained
        return gained > 0


def _shares(jobs: Sequence[Job], counts: Sequence[int], places: Sequence[int]) -> list[Share]:
    shares: list[Share] = []
    row = -1
    for job, count, place in zip(jobs, counts, places, strict=True):
        if count and job.resident is not None:
            span = job.span(count, job.resident.number)
            row += len(span.tokens) if span.rows is None else 0
            shares.append(Share(job, job.resident, span, row, job.pending > 1, place))
    return shares
