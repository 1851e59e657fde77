"""Spans of what runs do: the execution of a run, in it each turn of the model, in that the calls the model made.

All executions of one run are in one trace, whatever process they are in: its id is made from the run's. Spans end with
the work; a run that waits for its client has no open one. It knows the conventions' names from `attributes` and does
not know where spans go.
"""

import asyncio
import hashlib
from collections.abc import Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, StatusCode, set_span_in_context

from local_assistants.engine.events import RUN_END, Event, EventName
from local_assistants.engine.objects import Run
from local_assistants.engine.observer import CallSeen, Observer, TurnSeen
from local_assistants.telemetry import attributes

_TOLD = RUN_END | {EventName.RUN_REQUIRES_ACTION}
_STATUS = "local_assistants.run.status"
LEFT = "left"
"""The status of a run that goes on elsewhere: the server was stopped, or another one has taken the run over."""


def trace_id(run_id: str) -> int:
    """The trace of a run: the first 16 bytes of the SHA-256 of its id."""
    return int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:16], "big")


class TraceIds(RandomIdGenerator):
    """Names the next trace after the run that is set."""

    run_id = ""

    def generate_trace_id(self) -> int:
        """Of a span without a parent."""
        return trace_id(self.run_id)


class _Execution:
    """The open span of one execution, and that of its latest turn: calls of tools come after a turn's last word."""

    def __init__(self, span: Span) -> None:
        self.span = span
        self.turn = span
        self.told = False


class RunSpans(Observer):
    """Makes them with `provider`, whose ids are `ids`.

    Args:
        provider: where spans go.
        ids: the provider's generator of ids.
        content: what users, models and tools wrote goes along.
    """

    def __init__(self, provider: TracerProvider, ids: TraceIds, *, content: bool = False) -> None:
        self._tracer = provider.get_tracer("local_assistants")
        self._ids = ids
        self._content = content
        self._executions: dict[str, _Execution] = {}
        self._calls: dict[int, Span] = {}

    def execution_began(self, run: Run) -> None:
        """Open its span, the first of a trace."""
        self._ids.run_id = run.id
        span = self._tracer.start_span(
            "invoke_agent", Context(), SpanKind.INTERNAL, attributes.of_run(run)
        )
        self._executions[run.id] = _Execution(span)

    def published(self, events: Sequence[Event]) -> None:
        """Note what a run that is executed here came to."""
        for event in events:
            if event.name in _TOLD and (execution := self._executions.get(event.run_id)):
                execution.told = True
                execution.span.set_attributes(attributes.of_status(event.data))
                if error := event.data.get("last_error"):
                    _failed(execution.span, error["code"])

    def execution_ended(self, run_id: str) -> None:
        """End its span."""
        execution = self._executions.pop(run_id, None)
        if execution is None:
            return
        if not execution.told:
            execution.span.set_attribute(_STATUS, LEFT)
        execution.span.end()

    def turn_began(self, turn: TurnSeen) -> None:
        """Open its span."""
        execution = self._executions.get(turn.run.id)
        if execution is None:
            return
        execution.turn = self._tracer.start_span(
            f"chat {turn.model}",
            set_span_in_context(execution.span, Context()),
            SpanKind.CLIENT,
            attributes.of_request(turn),
        )
        if self._content and execution.turn.is_recording():
            execution.turn.set_attributes(attributes.request_content(turn))

    def turn_ended(self, turn: TurnSeen) -> None:
        """End its span with what the turn came to."""
        execution = self._executions.get(turn.run.id)
        if execution is None:
            return
        span = execution.turn
        span.set_attributes(attributes.of_answer(turn))
        if self._content and span.is_recording():
            span.set_attributes(attributes.answer_content(turn))
        _end(span, turn.error)

    def call_began(self, call: CallSeen) -> None:
        """Open its span, below the turn in which the model made the call."""
        execution = self._executions.get(call.run_id)
        if execution is None:
            return
        self._calls[id(call)] = self._tracer.start_span(
            f"execute_tool {call.call.name}",
            set_span_in_context(execution.turn, Context()),
            SpanKind.INTERNAL,
            attributes.of_call(call),
        )

    def call_ended(self, call: CallSeen) -> None:
        """End its span with what came of it."""
        span = self._calls.pop(id(call), None)
        if span is None:
            return
        if self._content and span.is_recording():
            span.set_attributes(attributes.call_content(call))
        if call.result is not None and call.result.failed:
            _failed(span, "tool_failed")
        _end(span, call.error)


def _end(span: Span, error: BaseException | None) -> None:
    """An error is named by its class; its words may quote what users wrote."""
    if isinstance(error, asyncio.CancelledError):
        _failed(span, "cancelled")
    elif error is not None:
        _failed(span, type(error).__name__)
    span.end()


def _failed(span: Span, kind: str) -> None:
    span.set_attribute("error.type", kind)
    span.set_status(StatusCode.ERROR)
