"""One model turn: deltas in, steps and messages out.

Text becomes a message_creation step, calls of engine-side tools one tool_calls step, calls of client functions
another. A message is created only with its first visible fragment, and is completed when the model goes on to call
tools or ends its turn. Nothing is executed here.

A stream has one open step at a time. A function step stays open until the client has answered, so where a call of an
engine-side tool may still follow, function calls are held back: the loop shows them when those tools are done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from .annotations import Annotator
from .chat import ChatMessage, Delta, Finish, TextDelta, ToolCallDelta, UsageDelta
from .choice import Choice
from .core import Core
from .endings import Unfinished
from .journal import Unit
from .objects import Run, RunStep, StepDetails, Usage
from .ports import TranscriptEntry
from .speech import Operation, Speech, apply
from .tool_step import CallDraft, ToolStep, chat_calls


@dataclass(frozen=True, slots=True)
class TurnPlan:
    """What a turn needs to know before its first delta."""

    functions: frozenset[str]  # names of client-side functions
    tools: frozenset[str]  # names of engine-side tools on offer
    images: tuple[str, ...]  # made by the run's code and not shown in a message yet
    annotator: Callable[[], Annotator]
    choice: Choice = field(default_factory=Choice)
    carried: Usage = field(default_factory=Usage)  # of turns before that left no step


class Turn:
    """The turn in the making. Feed it batches, then `finish` it."""

    def __init__(self, core: Core, run: Run, plan: TurnPlan) -> None:
        self.tool_step: ToolStep | None = None
        self.function_step: ToolStep | None = None
        self.message_id: str | None = None
        self.unknown: list[CallDraft] = []
        self.dropped = False  # it made calls that tool_choice or parallel_tool_calls forbid
        self.spent = Usage.of(0, 0)  # by this turn
        self.reason = "stop"
        self.images_shown = False
        self._core = core
        self._run = run
        self._plan = plan
        self._text = ""  # as the model wrote it
        self._blank = ""  # white space before the first visible character
        self._speech: Speech | None = None
        self._shown: dict[str, Speech] = {}
        self._refused: set[int] = set()
        self._calls: dict[int, tuple[ToolStep | None, CallDraft]] = {}
        self._held: list[CallDraft] = []  # function calls not shown yet
        self._operations: list[Operation] = []
        self._over = False  # the model has said its last word

    @property
    def calls_functions(self) -> bool:
        """Whether the client has something to do."""
        return self.function_step is not None or bool(self._held)

    @property
    def called(self) -> frozenset[str]:
        """Names of the tools and functions called; of those that exist."""
        shown = [step.calls for step in (self.tool_step, self.function_step) if step]
        return frozenset(call.name for calls in (*shown, self._held) for call in calls)

    @property
    def usage(self) -> Usage:
        """What the turn's step is charged with."""
        return self._plan.carried + self.spent

    async def write(self, deltas: Sequence[Delta]) -> None:
        """Take a batch and commit what it shows, in one transaction.

        What comes with the model's last word is left to be committed with what follows from it (`finish`).
        """
        for delta in _joined(deltas):
            if isinstance(delta, TextDelta):
                self._say(delta.text)
            elif isinstance(delta, ToolCallDelta):
                self._call(delta)
            elif isinstance(delta, UsageDelta):
                self.spent = Usage.of(
                    delta.prompt_tokens, delta.completion_tokens, delta.cached_tokens
                )
            else:
                self._finish(delta)
        if not self._over:
            await self._flush()

    async def finish(self, *extra: Operation) -> None:
        """The model's turn is over: complete an open message, together with `extra` in one transaction."""
        calls = bool(self._calls)
        if self._speech is None and not calls and self._plan.images:
            self._open_speech()  # code that only drew still gets a message with its pictures
        if self._speech is not None:
            marks = self._core.settings.closing_marks and not calls
            self._close_speech(Usage.of(0, 0) if calls else self.usage, marks)
        if self.tool_step is not None:
            self._operations += self.tool_step.settle()
        self._operations += extra
        await self._flush()

    async def cut_short(self) -> None:
        """The model was stopped by a token limit: show what was held back, complete nothing."""
        if self._speech is not None:
            self._operations += self._speech.release()
        if self.tool_step is None:
            self._operations += self.release_functions()
        await self._flush()

    def release_functions(self) -> list[Operation]:
        """Show the function calls held back, in a step of their own."""
        if not self._held:
            return []
        self.function_step = step = ToolStep(self._run, self._core.ids.new("step"))
        operations = step.open()
        for held in self._held:
            call, header = step.begin(held.id, held.name)
            operations += header + step.write(call, held.arguments)
        self._held = []
        return operations

    def park_functions(self, unit: Unit) -> None:
        """Leave the function step open with its calls in it, to be completed when the outputs come."""
        if self.function_step is None:
            return
        step = unit.must_get(RunStep, self.function_step.step_id)
        usage = self.usage if self.tool_step is None else Usage.of(0, 0)
        details = self.function_step.details()
        unit.tx.put(step.model_copy(update={"step_details": details, "usage": usage}))

    def spoken(self) -> TranscriptEntry | None:
        """What an interrupted turn had said, without its calls; None if nothing was shown."""
        if self.message_id is None:
            return None
        entry = self.entry()
        return replace(entry, body=ChatMessage(role="assistant", content=self._text.strip()))

    def entry(self) -> TranscriptEntry:
        """What the model said, as the transcript keeps it."""
        steps = [self.tool_step, self.function_step]
        unknown = tuple(call.as_call() for call in self.unknown)
        step = self.tool_step or self.function_step
        return TranscriptEntry(
            thread_id=self._run.thread_id,
            run_id=self._run.id,
            step_id=step.step_id if step else None,
            message_id=self.message_id,
            body=ChatMessage(
                role="assistant", content=self._text.strip(), tool_calls=chat_calls(steps) + unknown
            ),
        )

    def last_words(self) -> list[Operation]:
        """What is not committed yet, and what a message holds back that has shown nothing: an empty one has no end."""
        operations, self._operations = self._operations, []
        if self._speech is not None and not self._speech.content():
            operations += self._speech.release()
        return operations

    def unfinished(self) -> Unfinished:
        """What has been shown so far, for a run that is cut short."""
        details: dict[str, StepDetails] = {
            step.step_id: step.details() for step in (self.tool_step, self.function_step) if step
        }
        contents = {message_id: speech.content() for message_id, speech in self._shown.items()}
        return Unfinished(contents, details, self.usage)

    def _say(self, text: str) -> None:
        self._text += text
        if self._speech is None:
            self._blank += text
            text = self._blank.lstrip()
            if not text:
                return
            self._open_speech()
        if self._speech is not None:
            self._operations += self._speech.write(text)

    def _open_speech(self) -> None:
        self._blank = ""
        ids = (self._core.ids.new("step"), self._core.ids.new("message"))
        images = () if self.images_shown else self._plan.images
        self.images_shown = True
        self._speech = Speech(self._run, ids, self._plan.annotator(), images)
        self.message_id = self._speech.message_id
        self._shown[self.message_id] = self._speech
        self._operations += self._speech.open()

    def _close_speech(self, usage: Usage, closing_marks: bool) -> None:
        if self._speech is not None:
            self._operations += self._speech.close(usage, closing_marks=closing_marks)
        self._speech = None

    def _call(self, delta: ToolCallDelta) -> None:
        if delta.index in self._refused:
            return
        if delta.index not in self._calls:
            if not self._plan.choice.allows(delta.name or "", len(self._calls)):
                self._refused.add(delta.index)
                self.dropped = True
                return
            self._close_speech(Usage.of(0, 0), closing_marks=False)
            self._calls[delta.index] = self._begin(delta.name or "")
        step, call = self._calls[delta.index]
        if step is None:
            call.arguments += delta.arguments
        else:
            self._operations += step.write(call, delta.arguments)

    def _begin(self, name: str) -> tuple[ToolStep | None, CallDraft]:
        """Start a call in the step it belongs to; one held back and one of a tool that does not exist have none."""
        call_id = self._core.ids.new("call")
        if name in self._plan.functions and self._tools_may_follow():
            self._held.append(CallDraft(call_id, name, len(self._held)))
            return None, self._held[-1]
        if name in self._plan.functions:
            self.function_step = step = self.function_step or self._open_step()
        elif name in self._plan.tools:
            self.tool_step = step = self.tool_step or self._open_step()
        else:
            call = CallDraft(call_id, name, len(self.unknown))
            self.unknown.append(call)
            return None, call
        call, operations = step.begin(call_id, name)
        self._operations += operations
        return step, call

    def _tools_may_follow(self) -> bool:
        choice = self._plan.choice
        return bool(self._plan.tools) and choice.parallel and choice.forced is None

    def _open_step(self) -> ToolStep:
        step = ToolStep(self._run, self._core.ids.new("step"))
        self._operations += step.open()
        return step

    def _finish(self, delta: Finish) -> None:
        self.reason = delta.reason
        self._over = True

    async def _flush(self) -> None:
        operations, self._operations = self._operations, []
        if operations:
            await self._core.journal.commit(partial(apply, self._run.id, operations))


def _joined(deltas: Sequence[Delta]) -> list[Delta]:
    """Neighbouring fragments of one text or one call as one: a batch shows each part at most once."""
    joined: list[Delta] = []
    for delta in deltas:
        last = joined[-1] if joined else None
        if isinstance(delta, TextDelta) and isinstance(last, TextDelta):
            joined[-1] = TextDelta(last.text + delta.text)
        elif (
            isinstance(delta, ToolCallDelta)
            and isinstance(last, ToolCallDelta)
            and last.index == delta.index
        ):
            joined[-1] = replace(last, arguments=last.arguments + delta.arguments)
        else:
            joined.append(delta)
    return joined
