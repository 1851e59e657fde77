"""What every chapter is given: where the server is, which model answers, where files lie and go, who is told.

Also the event handler that shows a run as it comes. It is the SDK's own, subclassed as its documentation shows.
"""

from dataclasses import dataclass
from pathlib import Path

from openai import AssistantEventHandler
from openai.types.beta.threads import Message, Run, Text, TextDelta
from openai.types.beta.threads.runs import RunStep, ToolCall, ToolCallDelta
from typing_extensions import override

from local_assistants.cli.demo.ledger import Ledger
from local_assistants.cli.demo.narrator import Narrator


@dataclass(frozen=True, slots=True)
class Stage:
    """One chapter's surroundings.

    Attributes:
        address: of the server, without a path.
        model: the name under which the server knows its model.
        data: folder of the files that are uploaded.
        output: folder for the files that are saved.
    """

    narrator: Narrator
    ledger: Ledger
    address: str
    model: str
    data: Path
    output: Path


class Live(AssistantEventHandler):
    """Shows text, code and logs as they come, and what a search found."""

    def __init__(self, narrator: Narrator) -> None:
        super().__init__()
        self._narrator = narrator

    @override
    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self._narrator.stream("assistant", delta.value or "")

    @override
    def on_run_step_created(self, run_step: RunStep) -> None:
        self._narrator.end_block()

    @override
    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        if tool_call.type == "code_interpreter":
            self._narrator.stream("code", tool_call.code_interpreter.input or "")

    @override
    def on_tool_call_delta(self, delta: ToolCallDelta, snapshot: ToolCall) -> None:
        if delta.type != "code_interpreter" or delta.code_interpreter is None:
            return
        if delta.code_interpreter.input:
            self._narrator.stream("code", delta.code_interpreter.input)
        for output in delta.code_interpreter.outputs or []:
            if output.type == "logs":
                self._narrator.stream("output", output.logs or "")
            else:
                self._narrator.say("output", "(a picture)")

    @override
    def on_run_step_done(self, run_step: RunStep) -> None:
        if run_step.step_details.type != "tool_calls":
            return
        for call in run_step.step_details.tool_calls:
            if call.type == "file_search":
                found = len(call.file_search.results or [])
                self._narrator.say("call", f"file_search: {found} passages found")


def text_of(message: Message) -> str:
    """The words of a message, its parts joined."""
    return "\n".join(part.text.value for part in message.content if part.type == "text")


def how_it_ended(run: Run | None) -> str:
    """A run's end for people."""
    if run is None:
        return "no run"
    reason = f" ({run.last_error.message})" if run.last_error is not None else ""
    return f"{run.status}{reason}"
