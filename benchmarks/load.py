"""What a server bears: runs at once, a long queue, a large store, hours of use.

A real `local-assistants serve` (durability FULL) with the scripted backend, loaded over HTTP by another process that
checks every event. Four parts, each on a data folder of its own; README.md, beside this file, says what each row is.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import _plot
from _report import RESULTS, report
from api_parts.children import Worker
from load_parts import queueing, shelves, soaking, streaming
from load_parts.figures import Figures, say

PARTS = ("streams", "queue", "store", "soak")
Part = Callable[[Path, Worker], Figures]


def parts(options: argparse.Namespace) -> dict[str, Part]:
    """The parts by name, with the sizes asked for."""
    return {
        "streams": lambda root, load: streaming.measure(root, load, options.streams),
        "queue": lambda root, load: queueing.measure(root, load, options.queued),
        "store": lambda root, load: shelves.measure(root, load, options.threads, options.rounds),
        "soak": lambda root, load: soaking.measure(root, load, 60 * options.minutes),
    }


def measure(chosen: Sequence[str], known: dict[str, Part]) -> Figures:
    """The chosen parts, one after the other."""
    RESULTS.mkdir(exist_ok=True)
    figures = Figures()
    # not in the system's temporary folder, which may be in memory
    with tempfile.TemporaryDirectory(prefix="load-", dir=RESULTS) as folder:
        for name in chosen:
            (root := Path(folder) / name).mkdir()
            began = time.monotonic()
            with Worker("load_parts.loads", root / "load.log") as load:
                one = known[name](root, load)
            say(f"{name}: {time.monotonic() - began:.0f} s")
            figures.rows += one.rows
            figures.goals += one.goals
            figures.errors += one.errors
            figures.plots |= one.plots
    return figures


def read_options() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between")
    parser.add_argument("--streams", type=int, default=1000, help="runs streamed at once")
    parser.add_argument("--queued", type=int, default=10_000, help="runs that wait")
    parser.add_argument("--threads", type=int, default=100_000, help="threads of the large store")
    parser.add_argument("--rounds", type=int, default=5, help="of the requests to both stores")
    parser.add_argument("--minutes", type=float, default=2.0, help="length of the soak")
    options = parser.parse_args()
    options.whole = all(  # else its figures do not take the place of whole ones
        getattr(options, name) == parser.get_default(name)
        for name in ("only", "streams", "queued", "threads")
    )
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no parts called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return options


def main() -> int:
    """Measure and report."""
    options = read_options()
    before = os.getloadavg()
    figures = measure(options.only, parts(options))
    name = "load" if options.whole else "load-part"
    for error in figures.errors[:10]:
        print(f"  error: {error}")
    drawing = Path(__file__).parent / "load_parts" / "drawing.py"
    _plot.draw(drawing, figures.plots, RESULTS / f"{name}.png")
    notes = {"load_average_before": before, "load_average_after": os.getloadavg(), **figures.plots}
    return report(name, figures.rows, figures.goals, check=options.check, notes=notes)


if __name__ == "__main__":
    raise SystemExit(main())
