"""The thread that owns the context: many turns, one `decode` per step for all of them.

A step takes a token of every turn that is generating (of as many as are best at a time) and, beside them, as many
tokens of the oldest prompt as the others' streams can bear. When the KV pool is full idle conversations leave it, then
turns that are paused, then the youngest turn steps back into the line and goes on later from what was kept of it. A
cancelled turn costs nothing from the next step on; a running step is aborted if the cancelled turn is most of it.

Knows turns and sequences; nothing of prompts, text or asyncio.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ....engine.errors import AssistantsError, BackendFault, ContextOverflow
from ..context import NativeContext, Outcome
from ..kv.answers import AnswerMemory
from ..kv.sequences import Resident, Residents
from ..settings import LlamaSettings
from ..turn import Fragment
from .costs import StepCosts
from .inbox import Inbox
from .jobs import Emit, Job
from .places import Places
from .steps import Planner, Share
from .width import Widths

__all__ = ["Emit", "Job", "Scheduler", "Statistics"]

_IDLE = 2.0  # seconds without work after which idle conversations are written to disk
_BETWEEN = 0.05  # seconds between one and the next

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the scheduler has done since the model was loaded.

    Attributes:
        steps: calls of the library that evaluated tokens.
        rows: tokens evaluated, reused ones not counted.
        decode_seconds: spent in the library, evaluating.
        sample_seconds: spent on choosing tokens, grammars included.
        other_seconds: of the thread's time at work spent on neither.
    """

    steps: int
    rows: int
    decode_seconds: float
    sample_seconds: float
    other_seconds: float


class Scheduler:
    """Runs turns on a thread of its own until it is closed.

    `deliver` is called there when all turns of a step have emitted what they came to.
    """

    def __init__(
        self,
        context: NativeContext,
        memory: AnswerMemory,
        settings: LlamaSettings,
        *,
        residents: Residents,
        widths: Widths | None = None,
        deliver: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._memory = memory
        self._residents = residents
        widths = widths or Widths(cap=settings.decode_width)
        places = min(settings.parallel, settings.sequences)
        self._deliver = deliver or (lambda: None)
        self._clock = clock
        self._costs = StepCosts(
            stretch=settings.stretch, most=settings.prefill_chunk, by_width=widths.seconds
        )
        self._planner = Planner(residents, widths, self._costs, context.batch_size)
        self._steps = self._rows = 0
        self._busy_seconds = self._sample_seconds = 0.0
        self._inbox = Inbox(context, places + settings.max_waiting)
        self._places = Places(residents, places)
        self._forgetting: set[str] = set()
        self._changed = False  # who is at work, since the last look at the line
        self._patience: float | None = None  # seconds without work before something is parked
        self._thread = threading.Thread(target=self._run, name="llama.cpp", daemon=True)
        self._thread.start()

    # --- from any thread -----------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Put a turn in line.

        Raises:
            BackendFault: the model is being unloaded, or there are no tokens or foreign ones.
            RateLimited: too many turns wait.
            ContextOverflow: the tokens do not fit.
        """
        self._check(job.tokens, job.pictures)
        job.arrived = self._clock()
        self._inbox.submit(job)

    def cancel(self, job: Job) -> None:
        """Stop a turn; nothing more is emitted for it. Harmless when it is over."""
        self._inbox.cancel(job)

    def pause(self, job: Job) -> None:
        """Let a turn take no part in steps until it is resumed. It may have a token on the way still."""
        self._inbox.pause(job, paused=True)

    def resume(self, job: Job) -> None:
        """Let a paused turn go on."""
        self._inbox.pause(job, paused=False)

    def forget(self, session: str) -> None:
        """Empty the sequences of a session before the next step; those of turns at work when they end."""
        self._inbox.forget(session)

    def close(self) -> None:
        """Stop everything and wait for the thread to end."""
        self._inbox.close()
        self._thread.join()

    @property
    def prefill_rate(self) -> float | None:
        """Prompt tokens per second, as measured in use; None before the first prompt."""
        return self._costs.prefill_rate

    @property
    def evaluated_tokens(self) -> int:
        """Tokens evaluated, reused ones not counted."""
        return self._rows

    @property
    def statistics(self) -> Statistics:
        """Counts and times so far; while a step runs they are those before it."""
        decode, sample = self._context.decode_seconds, self._sample_seconds
        other = max(self._busy_seconds - decode - sample, 0.0)
        return Statistics(self._steps, self._rows, decode, sample, other)

    def _check(self, tokens: Sequence[int], pictures: Mapping[int, object]) -> None:
        """See at the door that a turn's tokens will not spoil a step for the others in it."""
        texts = [token for token in tokens if token not in pictures] if pictures else tokens
        if not texts or min(texts) < 0 or max(texts) >= self._context.vocabulary_size:
            raise BackendFault("A prompt is empty or holds a token that this model does not have.")
        if len(tokens) > self._context.size:
            raise ContextOverflow(
                f"This model's context window is {self._context.size} tokens; the prompt has {len(tokens)}."
            )

    # --- the owner's thread --------------------------------------------------------------------

    def _run(self) -> None:
        while self._ready():
            began = time.perf_counter()
            self._take_a_step()
            self._busy_seconds += time.perf_counter() - began
        for job in self._inbox.left():
            self._emit(job, BackendFault("The model was unloaded before it had answered."))
        self._guarded(self._deliver)
        self._guarded(self._residents.close)

    def _ready(self) -> bool:
        """Take in what has come, and wait while there is nothing to do; False when it is time to go."""
        while True:
            began = time.perf_counter()
            self._guarded(self._deliver)  # at once: tidying may fetch conversations from disk
            if self._changed or self._inbox.news:
                self._changed = False
                self._guarded(self._tidy)
                self._guarded(self._deliver)
            self._busy_seconds += time.perf_counter() - began
            if self._inbox.closing:
                return False
            if self._places.able():
                return True
            if not self._inbox.wait(self._patience):
                self._guarded(self._park)

    def _park(self) -> None:
        """Have an idle conversation written to disk; the next one soon, if nothing comes in between."""
        self._patience = None
        if self._residents.park_idle():
            self._patience = _BETWEEN

    def _tidy(self) -> None:
        """Between steps: who comes, who goes, who is let in."""
        arrived, forget = self._inbox.collect()
        for job in arrived:
            self._places.add(job)
        self._places.drop_cancelled()
        self._forgetting |= forget
        if self._forgetting:
            gone = self._residents.forget(self._forgetting)
            for session in gone:  # what a turn at its end may have added since
                self._memory.forget(session)
            self._forgetting -= gone
        while (following := self._places.next()) is not None:
            first_time = not following.started
            try:
                self._places.enter(following, self._clock())
                if first_time:
                    self._emit(following, Fragment((), ()))
            except Exception as error:
                self._end(following, _fault(error))

    def _take_a_step(self) -> None:
        shares: list[Share] = []
        try:
            shares = self._planner.next(self._places.able(), self._clock())
            self._step(shares)
        except Exception as error:  # a fault of ours or of the library must not end the thread
            _log.warning("A step failed", exc_info=True)
            jobs = [share.job for share in shares] or list(self._places.active)
            for job in jobs:
                self._guarded(partial(self._empty, job))
                self._end(job, _fault(error))

    def _step(self, shares: list[Share]) -> None:
        if not self._inbox.begin({share.job: len(share.span.tokens) for share in shares}):
            return
        before = self._context.decode_seconds
        outcome = self._context.decode([share.span for share in shares])
        if outcome is Outcome.DONE:
            self._steps += 1
            self._rows += self._planner.done(shares, self._context.decode_seconds - before)
            self._patience = _IDLE
            for share in shares:
                if share.span.wants_logits:
                    self._advance(share.job, share.last_row)
            return
        self._changed = True
        for share in shares:
            self._restore(share.resident)
        if outcome is Outcome.FULL and not self._places.make_room():
            self._overflow(shares[0].job)

    def _advance(self, job: Job, row: int) -> None:
        """Choose a turn's next token and pass on what it says."""
        turn = job.turn
        try:
            began = time.perf_counter()
            token = turn.choose(self._context, row)
            self._sample_seconds += time.perf_counter() - began
            deltas = turn.take(token)
            job.tokens.append(token)
            if turn.finished is None and len(job.tokens) >= self._context.size:
                deltas += turn.cut()
            if turn.finished is not None:
                self._memory.remember(job.session, *turn.answer())
        except Exception as error:
            self._end(job, _fault(error))
            return
        fragment = Fragment(tuple(deltas), (token,))
        if turn.finished is None:
            self._emit(job, fragment)
        else:
            self._end(job, fragment)

    def _overflow(self, job: Job) -> None:
        """The only turn at work fills the pool."""
        if job.pending > 1:
            self._end(job, ContextOverflow("The prompt does not fit the model's KV pool."))
        else:
            self._end(job, Fragment(tuple(job.turn.cut()), ()))

    def _restore(self, resident: Resident) -> None:
        """What part of a step was done is unknown: go back to what is known."""
        if not self._context.rewind(resident.number, len(resident.tokens)):
            self._residents.rewind(resident, 0)

    def _empty(self, job: Job) -> None:
        """Keep nothing of a sequence in which something went wrong."""
        if job.resident is not None:
            self._context.rewind(job.resident.number, 0)
            self._residents.rewind(job.resident, 0)

    def _end(self, job: Job, last: Fragment | AssistantsError) -> None:
        self._changed = True
        self._places.leave(job)
        self._emit(job, last)
        self._inbox.over(job)

    def _emit(self, job: Job, item: Fragment | AssistantsError) -> None:
        if job.cancelled:
            return
        try:
            job.emit(item)
        except Exception:  # whoever listens: the other turns go on
            _log.warning("A turn's reader failed; the turn is dropped", exc_info=True)
            self.cancel(job)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Do what the thread must survive."""
        try:
            work()
        except Exception:
            _log.warning("The scheduler met a fault between steps", exc_info=True)


def _fault(error: Exception) -> AssistantsError:
    if isinstance(error, AssistantsError):
        return error
    return BackendFault(f"The turn failed in llama.cpp's scheduler: {error!r}")
