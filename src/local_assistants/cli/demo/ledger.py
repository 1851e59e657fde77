"""What was checked and how long it took.

Two kinds of checks, never mixed: `part` says that the product did its part (a file arrived, a citation was made, the
thread survived the restart) and decides the exit code; `answer` says that the model was right, which the product cannot
promise, and is only reported.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from pydantic import BaseModel

from local_assistants.cli.demo.narrator import Narrator, Stopwatch

Kind = Literal["part", "answer"]


class Check(BaseModel):
    """The outcome of one check; `seen` is what was found, for people."""

    kind: Kind
    what: str
    ok: bool
    seen: str = ""


class Step(BaseModel):
    """One line of the table of durations."""

    what: str
    seconds: float


class Record(BaseModel):
    """All that a ledger holds, in order."""

    checks: list[Check] = []
    steps: list[Step] = []


class Ledger:
    """Collects checks and durations, and tells the reader of each check as it is made."""

    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self.record = Record()

    def part(self, ok: bool, what: str, seen: str = "") -> bool:
        """Note whether the product did its part; returns `ok`."""
        return self._note(Check(kind="part", what=what, ok=ok, seen=seen))

    def answer(self, ok: bool, what: str, seen: str = "") -> bool:
        """Note whether the model was right; returns `ok`."""
        return self._note(Check(kind="answer", what=what, ok=ok, seen=seen))

    @contextmanager
    def timed(self, what: str) -> Generator[None]:
        """Note how long the block takes, also when it breaks off."""
        watch = Stopwatch()
        try:
            yield
        finally:
            self.record.steps.append(Step(what=what, seconds=watch.seconds))

    def adopt(self, record: Record) -> None:
        """Take over what an earlier demo noted."""
        self.record.checks += record.checks
        self.record.steps += record.steps

    def since(self, mark: tuple[int, int]) -> Record:
        """What was noted after `mark`."""
        return Record(checks=self.record.checks[mark[0] :], steps=self.record.steps[mark[1] :])

    @property
    def mark(self) -> tuple[int, int]:
        """How much was noted so far."""
        return len(self.record.checks), len(self.record.steps)

    def count(self, kind: Kind) -> tuple[int, int]:
        """(right, all) of one kind."""
        of_kind = [check for check in self.record.checks if check.kind == kind]
        return sum(check.ok for check in of_kind), len(of_kind)

    def wrong(self, kind: Kind) -> list[Check]:
        """Those of one kind that failed."""
        return [check for check in self.record.checks if check.kind == kind and not check.ok]

    def _note(self, check: Check) -> bool:
        self.record.checks.append(check)
        label = f"the model: {check.what}" if check.kind == "answer" else check.what
        self._narrator.check(check.ok, label, check.seen)
        return check.ok
