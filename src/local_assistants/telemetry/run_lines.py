"""What runs do, a line each, at level "info": begun, a turn of the model, a call of a tool, over.

No line carries what users or models wrote; the ids of run and thread come with the line.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from local_assistants.engine.events import RUN_END, Event, EventName
from local_assistants.engine.log_context import working_on
from local_assistants.engine.objects import Run
from local_assistants.engine.observer import CallSeen, Observer, TurnSeen

_log = logging.getLogger("local_assistants.run")
_TOLD = RUN_END | {EventName.RUN_REQUIRES_ACTION}


class RunLines(Observer):
    """Writes them to the log `local_assistants.run`."""

    def execution_began(self, run: Run) -> None:
        """Say so."""
        again = run.started_at is not None
        _tell("run taken up again" if again else "run begun", {"model": run.model})

    def turn_ended(self, turn: TurnSeen) -> None:
        """Say what it took."""
        fields: dict[str, Any] = {
            "model": turn.model,
            "seconds": round(turn.seconds, 3),
            "first_token_seconds": None if turn.first is None else round(turn.first, 3),
            "finish_reason": turn.reason,
        }
        if turn.usage is not None:
            fields["prompt_tokens"] = turn.usage.prompt_tokens
            fields["completion_tokens"] = turn.usage.completion_tokens
        if turn.error is not None:
            fields["error_type"] = type(turn.error).__name__
        _tell("model turn ended", fields)

    def call_ended(self, call: CallSeen) -> None:
        """Say what it took."""
        failed = call.result is None or call.result.failed
        fields = {"tool": call.call.name, "seconds": round(call.seconds, 3), "failed": failed}
        _tell("tool call ended", fields)

    def published(self, events: Sequence[Event]) -> None:
        """Say how runs end; some are ended by nobody who executes them."""
        for event in events:
            if event.name in _TOLD:
                error: Mapping[str, Any] = event.data.get("last_error") or {}
                fields = {"status": event.data["status"]}
                fields |= {"code": error["code"]} if error else {}
                message = "run ended" if event.name in RUN_END else "run waits for its client"
                with working_on(run_id=event.run_id, thread_id=event.data["thread_id"]):
                    _tell(message, fields)


def _tell(message: str, fields: Mapping[str, Any]) -> None:
    """As fields of the line in JSON, and in text behind the message."""
    if not _log.isEnabledFor(logging.INFO):
        return
    said = ", ".join(f"{key} {value}" for key, value in fields.items() if value is not None)
    _log.info("%s: %s", message, said, extra={"fields": dict(fields)})
