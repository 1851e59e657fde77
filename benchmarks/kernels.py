"""Sandboxed kernels against plain ipykernels over ipc: starts, round trips, memory, and a hostile neighbour.

Both sides use the same interpreter environment and take turns; medians are compared. README.md, beside this file, says
what each row is.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import _plot
from _report import RESULTS, report
from kernels_parts import memory, neighbours, starts, trips
from kernels_parts.sides import Bench

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment
from local_assistants.tools.code_interpreter.isolation import probe
from local_assistants.tools.code_interpreter.isolation.limits import Limits

PARTS = {"trips": trips, "starts": starts, "memory": memory, "neighbours": neighbours}
DRAWING = Path(__file__).with_name("kernels_parts") / "drawing.py"


async def measure(parts: Sequence[ModuleType], *, quick: bool) -> Bench:
    """All samples of these parts."""
    found = environment.find(paths.interpreter_root())
    if found is None:
        sys.exit(environment.INSTALL)
    runner = await probe.find_sandbox(found, Limits())
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        bench = Bench(found, runner, Path(folder), quick=quick)
        for part in parts:
            await part.measure(bench)
    return bench


def tell(bench: Bench, parts: Sequence[ModuleType], *, check: bool) -> int:
    """Print, draw and judge; the exit status."""
    rows = [row for part in parts for row in part.rows(bench)]
    goals = [goal for part in parts for goal in part.goals(bench)]
    notes = {
        "tier": bench.runner.tier,
        "load_average": os.getloadavg(),
        "samples": bench.samples,
    }
    status = report("kernels", rows, goals, check=check, notes=notes)
    if len(parts) == len(PARTS):
        _plot.draw(DRAWING, bench.samples, RESULTS / "kernels.png")
    return status


def main() -> int:
    """Measure, and judge when asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", type=lambda text: text.split(","), help=f"some of: {', '.join(PARTS)}"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument(
        "--quick", action="store_true", help="only show that all runs; the figures say nothing"
    )
    options = parser.parse_args()
    unknown = set(options.only or ()) - set(PARTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    parts = [part for name, part in PARTS.items() if not options.only or name in options.only]
    bench = asyncio.run(measure(parts, quick=options.quick))
    return tell(bench, parts, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
