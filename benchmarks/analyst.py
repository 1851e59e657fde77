"""How often a model answers questions about real tables right, with and without the interpreter's advice.

Each question is a run of its own on an engine as `serve` has it: the file attached to a thread, the model in a process
of its own, code in the sandbox. "helped" is what users get: profiles of tables in the prompt, hints after errors;
"bare" has neither. A model's figures depend on the wording of the questions: compare the two sides, and models.
"""

import argparse
import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from _report import RESULTS, Goal, Row, median, report
from analyst_parts.asking import Asker, Log, Result
from analyst_parts.engines import Side, opened
from analyst_parts.questions import Question, questions

MODES = ("helped", "bare")
GOAL = 75.0  # percent of all questions, by the model that is the default


def main() -> int:
    """Ask what the command line says, and report what has been asked so far."""
    options = _options()
    asked = [question for question in questions() if _wanted(question, options)]
    RESULTS.mkdir(exist_ok=True)
    models: list[str] = options.model or ["1.5b"]
    if not options.report:
        for mode in options.mode or MODES:
            for model in models:
                asyncio.run(_ask(model, mode, asked, options))
    return _tell(models, options.check)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", action="append", help="as `serve` takes it; may be repeated")
    parser.add_argument("--mode", action="append", choices=MODES, help="one side only")
    parser.add_argument("--only", type=lambda text: text.split(","), help="ids, or files' names")
    parser.add_argument("--limit", type=int, help="so many questions at most")
    parser.add_argument("--open", action="store_true", help="leave out what was not tuned on")
    parser.add_argument("--at-once", type=int, default=4, help="questions at a time")
    parser.add_argument("--threads", type=int, help="compute threads of the model")
    parser.add_argument("--resume", action="store_true", help="go on with what was interrupted")
    parser.add_argument("--report", action="store_true", help="ask nothing, show what there is")
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    return parser.parse_args()


def _wanted(question: Question, options: argparse.Namespace) -> bool:
    if options.open and (question.set_aside or question.fresh):
        return False
    names = (question.id, question.id.partition("-")[0])
    return options.only is None or any(name in options.only for name in names)


def _log(model: str, mode: str) -> Log:
    return Log(RESULTS / "analyst" / f"{Path(model).name}-{mode}.jsonl")


async def _ask(
    model: str, mode: str, asked: Sequence[Question], options: argparse.Namespace
) -> None:
    """Ask one model in one mode; answers to questions that are not asked again stay."""
    log = _log(model, mode)
    wanted = list(asked[: options.limit])
    known = {result.id: result for result in log.read()}
    if options.resume:
        wanted = [q for q in wanted if q.id not in known or known[q.id].asked != q.text]
    again = {question.id for question in wanted}
    log.write((result for id_, result in known.items() if id_ not in again), anew=True)
    if not wanted:
        return
    print(f"{model}, {mode}: {len(wanted)} questions, {options.at_once} at a time", flush=True)
    with tempfile.TemporaryDirectory(prefix="analyst-", dir=RESULTS) as folder:
        side = Side(model, advice=mode == "helped", threads=options.threads)
        async with opened(side, Path(folder)) as services:
            await Asker(services, log, options.at_once).ask(wanted)


def _tell(models: Sequence[str], check: bool) -> int:
    rows: list[Row] = []
    goals: list[Goal] = []
    notes: dict[str, object] = {}
    for model in models:
        sides = {mode: found for mode in MODES if (found := _log(model, mode).read())}
        bare = _share(sides.get("bare", []))
        for mode, found in sides.items():
            rows += _rows(f"{model} {mode}", found, bare if mode == "helped" else 0.0)
            notes[f"{model} {mode}"] = _by_file(found)
        if model == "1.5b" and "helped" in sides:
            goals.append(Goal(f"{model} helped, right", _share(sides["helped"]), GOAL, True))
    if not rows:
        print("nothing has been asked yet", file=sys.stderr)
        return 2
    return report("analyst", rows, goals, check=check, notes=notes)


def _rows(name: str, found: Sequence[Result], bare: float) -> list[Row]:
    ratio = _share(found) / bare if bare else None
    rows = [Row(f"{name}: right of {len(found)}", _share(found), "%", None, ratio, "bare")]
    parts = {
        "advice was tuned on": [each for each in found if not each.set_aside and not each.fresh],
        "once set aside": [each for each in found if each.set_aside],
        "never looked at": [each for each in found if each.fresh],
    }
    for words, part in parts.items():
        if 0 < len(part) < len(found):
            rows.append(Row(f"{name}: right of the {len(part)} {words}", _share(part), "%"))
    return [
        *rows,
        Row(f"{name}: calls of the interpreter", median([len(r.calls) for r in found]), ""),
        Row(f"{name}: prompt tokens of all turns", median([r.prompt_tokens for r in found]), ""),
        Row(f"{name}: time of a run", median([result.seconds for result in found]), "s"),
    ]


def _share(found: Sequence[Result]) -> float:
    return 100 * sum(result.right for result in found) / len(found) if found else 0.0


def _by_file(found: Sequence[Result]) -> dict[str, str]:
    files: dict[str, list[bool]] = defaultdict(list)
    for result in found:
        files[result.id.partition("-")[0]].append(result.right)
    return {name: f"{sum(rights)} of {len(rights)}" for name, rights in files.items()}


if __name__ == "__main__":
    sys.exit(main())
