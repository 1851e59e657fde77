"""Makes the record of a turn that is over, from what observers were told of it and what came of it.

The loop writes it in the transaction that ends the turn, so a turn has its record or, when the process died in the
middle of it, none.
"""

from .observer import TurnSeen
from .records import CallRecord, TurnRecord, digest
from .tool_step import CallDraft
from .turn import Turn


def record_of(number: int, seen: TurnSeen, turn: Turn) -> TurnRecord:
    """What is kept of a turn that is over."""
    steps = [step for step in (turn.tool_step, turn.function_step) if step is not None]
    calls = [call for step in steps for call in step.calls] + turn.unknown
    return TurnRecord(
        number=number,
        model=seen.model,
        began=seen.began,
        first=seen.first,
        seconds=seen.seconds,
        reason=seen.reason,
        error=None if seen.error is None else _told(seen.error),
        prompt_messages=len(seen.request.messages),
        prompt_digest=digest(seen.request),
        prompt_tokens=turn.spent.prompt_tokens,
        cached_tokens=turn.spent.cached_tokens,
        completion_tokens=turn.spent.completion_tokens,
        message_id=turn.message_id,
        step_ids=tuple(step.step_id for step in steps),
        calls=tuple(_call(call) for call in calls),
    )


def _call(call: CallDraft) -> CallRecord:
    seen = call.seen
    if seen is None:
        return CallRecord(id=call.id, name=call.name)
    failed = seen.error is not None or (seen.result is not None and seen.result.failed)
    return CallRecord(
        id=call.id, name=call.name, began=seen.began, seconds=seen.seconds, failed=failed
    )


def _told(error: BaseException) -> str:
    """One line; of what was merely stopped, that it was."""
    return f"{type(error).__name__}: {error}".rstrip(": ").splitlines()[0]
