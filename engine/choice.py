"""What a run's tool_choice and parallel_tool_calls ask of a turn, and whether the model kept to it.

A backend is asked to obey; not every model or server behind one does. So the core looks again: calls that may not be
made are dropped as if the model had not made them, and a model that does not do what it must is reminded. Forcing
holds until the first turn that calls a tool, else a run would never end (contract, A25).
"""

from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Literal

from .objects import CodeInterpreterTool, Run
from .settings import CoreSettings

MOST_REMINDERS = 2
"""How often a model is reminded of its tool_choice before the run fails."""


@dataclass(slots=True)
class Called:
    """How many turns of a run have called something.

    Attributes:
        turns: turns with calls of any kind.
        obeyed: those that called a tool or function that exists: they satisfy a forced choice.
        tool_turns: those that called engine-side tools, or tools that do not exist.
        failed_calls: calls whose code failed.
        in_circles: the latest turn only repeated calls; the next one has to answer.
        code_open: the latest call of code failed or told nothing, and the model is to write the next one.
    """

    turns: int = 0
    obeyed: int = 0
    tool_turns: int = 0
    failed_calls: int = 0
    in_circles: bool = False
    code_open: bool = False

    def may_run_code(self, settings: CoreSettings) -> bool:
        """Whether code may fail once more."""
        return self.failed_calls < settings.max_failed_calls

    def must_answer(self, settings: CoreSettings) -> bool:
        """Whether calling any more would lead nowhere."""
        spent = self.tool_turns >= settings.max_tool_turns or not self.may_run_code(settings)
        return spent or self.in_circles


@dataclass(frozen=True, slots=True)
class Choice:
    """What one turn may and must call.

    Attributes:
        mode: what the model is told.
        forced: the one tool it has to call; overrides `mode`.
        urged: a tool that the backend is asked to force; a call of another one, or an answer, is taken all the same.
        forbidden: the run allows no call at all. (`mode` is also "none" for a model that has called enough.)
        parallel: whether the turn may make more than one call.
    """

    mode: Literal["none", "auto", "required"] = "auto"
    forced: str | None = None
    urged: str | None = None
    forbidden: bool = False
    parallel: bool = True

    def allows(self, name: str, made: int) -> bool:
        """Whether a call of `name` may be made after `made` others of the same turn."""
        if self.forbidden or (self.forced is not None and name != self.forced):
            return False
        return self.parallel or made == 0

    def reminder(self, called: Set[str], *, dropped: bool, spoke: bool) -> str | None:
        """What to tell a model that did not do what it must; None when it did.

        `called`: names of tools that exist and were called; `dropped`: it made calls that are not allowed.
        """
        if self.forbidden:
            return None if spoke or not dropped else "Do not call tools. Answer in words."
        if self.forced is not None and self.forced not in called:
            return f"Call the tool {self.forced} now, and say nothing else."
        if self.mode == "required" and not called:
            return "Call one of your tools now, and say nothing else."
        return None


def choice_of(run: Run, called: Called, settings: CoreSettings) -> Choice:
    """What the run asks for on its first turn; after that the model decides, and at the end it has to answer."""
    wish, parallel = run.tool_choice, run.parallel_tool_calls
    if wish == "none":
        return Choice("none", forbidden=True, parallel=parallel)
    if called.must_answer(settings):
        return Choice("none", parallel=parallel)
    if called.obeyed:
        urged = CodeInterpreterTool().type if called.code_open else None
        return Choice(urged=urged, parallel=parallel)
    if isinstance(wish, dict):
        named: dict[str, Any] = wish.get("function") or {"name": wish["type"]}
        return Choice(forced=str(named["name"]), parallel=parallel)
    return Choice("required" if wish == "required" else "auto", parallel=parallel)
