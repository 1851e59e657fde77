"""What the parts of the benchmark hand back: rows, goals, errors, and samples for the plot."""

import sys
import time
from dataclasses import dataclass, field
from typing import Any

from _report import Goal, Row


@dataclass
class Figures:
    """Of one part or of all. `plots` is what the drawing reads, by part."""

    rows: list[Row] = field(default_factory=list[Row])
    goals: list[Goal] = field(default_factory=list[Goal])
    errors: list[str] = field(default_factory=list[str])
    plots: dict[str, Any] = field(default_factory=dict[str, Any])

    def add(self, what: str, value: float, unit: str, p99: float | None = None) -> None:
        """One more row."""
        self.rows.append(Row(what, value, unit, p99))

    def none(self, what: str, errors: list[str]) -> None:
        """The goal that there are no such errors; they are told as well."""
        self.errors += errors
        self.goals.append(Goal(what, len(errors), 0))


def say(text: str) -> None:
    """What it is at, for who waits."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)
