"""Ends runs: closes what is open and says so, in the order a stream expects, in one transaction.

message.incomplete, then step.<end>, then run.<end> (contract, 3.4 f). Used by the loop, by the worker for runs that
nobody executes, and by recovery.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import AssistantsError, ContextOverflow, RateLimited
from .journal import OwnedT, Unit
from .objects import Content, LastError, Message, Reason, Run, RunStep, StepDetails, Usage
from .ports import PageQuery, Transaction
from .replay import shown_content
from .states import MESSAGE, RUN, STEP, On

_MESSAGE_REASON = {
    On.STOPPED: "run_cancelled",
    On.FAIL: "run_failed",
    On.EXPIRE: "run_expired",
    On.EXHAUST: "max_tokens",
}
_STEP_EVENT = {On.EXHAUST: On.COMPLETE}  # a step stopped by a budget did its work
_ALL = 100


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What a turn had shown when it was cut short, so that it is kept."""

    contents: Mapping[str, tuple[Content, ...]] = field(
        default_factory=dict[str, tuple[Content, ...]]
    )
    details: Mapping[str, StepDetails] = field(default_factory=dict[str, StepDetails])
    usage: Usage | None = (
        None  # of the turn, as far as it is known; counted with the last open step, else with the run alone
    )


def end_run(
    unit: Unit,
    run_id: str,
    event: On,
    *,
    unfinished: Unfinished | None = None,
    error: LastError | None = None,
    reason: str | None = None,
) -> Run:
    """Close open messages and steps and move the run by `event`; does nothing to a run that is over."""
    run = unit.must_get(Run, run_id)
    if RUN.is_final(run.status):
        return run
    charged = close_open(unit, run_id, event, unfinished=unfinished, error=error)
    usage = sum_usage(run_steps(unit.tx, run_id))
    if unfinished is not None and unfinished.usage is not None and not charged:
        usage += (
            unfinished.usage
        )  # of turns that left no step, such as calls of tools that do not exist
    fields: dict[str, object] = {"usage": usage}
    if error is not None:
        fields["last_error"] = error
    if reason is not None:
        fields["incomplete_details"] = Reason(reason=reason)
    return unit.fire(Run, run_id, event, **fields)


def close_open(
    unit: Unit,
    run_id: str,
    event: On,
    *,
    unfinished: Unfinished | None = None,
    error: LastError | None = None,
) -> bool:
    """Close the run's open messages and steps as `event` asks, keeping what they had shown.

    Returns whether a step was there to be charged with the unfinished turn's tokens.
    """
    kept = unfinished or Unfinished()
    for message in _open(unit, Message, run_id, MESSAGE.initial):
        content = kept.contents.get(message.id) or shown_content(unit.tx, run_id, message.id)
        details = Reason(reason=_MESSAGE_REASON.get(event, "run_failed"))
        unit.fire(Message, message.id, On.INTERRUPT, content=content, incomplete_details=details)
    steps = _open(unit, RunStep, run_id, STEP.initial)
    for step in steps:
        fields: dict[str, object] = {"step_details": kept.details.get(step.id, step.step_details)}
        if step is steps[-1] and kept.usage is not None:
            fields["usage"] = kept.usage
        if error is not None and event is On.FAIL:
            fields["last_error"] = error
        unit.fire(RunStep, step.id, _STEP_EVENT.get(event, event), **fields)
    return bool(steps)


def sum_usage(steps: Iterable[RunStep]) -> Usage:
    """Tokens of all these steps together."""
    return sum((step.usage for step in steps if step.usage), start=Usage.of(0, 0))


def run_steps(tx: Transaction, run_id: str) -> list[RunStep]:
    """All steps of a run, oldest first."""
    steps: list[RunStep] = []
    while True:
        after = steps[-1].id if steps else None
        page, more = tx.page(RunStep, PageQuery({"run_id": run_id}, _ALL, "asc", after))
        steps += page
        if not more:
            return steps


def _open(unit: Unit, kind: type[OwnedT], run_id: str, status: StrEnum) -> list[OwnedT]:
    found, _ = unit.tx.page(kind, PageQuery({"run_id": run_id, "status": status}, _ALL, "asc"))
    return found


def last_error(error: AssistantsError) -> LastError:
    """How a run reports an error of ours; clients know three codes (contract, 2.1)."""
    if isinstance(error, RateLimited):
        return LastError(code="rate_limit_exceeded", message=error.message)
    if isinstance(error, ContextOverflow):
        return LastError(code="invalid_prompt", message=error.message)
    code = "invalid_prompt" if error.code == "invalid_prompt" else "server_error"
    return LastError(code=code, message=error.message)
