"""One tool_calls step while it grows: opens with the first call, shows headers, arguments and outputs.

Produces operations on a journal unit; the turn and the loop commit them. Engine-side calls and client-side functions
of one turn live in two steps, because the first complete at once and the second wait for the client.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from .chat import ToolCall
from .events import (
    EventName,
    code_header,
    code_input,
    code_output,
    function_arguments,
    function_header,
    search_header,
    step_delta,
)
from .journal import Unit
from .objects import (
    CodeInterpreterCall,
    CodeInterpreterDetails,
    CodeOutput,
    FileSearchCall,
    FileSearchDetails,
    FunctionCall,
    FunctionCallDetails,
    LogsOutput,
    Run,
    RunStep,
    StepCall,
    ToolCallsDetails,
    Usage,
)
from .observer import CallSeen
from .partial_json import StringField
from .speech import Operation
from .states import STEP, On, StepStatus


@dataclass(slots=True)
class CallDraft:
    """A call as far as the model has written it and the tool has answered it."""

    id: str
    name: str
    position: int  # index within its step
    arguments: str = ""
    shown: str = ""  # code as previewed
    outputs: list[CodeOutput] = field(default_factory=list[CodeOutput])
    search: FileSearchDetails | None = None
    seen: CallSeen | None = None  # how it went, once it was made
    preview: StringField = field(default_factory=lambda: StringField("code"))

    def as_call(self) -> ToolCall:
        return ToolCall(id=self.id, name=self.name, arguments=self.arguments)


class ToolStep:
    """A tool_calls step in the making."""

    def __init__(self, run: Run, step_id: str) -> None:
        self.step_id = step_id
        self.calls: list[CallDraft] = []
        self._run = run

    def open(self) -> list[Operation]:
        """Create the step, empty."""
        return [self._create]

    def begin(self, call_id: str, name: str) -> tuple[CallDraft, list[Operation]]:
        """A new call by its name."""
        call = CallDraft(call_id, name, len(self.calls))
        self.calls.append(call)
        if name == "code_interpreter":
            header = code_header(call.position, call_id)
        elif name == "file_search":
            header = search_header(call.position, call_id, FileSearchDetails())
        else:
            header = function_header(call.position, call_id, name)
        return call, [self._delta(header)]

    def write(self, call: CallDraft, fragment: str) -> list[Operation]:
        """More of a call's arguments."""
        call.arguments += fragment
        if call.name == "file_search" or not fragment:
            return []
        if call.name != "code_interpreter":
            return [self._delta(function_arguments(call.position, fragment))]
        shown = call.preview.feed(fragment)
        call.shown += shown
        return [self._delta(code_input(call.position, shown))] if shown else []

    def settle(self) -> list[Operation]:
        """The arguments are complete: show code that was not previewed, as it came in another form than asked for."""
        operations: list[Operation] = []
        for call in self.calls:
            if call.name != "code_interpreter" or call.shown:
                continue
            call.shown = _first_text(call.arguments)
            if call.shown:
                operations.append(self._delta(code_input(call.position, call.shown)))
        return operations

    def output(self, call: CallDraft, output: CodeOutput) -> list[Operation]:
        """A fragment of logs or an image: logs in a row add up to one output, as a client adds them."""
        last = call.outputs[-1] if call.outputs else None
        if isinstance(output, LogsOutput) and isinstance(last, LogsOutput):
            call.outputs[-1] = LogsOutput(logs=last.logs + output.logs)
        else:
            call.outputs.append(output)
        indexed = output.model_copy(update={"index": len(call.outputs) - 1})
        return [self._delta(code_output(call.position, indexed))]

    def complete(self, usage: Usage) -> Operation:
        """All calls are answered."""
        details = self.details()
        return lambda unit: unit.fire(
            RunStep, self.step_id, On.COMPLETE, step_details=details, usage=usage
        )

    def details(self) -> ToolCallsDetails:
        """The calls as the step stores them."""
        return ToolCallsDetails(tool_calls=tuple(_stored(call) for call in self.calls))

    def _create(self, unit: Unit) -> None:
        run = self._run
        step = RunStep(
            id=self.step_id,
            created_at=unit.now,
            run_id=run.id,
            assistant_id=run.assistant_id,
            thread_id=run.thread_id,
            type="tool_calls",
            status=StepStatus(STEP.initial),
            expires_at=run.expires_at,
            step_details=ToolCallsDetails(),
        )
        unit.save(step, EventName.STEP_CREATED, EventName.STEP_IN_PROGRESS)

    def _delta(self, call: dict[str, object]) -> Operation:
        data = step_delta(self.step_id, call)
        return lambda unit: unit.emit(self._run.id, EventName.STEP_DELTA, data)


def _first_text(arguments: str) -> str:
    """The first string in the arguments of a call; what is not JSON is code as it stands."""
    try:
        value: object = json.loads(arguments, strict=False)
    except ValueError:
        return arguments
    fields = cast("dict[str, object]", value).values() if isinstance(value, dict) else (value,)
    return next((text for text in fields if isinstance(text, str)), "")


def _stored(call: CallDraft) -> StepCall:
    if call.name == "code_interpreter":
        details = CodeInterpreterDetails(input=call.shown, outputs=tuple(call.outputs))
        return CodeInterpreterCall(id=call.id, code_interpreter=details)
    if call.name == "file_search":
        return FileSearchCall(id=call.id, file_search=call.search or FileSearchDetails())
    return FunctionCall(
        id=call.id, function=FunctionCallDetails(name=call.name, arguments=call.arguments)
    )


def chat_calls(steps: Sequence[ToolStep | None]) -> tuple[ToolCall, ...]:
    """All calls of a turn as the transcript stores them."""
    return tuple(call.as_call() for step in steps if step is not None for call in step.calls)
