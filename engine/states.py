"""The life cycles of all objects, as one table. Nothing else in the product moves a status.

Rules of this file: it is pure (no clock, no store, no I/O); a status changes only through `Machine.fire`; what is
not in the table is illegal, raises `IllegalTransition` and changes nothing. The diagrams in docs/run-states.md are
drawn from the tables below by scripts/draw-states.

The tables follow the contract's section 2. A transition names the fields it stamps with the current time and the
fields it clears; values that only the caller knows (last_error, required_action, ...) are passed to `fire`.

What it does not know: who may fire an event, when, and what else must change in the same transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self, TypeVar

from .errors import IllegalTransition


class RunStatus(StrEnum):
    """The nine statuses of a run (contract, 2.1)."""

    QUEUED = "queued"  # accepted; also briefly after tool outputs arrive
    IN_PROGRESS = "in_progress"  # a model or an engine-side tool is working
    REQUIRES_ACTION = "requires_action"  # waits for submit_tool_outputs
    CANCELLING = "cancelling"  # cancel asked for, work not yet stopped
    CANCELLED = "cancelled"
    FAILED = "failed"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"  # a token budget stopped it
    EXPIRED = "expired"


class StepStatus(StrEnum):
    """The five statuses of a run step."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class MessageStatus(StrEnum):
    """The three statuses of a message."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"


class StoreStatus(StrEnum):
    """The statuses of a vector store."""

    IN_PROGRESS = "in_progress"  # while any file is
    COMPLETED = "completed"
    EXPIRED = "expired"


class StoreFileStatus(StrEnum):
    """The statuses of a file in a vector store."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class BatchStatus(StrEnum):
    """The statuses of a file batch."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"  # no file is in progress any more, even if some failed
    CANCELLED = "cancelled"
    FAILED = "failed"


class UploadStatus(StrEnum):
    """The statuses of an upload."""

    PENDING = "pending"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class On(StrEnum):
    """Events that move a status."""

    START = "start"  # a worker takes the run up
    REQUIRE_ACTION = "require_action"  # the model called client-side functions
    SUBMIT = "submit"  # all tool outputs arrived
    CANCEL = "cancel"  # somebody asked to stop
    STOPPED = "stopped"  # the work has stopped after a cancel
    COMPLETE = "complete"
    FAIL = "fail"
    EXHAUST = "exhaust"  # a token budget is used up
    EXPIRE = "expire"
    INTERRUPT = "interrupt"  # a message is cut short by whatever ends its run
    REOPEN = "reopen"  # a vector store gets new files to index


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an event leads: the new status, the fields stamped with `now`, the fields set to null."""

    to: StrEnum
    stamps: tuple[str, ...] = ()
    clears: tuple[str, ...] = ()


class Stateful(Protocol):
    """An object a machine can move: frozen, with a status, copied with changed fields."""

    @property
    def status(self) -> StrEnum: ...

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self: ...


StatefulT = TypeVar("StatefulT", bound=Stateful)


@dataclass(frozen=True, slots=True)
class Machine:
    """One object kind's table: (status, event) -> Transition. `initial` is the status it is born with."""

    name: str
    initial: StrEnum
    table: Mapping[tuple[StrEnum, On], Transition]
    final: frozenset[StrEnum]

    def next(self, status: StrEnum, event: On) -> Transition:
        """The transition for `event` in `status`.

        Raises:
            IllegalTransition: the table has none.
        """
        try:
            return self.table[status, event]
        except KeyError:
            raise IllegalTransition(
                f"A {self.name} in status '{status}' does not take the event '{event}'."
            ) from None

    def allows(self, status: StrEnum, event: On) -> bool:
        return (status, event) in self.table

    def is_final(self, status: StrEnum) -> bool:
        return status in self.final

    def fire(self, obj: StatefulT, event: On, now: int, **fields: Any) -> StatefulT:
        """A copy of `obj` after `event`; `now` in Unix seconds, `fields` are what only the caller knows.

        Raises:
            IllegalTransition: the table has no such transition; `obj` is untouched in any case.
        """
        step = self.next(obj.status, event)
        update: dict[str, Any] = {"status": step.to}
        update |= dict.fromkeys(step.clears)
        update |= dict.fromkeys(step.stamps, now)
        return obj.model_copy(update=update | fields)


_R, _S, _M = RunStatus, StepStatus, MessageStatus
_OVER = ("expires_at", "required_action")  # what every ended run clears

RUN = Machine(
    name="run",
    initial=_R.QUEUED,
    table={
        (_R.QUEUED, On.START): Transition(_R.IN_PROGRESS, stamps=("started_at",)),
        (_R.QUEUED, On.FAIL): Transition(_R.FAILED, stamps=("failed_at",), clears=_OVER),
        (_R.QUEUED, On.CANCEL): Transition(_R.CANCELLING),
        # expires_at keeps its value in an expired run (contract, A22)
        (_R.QUEUED, On.EXPIRE): Transition(_R.EXPIRED, clears=("required_action",)),
        (_R.IN_PROGRESS, On.REQUIRE_ACTION): Transition(_R.REQUIRES_ACTION),
        (_R.IN_PROGRESS, On.COMPLETE): Transition(
            _R.COMPLETED, stamps=("completed_at",), clears=_OVER
        ),
        (_R.IN_PROGRESS, On.FAIL): Transition(_R.FAILED, stamps=("failed_at",), clears=_OVER),
        (_R.IN_PROGRESS, On.EXHAUST): Transition(_R.INCOMPLETE, clears=_OVER),
        (_R.IN_PROGRESS, On.CANCEL): Transition(_R.CANCELLING),
        (_R.IN_PROGRESS, On.EXPIRE): Transition(_R.EXPIRED, clears=("required_action",)),
        (_R.REQUIRES_ACTION, On.SUBMIT): Transition(_R.QUEUED, clears=("required_action",)),
        (_R.REQUIRES_ACTION, On.CANCEL): Transition(_R.CANCELLING),
        (_R.REQUIRES_ACTION, On.EXPIRE): Transition(_R.EXPIRED, clears=("required_action",)),
        (_R.CANCELLING, On.STOPPED): Transition(
            _R.CANCELLED, stamps=("cancelled_at",), clears=_OVER
        ),
        # cancel is a request: the work may end by itself first
        (_R.CANCELLING, On.COMPLETE): Transition(
            _R.COMPLETED, stamps=("completed_at",), clears=_OVER
        ),
        (_R.CANCELLING, On.FAIL): Transition(_R.FAILED, stamps=("failed_at",), clears=_OVER),
        (_R.CANCELLING, On.EXPIRE): Transition(_R.EXPIRED, clears=("required_action",)),
    },
    final=frozenset({_R.CANCELLED, _R.FAILED, _R.COMPLETED, _R.INCOMPLETE, _R.EXPIRED}),
)

STEP = Machine(
    name="run step",
    initial=_S.IN_PROGRESS,
    table={
        (_S.IN_PROGRESS, On.COMPLETE): Transition(
            _S.COMPLETED, stamps=("completed_at",), clears=("expires_at",)
        ),
        (_S.IN_PROGRESS, On.FAIL): Transition(
            _S.FAILED, stamps=("failed_at",), clears=("expires_at",)
        ),
        (_S.IN_PROGRESS, On.STOPPED): Transition(
            _S.CANCELLED, stamps=("cancelled_at",), clears=("expires_at",)
        ),
        (_S.IN_PROGRESS, On.EXPIRE): Transition(_S.EXPIRED, stamps=("expired_at",)),
    },
    final=frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.EXPIRED}),
)

MESSAGE = Machine(
    name="message",
    initial=_M.IN_PROGRESS,
    table={
        (_M.IN_PROGRESS, On.COMPLETE): Transition(_M.COMPLETED, stamps=("completed_at",)),
        (_M.IN_PROGRESS, On.INTERRUPT): Transition(_M.INCOMPLETE, stamps=("incomplete_at",)),
    },
    final=frozenset({_M.COMPLETED, _M.INCOMPLETE}),
)

VECTOR_STORE = Machine(
    name="vector store",
    initial=StoreStatus.COMPLETED,  # an empty store is born completed
    table={
        (StoreStatus.COMPLETED, On.REOPEN): Transition(StoreStatus.IN_PROGRESS),
        (StoreStatus.IN_PROGRESS, On.REOPEN): Transition(StoreStatus.IN_PROGRESS),
        (StoreStatus.IN_PROGRESS, On.COMPLETE): Transition(StoreStatus.COMPLETED),
        (StoreStatus.COMPLETED, On.EXPIRE): Transition(StoreStatus.EXPIRED),
        (StoreStatus.IN_PROGRESS, On.EXPIRE): Transition(StoreStatus.EXPIRED),
    },
    final=frozenset({StoreStatus.EXPIRED}),
)

STORE_FILE = Machine(
    name="vector store file",
    initial=StoreFileStatus.IN_PROGRESS,
    table={
        (StoreFileStatus.IN_PROGRESS, On.COMPLETE): Transition(StoreFileStatus.COMPLETED),
        (StoreFileStatus.IN_PROGRESS, On.FAIL): Transition(StoreFileStatus.FAILED),
        (StoreFileStatus.IN_PROGRESS, On.CANCEL): Transition(StoreFileStatus.CANCELLED),
    },
    final=frozenset({StoreFileStatus.COMPLETED, StoreFileStatus.FAILED, StoreFileStatus.CANCELLED}),
)

BATCH = Machine(
    name="file batch",
    initial=BatchStatus.IN_PROGRESS,
    table={
        (BatchStatus.IN_PROGRESS, On.COMPLETE): Transition(BatchStatus.COMPLETED),
        (BatchStatus.IN_PROGRESS, On.CANCEL): Transition(BatchStatus.CANCELLED),
        (BatchStatus.IN_PROGRESS, On.FAIL): Transition(BatchStatus.FAILED),
    },
    final=frozenset({BatchStatus.COMPLETED, BatchStatus.CANCELLED, BatchStatus.FAILED}),
)

UPLOAD = Machine(
    name="upload",
    initial=UploadStatus.PENDING,
    table={
        (UploadStatus.PENDING, On.COMPLETE): Transition(UploadStatus.COMPLETED),
        (UploadStatus.PENDING, On.CANCEL): Transition(UploadStatus.CANCELLED),
        (UploadStatus.PENDING, On.EXPIRE): Transition(UploadStatus.EXPIRED),
    },
    final=frozenset({UploadStatus.COMPLETED, UploadStatus.CANCELLED, UploadStatus.EXPIRED}),
)

MACHINES: tuple[Machine, ...] = (RUN, STEP, MESSAGE, VECTOR_STORE, STORE_FILE, BATCH, UPLOAD)
