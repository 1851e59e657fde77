"""What is remembered of a run while it is executed; everything else of it is in the store."""

from .chat import Capabilities
from .choice import Called
from .nudges import GIVE_UP, NOT_RUN, Circles
from .objects import CodeInterpreterTool, Run, Usage
from .observer import TurnSeen
from .ports import Citation, MadeFile
from .prompt import Budget
from .recording import record_of
from .records import TurnRecord
from .settings import CoreSettings
from .states import On
from .tool_runner import ToolOutcome
from .turn import Turn


class Execution:
    """What one execution of a run keeps in memory.

    `stop` is set by the worker before it cancels the task; a task that has not `begun` finds it by itself.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.stop: On | None = None
        self.begun = False
        self.budget = Budget.of(run)
        self.turn: Turn | None = None
        self.turn_number = 0
        self.seen: TurnSeen | None = None  # what observers were told of the turn
        self.called = Called()
        self.capabilities = Capabilities(context_window=0)  # of the model, before each turn
        self.reminders = 0
        self.circles = Circles()
        self.carried = Usage.of(0, 0)
        self.citations: list[Citation] = []
        self.files: dict[str, MadeFile] = {}
        self.images: list[str] = []

    @property
    def next_number(self) -> int:
        """The first number no passage of this run has had yet; calls leave gaps between theirs."""
        return max((citation.number for citation in self.citations), default=0) + 1

    def record(self) -> TurnRecord | None:
        """What is to be kept of the turn; None between turns."""
        if self.turn is None or self.seen is None:
            return None
        return record_of(self.turn_number, self.seen, self.turn)

    def is_open(self, outcome: ToolOutcome) -> bool:
        """Whether code is to be written again: a small model quotes its own instead, which would pass for an answer."""
        return outcome.code_open and self.capabilities.forced_calls

    def refusals(self, settings: CoreSettings) -> dict[str, str]:
        """Tools that the run may not use any more, each with what a call of it is answered with."""
        if self.called.may_run_code(settings):
            return {}
        return {CodeInterpreterTool().type: NOT_RUN}

    def advice(self, settings: CoreSettings, *, failed: bool) -> str:
        """What to tell the model under the outputs of the latest turn, whose last call `failed` or not."""
        if not self.called.may_run_code(settings):
            return GIVE_UP
        if not settings.nudges or (failed and not self.circles.found):
            return ""  # what failed has its own advice
        return self.circles.note
