"""The model room against llama.cpp itself: the bare loop, its own server, and `llama_cpp.Llama`.

The same GGUF, prompts and threads on all sides, which take turns round by round; figures are medians over the rounds,
ratios those of the rounds' own ratios. README.md, beside this file, says what each row is. Without arguments all rows
are run, each on the models that it is about.
"""

import argparse
import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path

import _plot
from _report import RESULTS, Goal, Row, machine, report
from model_parts import (
    admission,
    choice,
    constrained,
    decode,
    history,
    limits,
    overhead,
    parked,
    prefill,
    streams,
    turns,
)
from model_parts.bench import Bench, Figures, Part

from local_assistants import paths
from local_assistants.backends.llama_cpp.native import bindings
from local_assistants.backends.llama_cpp.settings import default_threads

PARTS: Sequence[Part] = (
    limits.PART,
    overhead.PART,
    decode.PART,
    prefill.PART,
    streams.PART,
    turns.PART,
    history.PART,
    constrained.PART,
    parked.PART,
    admission.PART,
    choice.PART,
)
DRAWING = Path(__file__).with_name("model_parts") / "drawing.py"
FILES = {
    "135m": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "0.5b": "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
    "1.5b": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
}


def benches(
    options: argparse.Namespace, folder: Path
) -> tuple[list[tuple[Bench, list[Part]]], list[str]]:
    """The models with what is run on each, and those whose weights are not here."""
    chosen = [part for part in PARTS if not options.only or part.name in options.only]
    found: list[tuple[Bench, list[Part]]] = []
    missing: list[str] = []
    for name in options.model or ("135m", "1.5b"):
        path = Path(name) if name not in FILES else paths.cache_root() / "models" / FILES[name]
        model = name if name in FILES else path.stem
        parts = [part for part in chosen if options.model or model in part.models]
        if parts and not path.is_file():
            print(f"{path} is missing: left out; `local-assistants models pull` fetches weights")
            missing.append(model)
        elif parts:
            (own := folder / model).mkdir()
            bench = Bench(model, path, options.threads, own, quick=options.quick)
            found.append((bench, parts))
    return found, missing


def measure(found: Sequence[tuple[Bench, list[Part]]]) -> None:
    """Everything in turn; says how long each part took.

    Each part in a process of its own: compute threads that one leaves behind would slow down the next (decision 0006).
    """
    apart = multiprocessing.get_context("spawn")
    for bench, parts in found:
        for part in parts:
            began = time.monotonic()
            with ProcessPoolExecutor(1, mp_context=apart) as process:
                figures = process.submit(_measured, bench, part.name).result()
            bench.figures.rounds.update(figures.rounds)
            bench.figures.notes.update(figures.notes)
            bench.say(f"{part.name} took {time.monotonic() - began:.0f} s")


def _measured(bench: Bench, name: str) -> Figures:
    bindings()  # before any other way to the library: it sets how threads wait, for all sides
    asyncio.run(next(part for part in PARTS if part.name == name).measure(bench))
    return bench.figures


def tell(found: Sequence[tuple[Bench, list[Part]]], *, name: str, check: bool) -> int:
    """Print, draw and judge; the exit status."""
    rows: list[Row] = []
    goals: list[Goal] = []
    for bench, parts in found:
        for part in parts:
            told = part.tell(bench.model, bench.figures)
            rows += told.rows
            goals += told.goals
    threads = found[0][0].threads
    figures = {
        "title": f"{machine()}, {threads} threads",
        "goals": [asdict(goal) for goal in goals],
        "rounds": {bench.model: bench.figures.rounds for bench, _ in found},
    }
    (RESULTS / f"{name}.md").write_text(markdown(rows, goals))
    _plot.draw(DRAWING, figures, RESULTS / f"{name}.png")
    notes = {
        "threads": threads,
        "load_average": os.getloadavg(),
        "rounds": figures["rounds"],
        "models": {bench.model: bench.figures.notes for bench, _ in found},
    }
    return report(name, rows, goals, check=check, notes=notes)


def markdown(rows: Sequence[Row], goals: Sequence[Goal]) -> str:
    """The table and the goals, for a page."""
    lines = ["| | median | ratio |", "|---|---|---|"]
    for row in rows:
        ratio = f"{row.ratio:.2f} ({row.against})" if row.ratio is not None else ""
        lines.append(f"| {row.what} | {row.median:,.4g} {row.unit} | {ratio} |")
    lines += ["", "| | seen | goal |", "|---|---|---|"]
    for goal in goals:
        sign = ">=" if goal.at_least else "<="
        met = "met" if goal.met else "**missed**"
        lines.append(f"| {goal.what} | {goal.seen:.3g} | {sign} {goal.limit:g}: {met} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--model",
        action="append",
        help=f"run the rows on this one: {', '.join(FILES)}, or the path of a GGUF; may be repeated",
    )
    names = ", ".join(part.name for part in PARTS)
    parser.add_argument("--only", type=lambda text: text.split(","), help=f"some of: {names}")
    parser.add_argument("--threads", type=int, default=default_threads(), help="of all sides")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument(
        "--quick", action="store_true", help="only show that all runs; the figures say nothing"
    )
    options = parser.parse_args()
    unknown = set(options.only or ()) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {names}")
    RESULTS.mkdir(exist_ok=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="model-", dir=RESULTS) as folder:
        found, missing = benches(options, Path(folder))
        if not found:
            return 2
        measure(found)
    print(f"done after {time.monotonic() - began:.0f} s", file=sys.stderr)
    name = "model-quick" if options.quick else "model"
    status = tell(found, name=name, check=options.check)
    if options.check and missing:
        print(
            f"missed: all goals of {', '.join(missing)}, whose weights are not here",
            file=sys.stderr,
        )
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
