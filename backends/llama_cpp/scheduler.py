"""The thread that owns the context: many turns, one `decode` per step for all of them.

A step takes one token of every turn that is generating and, beside them, a chunk of the oldest prompt that is not
evaluated yet; small chunks while others generate, so that a long prompt never stops their streams. When the KV pool
is full idle conversations make room, then the youngest turn steps back and is evaluated again later. A cancelled turn
costs nothing from the next step on, and the running step is aborted if it takes part in it.

Knows turns and sequences; nothing of prompts, text or asyncio.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ...engine.errors import AssistantsError, BackendFault, ContextOverflow
from .answers import AnswerMemory
from .batch import Span
from .context import NativeContext, Outcome
from .sequences import Resident, Residents
from .settings import LlamaSettings
from .turn import Fragment, Turn

Emit = Callable[[Fragment | AssistantsError], None]
_RATE_WEIGHT = 0.3  # of the newest measurement
_SMALLEST_MEASURED = 16  # prompt tokens in a step; fewer say little about the rate


@dataclass(slots=True, eq=False)
class Job:
    """A turn on its way. `tokens` are all it consists of so far; those in `resident` are evaluated."""

    turn: Turn
    tokens: list[int]
    session: str | None
    emit: Emit  # called for every token, from the scheduler's thread
    resident: Resident | None = None
    started: bool = False
    cancelled: bool = False

    def pending(self) -> int:
        """Tokens that are not evaluated."""
        return len(self.tokens) - (len(self.resident.tokens) if self.resident else 0)


@dataclass(frozen=True, slots=True)
class _Share:
    """What a job has in a step: `count` tokens, the last of them in row `last_row`."""

    job: Job
    resident: Resident
    count: int
    last_row: int


class Scheduler:
    """Runs turns on a thread of its own until it is closed."""

    def __init__(
        self,
        context: NativeContext,
        memory: AnswerMemory,
        settings: LlamaSettings,
        *,
        can_rewind: bool,
    ) -> None:
        self._context = context
        self._memory = memory
        self._settings = settings
        self._residents = Residents(context, settings.sequences, can_rewind=can_rewind)
        self._wake = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._active: list[Job] = []
        self._running: frozenset[Job] = frozenset()
        self._crowded = False  # a turn had to step back: nobody is let in before one ends
        self._closing = False
        self._forgotten: set[str] = set()
        self.prefill_rate: float | None = None
        self.evaluated_tokens = 0
        self._thread = threading.Thread(target=self._run, name="llama.cpp", daemon=True)
        self._thread.start()

    # --- from any thread -----------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Put a turn in line.

        Raises:
            BackendFault: the model is being unloaded.
        """
        with self._wake:
            if self._closing:
                raise BackendFault("The model is being unloaded.")
            self._waiting.append(job)
            self._wake.notify()

    def cancel(self, job: Job) -> None:
        """Stop a turn; nothing more is emitted for it. Harmless when it is over."""
        with self._wake:
            job.cancelled = True
            if job in self._running:
                self._context.abort()
            self._wake.notify()

    def forget(self, session: str) -> None:
        """Empty the sequences of a session before the next step; those of turns at work when they end."""
        with self._wake:
            self._forgotten.add(session)
            self._wake.notify()

    def close(self) -> None:
        """Stop everything and wait for the thread to end."""
        with self._wake:
            self._closing = True
            self._context.abort()
            self._wake.notify()
        self._thread.join()

    # --- the owner's thread --------------------------------------------------------------------

    def _run(self) -> None:
        while self._ready():
            try:
                self._step()
            except Exception as error:  # a fault of ours or of the library must not end the thread
                self._fail_all(error)
        for job in (*self._active, *self._waiting):
            job.emit(BackendFault("The model was unloaded before it had answered."))

    def _ready(self) -> bool:
        """Wait for work; False when it is time to go."""
        with self._wake:
            self._running = frozenset()
            while not (self._closing or self._waiting or self._active or self._forgotten):
                self._wake.wait()
            if self._closing:
                return False
            self._drop_cancelled()
            self._forgotten -= self._residents.forget(self._forgotten)
            self._admit()
            self._context.rearm()
            self._running = frozenset(self._active)
            return True

    def _drop_cancelled(self) -> None:
        for job in [each for each in self._active if each.cancelled]:
            self._leave(job)
        if any(job.cancelled for job in self._waiting):
            self._waiting = deque(job for job in self._waiting if not job.cancelled)

    def _admit(self) -> None:
        if self._crowded and self._active:
            return
        while (
            self._waiting
            and len(self._active) < self._settings.parallel
            and self._residents.has_idle()
        ):
            job = self._waiting.popleft()
            job.resident = self._residents.take(job.tokens, job.session)
            if not job.started:
                job.started, job.turn.cached = True, len(job.resident.tokens)
            self._active.append(job)

    def _leave(self, job: Job) -> None:
        self._active.remove(job)
        self._crowded = False
        if job.resident is not None:
            self._residents.release(job.resident)

    def _step(self) -> None:
        spans, shares = self._plan()
        if not spans:
            return
        began = time.perf_counter()
        outcome = self._context.decode(spans)
        if outcome is Outcome.DONE:
            rows = sum(share.count for share in shares)
            self._measure(rows, len(shares), time.perf_counter() - began)
            self.evaluated_tokens += rows
            for share in shares:
                share.resident.tokens += _next(share.job, share.count)
                if share.job.pending() == 0:
                    self._advance(share.job, share.last_row)
            return
        for share in shares:
            # What part of the step was done is unknown: go back to what is known.
            self._context.rewind(share.resident.number, len(share.resident.tokens))
        if outcome is Outcome.FULL:
            self._make_room()

    def _plan(self) -> tuple[list[Span], list[_Share]]:
        """The tokens of the next step: generating turns first, then prompts, oldest first."""
        generating = [job for job in self._active if job.pending() == 1]
        prompts = [job for job in self._active if job.pending() > 1]
        chunk = 32 if generating else self._settings.prefill_chunk
        chunk = min(chunk, self._context.batch_size - len(generating))
        spans: list[Span] = []
        rows = 0
        shares: list[_Share] = []
        for job in (*generating, *prompts):
            is_prompt = job.pending() > 1
            count = min(job.pending(), chunk) if is_prompt else 1
            chunk -= count if is_prompt else 0
            if count == 0 or job.resident is None:
                continue
            start = len(job.resident.tokens)
            last = start + count == len(job.tokens)
            spans.append(Span(_next(job, count), start, job.resident.number, last))
            rows += count
            shares.append(_Share(job, job.resident, count, rows - 1))
        return spans, shares

    def _advance(self, job: Job, row: int) -> None:
        """Choose a turn's next token and pass on what it says."""
        try:
            token = job.turn.choose(self._context, row)
            deltas = job.turn.take(token)
            job.tokens.append(token)
            if job.turn.finished is None and len(job.tokens) >= self._context.size:
                deltas += job.turn.cut()
        except AssistantsError as error:
            self._fail(job, error)
            return
        except Exception as error:
            self._fail(job, BackendFault(f"The turn failed: {error!r}"))
            return
        if job.turn.finished is not None:
            self._memory.remember(job.session, *job.turn.answer())
            self._leave(job)
        if not job.cancelled:
            job.emit(Fragment(tuple(deltas), (token,)))

    def _make_room(self) -> None:
        """The pool is full: idle conversations go first, then the youngest turn waits, else the only one ends."""
        if self._residents.evict():
            return
        job = self._active[-1]
        if len(self._active) > 1:
            self._leave(job)
            if job.resident is not None:
                self._residents.rewind(job.resident, 0)
            job.resident = None
            self._crowded = True
            self._waiting.appendleft(job)
        elif job.pending() > 1:
            self._fail(job, ContextOverflow("The prompt does not fit the model's KV pool."))
        else:
            self._leave(job)
            job.emit(Fragment(tuple(job.turn.cut()), ()))

    def _fail(self, job: Job, error: AssistantsError) -> None:
        self._leave(job)
        job.emit(error)

    def _fail_all(self, error: Exception) -> None:
        fault = (
            error if isinstance(error, AssistantsError) else BackendFault(f"llama.cpp: {error!r}")
        )
        for job in list(self._active):
            if job.resident is not None:
                self._residents.rewind(job.resident, 0)
            self._fail(job, fault)

    def _measure(self, tokens: int, turns: int, seconds: float) -> None:
        if turns == 1 and tokens >= _SMALLEST_MEASURED and seconds > 0:
            rate = tokens / seconds
            before = self.prefill_rate if self.prefill_rate is not None else rate
            self.prefill_rate = before + _RATE_WEIGHT * (rate - before)


def _next(job: Job, count: int) -> list[int]:
    """The first `count` tokens that are not evaluated."""
    start = len(job.tokens) - job.pending()
    return job.tokens[start : start + count]
