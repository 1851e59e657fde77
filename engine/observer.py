"""What the core tells whoever measures it; it knows no metric and no monitoring system.

Observers stand in `EventFeed.observers`. They are called on the event loop in the middle of the work: they must be
quick and must not raise. What another process on the same store does is not told.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .chat import ChatMessage, ChatRequest, ToolCall
from .events import Event
from .objects import Run, Usage
from .ports import ModelStatus, ToolResult
from .states import StoreFileStatus


@dataclass(slots=True)
class TurnSeen:
    """One turn of a model. What is known only at its end is filled in by then.

    Attributes:
        run: whose turn it is, as it was when the turn began.
        model: the configured model's name, not what the client called it.
        request: what the model is given.
        began: Unix seconds.
        first: seconds from there to the first fragment of text or of a call; None when none came.
        seconds: how long the turn took.
        usage: tokens, as far as the backend counted them.
        reason: why the model stopped; None when the turn was broken off.
        answer: what it said and called, as far as it got.
        error: what broke the turn off.
    """

    run: Run
    model: str
    request: ChatRequest
    began: float
    first: float | None = None
    seconds: float = 0.0
    usage: Usage | None = None
    reason: str | None = None
    answer: ChatMessage | None = None
    error: BaseException | None = None


@dataclass(slots=True)
class CallSeen:
    """One call of an engine-side tool: `began` in Unix seconds, how long it took, and what came of it."""

    run_id: str
    call: ToolCall
    began: float
    seconds: float = 0.0
    result: ToolResult | None = None
    error: BaseException | None = None


class Observer:
    """Every method does nothing; override what is wanted."""

    def published(self, events: Sequence[Event]) -> None:
        """These events were committed, in this order."""

    def committed(self, seconds: float) -> None:
        """A transaction of the journal is on disk, `seconds` after it was asked for."""

    def stored(self, kind: Literal["read", "write"], seconds: float) -> None:
        """The store answered, `seconds` after it was asked, waits for a thread or the disk included."""

    def indexed(self, status: StoreFileStatus, seconds: float) -> None:
        """A vector store's file was dealt with: it is completed or failed."""

    def model_changed(self, status: ModelStatus) -> None:
        """A model began to load, got on with it by a hundredth, is ready, could not be loaded, or was unloaded."""

    def execution_began(self, run: Run) -> None:
        """A worker of this process begins to execute the run, or goes on with it."""

    def execution_ended(self, run_id: str) -> None:
        """It is over with that: the run has ended, waits for its client, or was left; its events have told which."""

    def turn_began(self, turn: TurnSeen) -> None:
        """A model was given a prompt."""

    def turn_ended(self, turn: TurnSeen) -> None:
        """The same turn is over, one way or the other."""

    def call_began(self, call: CallSeen) -> None:
        """An engine-side tool was called."""

    def call_ended(self, call: CallSeen) -> None:
        """The same call is over, one way or the other."""
