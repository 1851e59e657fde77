"""What all benchmarks share: medians, one table, JSON, and goals that can fail."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Row:
    """One measured thing. `ratio` is against the row named in `against`, both from this run."""

    what: str
    median: float
    unit: str
    p99: float | None = None
    ratio: float | None = None
    against: str = ""


@dataclass(frozen=True)
class Goal:
    """A ratio that must not be above (or below) a limit."""

    what: str
    seen: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return self.seen >= self.limit if self.at_least else self.seen <= self.limit


def median(samples: Sequence[float]) -> float:
    """The middle sample."""
    return statistics.median(samples)


def p99(samples: Sequence[float]) -> float:
    """The 99th percentile (the worst of fewer than a hundred)."""
    return sorted(samples)[min(len(samples) - 1, int(len(samples) * 0.99))]


def machine() -> str:
    """The machine in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    return f"{cores} cores, {model}, Python {platform.python_version()}, {platform.system()}"


def report(
    name: str,
    rows: Sequence[Row],
    goals: Sequence[Goal],
    *,
    check: bool,
    notes: Mapping[str, Any] | None = None,
) -> int:
    """Print the table, keep it as JSON (with `notes`), and say which goals were missed; the exit status."""
    print(f"{name}: {machine()}")
    width = max(len(row.what) for row in rows)
    for row in rows:
        tail = f"  p99 {row.p99:.2f}" if row.p99 is not None else ""
        ratio = f"  = {row.ratio:.2f} x {row.against}" if row.ratio is not None else ""
        print(f"  {row.what:<{width}}  {row.median:>9.2f} {row.unit}{tail}{ratio}")
    RESULTS.mkdir(exist_ok=True)
    figures = {
        "machine": machine(),
        "rows": [asdict(r) for r in rows],
        "goals": [asdict(g) for g in goals],
        "notes": dict(notes or {}),
    }
    (RESULTS / f"{name}.json").write_text(json.dumps(figures, indent=1) + "\n")
    missed = [goal for goal in goals if not goal.met]
    for goal in goals:
        sign = ">=" if goal.at_least else "<="
        state = "met" if goal.met else "MISSED"
        print(f"  goal {state}: {goal.what}: {goal.seen:.2f}, wanted {sign} {goal.limit:.2f}")
    if missed and check:
        print(f"missed: {', '.join(goal.what for goal in missed)}", file=sys.stderr)
        return 1
    return 0
