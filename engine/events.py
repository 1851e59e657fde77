"""The stream events of a run: their names, their delta payloads, and where a stream ends.

An `Event` is what the journal stores and what every subscriber receives; its payload is already in wire form.
Rules for deltas (contract, 3.3): every list entry carries an integer `index`; id and name travel once, in the first
delta of their entry; strings are fragments, never the text so far; an annotation is sent whole and once.

This module knows no transport: `server.sse` turns an event into bytes.
"""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, cast

from .objects import Annotation, CodeOutput, FileSearchDetails
from .states import MessageStatus, RunStatus, StepStatus


class EventName(StrEnum):
    """All names on the wire (contract, 3.2)."""

    THREAD_CREATED = "thread.created"
    RUN_CREATED = "thread.run.created"
    RUN_QUEUED = "thread.run.queued"
    RUN_IN_PROGRESS = "thread.run.in_progress"
    RUN_REQUIRES_ACTION = "thread.run.requires_action"
    RUN_COMPLETED = "thread.run.completed"
    RUN_INCOMPLETE = "thread.run.incomplete"
    RUN_FAILED = "thread.run.failed"
    RUN_CANCELLING = "thread.run.cancelling"
    RUN_CANCELLED = "thread.run.cancelled"
    RUN_EXPIRED = "thread.run.expired"
    STEP_CREATED = "thread.run.step.created"
    STEP_IN_PROGRESS = "thread.run.step.in_progress"
    STEP_DELTA = "thread.run.step.delta"
    STEP_COMPLETED = "thread.run.step.completed"
    STEP_FAILED = "thread.run.step.failed"
    STEP_CANCELLED = "thread.run.step.cancelled"
    STEP_EXPIRED = "thread.run.step.expired"
    MESSAGE_CREATED = "thread.message.created"
    MESSAGE_IN_PROGRESS = "thread.message.in_progress"
    MESSAGE_DELTA = "thread.message.delta"
    MESSAGE_COMPLETED = "thread.message.completed"
    MESSAGE_INCOMPLETE = "thread.message.incomplete"
    ERROR = "error"
    DONE = "done"


def run_event(status: RunStatus) -> EventName:
    """The event that announces a run's new status."""
    return EventName(f"thread.run.{status}")


def step_event(status: StepStatus) -> EventName:
    """The event that announces a step's new status."""
    return EventName(f"thread.run.step.{status}")


def message_event(status: MessageStatus) -> EventName:
    """The event that announces a message's new status."""
    return EventName(f"thread.message.{status}")


RUN_END = frozenset(
    {
        EventName.RUN_COMPLETED,
        EventName.RUN_INCOMPLETE,
        EventName.RUN_FAILED,
        EventName.RUN_CANCELLED,
        EventName.RUN_EXPIRED,
    }
)
"""Events after which a run has nothing more to say."""

STREAM_END = RUN_END | {EventName.RUN_REQUIRES_ACTION}
"""Events after which a stream has nothing more to say (`done` follows)."""


class Event:
    """One journal entry, never changed. `seq` counts from 1 within the run, without gaps.

    An entry from the journal carries its payload as the JSON `text` that is stored, and is taken apart only for who
    looks at `data`: most go to a client as they are, and to many clients at once.
    """

    __slots__ = ("_data", "name", "run_id", "seq", "text")

    def __init__(
        self, run_id: str, seq: int, name: EventName, data: dict[str, Any] | None, text: str = ""
    ) -> None:
        self.run_id = run_id
        self.seq = seq
        self.name = name
        self.text = text
        self._data = data

    @property
    def data(self) -> dict[str, Any]:
        """The payload; it belongs to all who hold the event."""
        if self._data is None:
            self._data = json.loads(self.text)
        return cast(dict[str, Any], self._data)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        mine, its = (self.run_id, self.seq, self.name), (other.run_id, other.seq, other.name)
        return mine == its and self.data == other.data

    __hash__ = None  # type: ignore[assignment]  # as that of any object that holds a dict

    def __repr__(self) -> str:
        return f"Event({self.run_id!r}, {self.seq}, {self.name.value!r}, {self.data!r})"


# --- delta payloads --------------------------------------------------------------------------------


def message_delta(message_id: str, content: dict[str, Any]) -> dict[str, Any]:
    """A message delta around one content part."""
    return {"id": message_id, "object": "thread.message.delta", "delta": {"content": [content]}}


def text_part(
    index: int, value: str, annotations: Sequence[Annotation] | None = None
) -> dict[str, Any]:
    """A text fragment; `annotations` (possibly empty) only where the wire shows the key."""
    text: dict[str, Any] = {"value": value}
    if annotations is not None:
        text["annotations"] = [annotation.to_wire() for annotation in annotations]
    return {"index": index, "type": "text", "text": text}


def image_part(index: int, file_id: str) -> dict[str, Any]:
    """An image of the message, whole."""
    return {"index": index, "type": "image_file", "image_file": {"file_id": file_id}}


def step_delta(step_id: str, call: dict[str, Any]) -> dict[str, Any]:
    """A step delta around one tool call."""
    details = {"type": "tool_calls", "tool_calls": [call]}
    return {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}


def function_header(index: int, call_id: str, name: str) -> dict[str, Any]:
    """A function call by its name, nothing else yet."""
    function = {"name": name, "arguments": "", "output": None}
    return {"index": index, "id": call_id, "type": "function", "function": function}


def function_arguments(index: int, fragment: str) -> dict[str, Any]:
    """A fragment of a function call's arguments."""
    return {"index": index, "type": "function", "function": {"arguments": fragment}}


def code_header(index: int, call_id: str) -> dict[str, Any]:
    """A code interpreter call, nothing in it yet."""
    code: dict[str, Any] = {"input": "", "outputs": []}
    return {"index": index, "id": call_id, "type": "code_interpreter", "code_interpreter": code}


def code_input(index: int, fragment: str) -> dict[str, Any]:
    """A fragment of the code to run."""
    return {"index": index, "type": "code_interpreter", "code_interpreter": {"input": fragment}}


def code_output(index: int, output: CodeOutput) -> dict[str, Any]:
    """`output` carries its own index inside the call's outputs; log fragments of one index add up."""
    outputs = {"outputs": [output.to_wire()]}
    return {"index": index, "type": "code_interpreter", "code_interpreter": outputs}


def search_header(index: int, call_id: str, details: FileSearchDetails) -> dict[str, Any]:
    """A search call; its results come with the completed step."""
    file_search: dict[str, Any] = {
        "ranking_options": details.ranking_options.to_wire(),
        "results": [],
    }
    return {"index": index, "id": call_id, "type": "file_search", "file_search": file_search}
