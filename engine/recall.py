"""What a run has already done, read back from the store: for a run that goes on after a wait or a restart.

Moves no status and knows no model; `loop` decides what follows from it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .chat import ToolCall
from .endings import run_steps, sum_usage
from .objects import (
    CodeInterpreterCall,
    CodeInterpreterTool,
    ImageFileContent,
    ImageOutput,
    Message,
    Run,
    RunStep,
    ToolCallsDetails,
    Usage,
)
from .ports import Citation, MadeFile, PageQuery, Transaction, TranscriptEntry
from .states import MessageStatus, StepStatus


@dataclass(frozen=True, slots=True)
class Past:
    """What the finished turns of a run came to.

    Attributes:
        spent: tokens of all its steps.
        recorded: turns that there are records of.
        turns: finished turns that called something; an unfinished one is done again and does not count.
        obeyed: those of them that called a tool or function that exists.
        tool_turns: those of them that called engine-side tools, or tools that do not exist.
        failed_calls: calls whose code failed.
        calls: the engine-side calls, turn by turn.
        citations: passages given to the model.
        files: files its code made.
        images: ids of images its code showed that no finished message shows yet.
    """

    spent: Usage
    recorded: int
    turns: int
    obeyed: int
    tool_turns: int
    failed_calls: int
    calls: tuple[tuple[ToolCall, ...], ...]
    citations: tuple[Citation, ...]
    files: tuple[MadeFile, ...]
    images: tuple[str, ...]


def recall(tx: Transaction, run: Run, functions: frozenset[str]) -> Past:
    """The past of `run`, whose client-side functions have these names. Empty for a new run."""
    entries = [entry for entry in tx.transcript(run.thread_id) if entry.run_id == run.id]
    steps = run_steps(tx, run.id)
    messages, _ = tx.page(Message, PageQuery({"thread_id": run.thread_id, "run_id": run.id}, 100))
    turns = [entry.body.tool_calls for entry in entries if entry.body and entry.body.tool_calls]
    known = functions | {tool.type for tool in run.tools}
    return Past(
        spent=sum_usage(steps),
        recorded=tx.count_turns(run.id),
        turns=len(turns),
        obeyed=sum(any(call.name in known for call in calls) for calls in turns),
        tool_turns=sum(any(call.name not in functions for call in calls) for calls in turns),
        failed_calls=sum(is_failed_code(entry) for entry in entries),
        calls=tuple(tuple(c for c in calls if c.name not in functions) for calls in turns),
        citations=tuple(citation for entry in entries for citation in entry.citations),
        files=tuple(made for entry in entries for made in entry.files),
        images=tuple(_unshown(steps, messages)),
    )


def is_failed_code(entry: TranscriptEntry) -> bool:
    """Whether a line is the output of code that failed."""
    name = entry.body.name if entry.body is not None else None
    return entry.failed and name == CodeInterpreterTool().type


def _unshown(steps: Iterable[RunStep], messages: Sequence[Message]) -> list[str]:
    shown = {
        part.image_file.file_id
        for message in messages
        if message.status is MessageStatus.COMPLETED
        for part in message.content
        if isinstance(part, ImageFileContent)
    }
    made = [
        output.image.file_id
        for step in steps
        if step.status is StepStatus.COMPLETED and isinstance(step.step_details, ToolCallsDetails)
        for call in step.step_details.tool_calls
        if isinstance(call, CodeInterpreterCall)
        for output in call.code_interpreter.outputs
        if isinstance(output, ImageOutput)
    ]
    return [file_id for file_id in dict.fromkeys(made) if file_id not in shown]
