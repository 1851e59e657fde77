"""File search: how good, how fast, what filling costs. README.md, beside this file, says what each row is.

Everything goes through the public API of a real server, but for what is compared with it. Filling takes most of the
time: with --keep FOLDER the data folders stay there, and the next run searches what the one before has indexed.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import _plot
from _report import RESULTS, report
from retrieval_parts import filings, ingest, quality, speed
from retrieval_parts.bench import Bench

PARTS: dict[str, ModuleType] = {
    "quality": quality,
    "filings": filings,
    "speed": speed,
    "ingest": ingest,
}
DRAWING = Path(__file__).with_name("retrieval_parts") / "drawing.py"


async def measure(bench: Bench, parts: Sequence[ModuleType]) -> None:
    """All samples of these parts, one after the other."""
    for part in parts:
        began = time.monotonic()
        await part.measure(bench)
        print(f"{part.__name__} took {time.monotonic() - began:.0f} s", flush=True)


def tell(bench: Bench, parts: Sequence[ModuleType], *, check: bool) -> int:
    """Print, draw and judge; the exit status."""
    rows = [row for part in parts for row in part.rows(bench)]
    goals = [goal for part in parts for goal in part.goals(bench)]
    name = "retrieval-quick" if bench.quick else "retrieval"
    notes = {"load_average": os.getloadavg(), "samples": bench.samples}
    status = report(name, rows, goals, check=check, notes=notes)
    _plot.draw(DRAWING, bench.samples, RESULTS / f"{name}.png")
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
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this folder; it stays")
    options = parser.parse_args()
    unknown = set(options.only or ()) - set(PARTS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    parts = [part for name, part in PARTS.items() if not options.only or name in options.only]
    with tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        bench = Bench(options.keep or Path(folder), quick=options.quick)
        asyncio.run(measure(bench, parts))
    return tell(bench, parts, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
