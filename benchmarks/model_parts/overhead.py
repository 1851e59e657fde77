"""What our own work costs a step, with a model so small that there is next to nothing else to measure.

A toy of under a megabyte is run by the bare loop, by us, and by us in a process of its own. What a step of ours takes
longer is ours: planning, choosing who goes on, text, stop checks, queues, the way to the reader. That is then compared
with a step of the real model. Wall time is what a step gets longer by; processor time also counts what is done beside
it, in the other process and in the reader's loop.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from _report import Goal, Row, median

from model_parts.bare import Bare
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import Streams, decode_rate, request

WIDTHS = (1, 8)
TOKENS = 120
REAL_TOKENS = 32
ROUNDS = 9
POOL = 2048
QUESTION = (
    "{} miles"  # short: the toy has a token for each character, and its attention is not the point
)
GOAL = 1.0  # per cent of a step
SIDES = {"inline": "in this process", "process": "in a process of its own"}


async def measure(bench: Bench) -> None:
    """The toy on all sides, and a step of the real model."""
    toy = _toy(bench)
    with Bare(toy.path, 1, POOL, max(WIDTHS)) as bare:
        async with toy.ours(toy.settings(POOL)) as inline, toy.apart(toy.settings(POOL)) as far:
            for width in WIDTHS:
                for number in range(bench.size(ROUNDS) + 1):
                    bench.say(f"our own work, {width} at a time, round {number}")
                    found = _bare(bare, width)
                    for name, side in (("inline", inline), ("process", far)):
                        found |= await _ours(name, side, width)
                    for name, value in found.items() if number else ():
                        bench.add(f"step {width} {name}", value)
    with Bare(bench.path, bench.threads, 2048, max(WIDTHS)) as bare:
        for width in WIDTHS:
            rate = bare.decode_rate(_prompts(bare, width), bench.size(REAL_TOKENS))
            bench.add(f"step {width} real", width / rate)


def _toy(bench: Bench) -> Bench:
    """A model that says numbered words, whatever it is asked."""
    sys.path.append(str(Path(__file__).parents[2]))
    from tests.support.toy_gguf import write_saying_model

    path = write_saying_model(bench.folder / "toy.gguf", [f"w{n} " for n in range(TOKENS + 8)])
    return replace(bench, path=path, threads=1)


def _prompts(bare: Bare, width: int) -> list[list[int]]:
    return [bare.prompt([{"role": "user", "content": QUESTION.format(n)}]) for n in range(width)]


def _bare(bare: Bare, width: int) -> dict[str, float]:
    prompts = _prompts(bare, width)
    used = _processor_time()
    rate = bare.decode_rate(prompts, TOKENS)
    return {"bare": width / rate, "bare cpu": (_processor_time() - used) / TOKENS}


async def _ours(name: str, side: Streams, width: int) -> dict[str, float]:
    wanted = [request(QUESTION.format(n), TOKENS) for n in range(width)]
    used = _processor_time()
    rate = await decode_rate(side, wanted)
    return {name: width / rate, f"{name} cpu": (_processor_time() - used) / TOKENS}


def _processor_time() -> float:
    """Of this process and those it has started, in seconds."""
    tick = os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    total = time.process_time()
    for child in children.read_text().split() if children.exists() else ():
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / tick
    return total


def tell(model: str, of: Figures) -> Told:
    """Microseconds a step, and their share in a step of the real model."""
    rows: list[Row] = []
    goals: list[Goal] = []
    for width in WIDTHS:
        real = of(f"step {width} real")
        what = f"{model}: a step of {width}"
        rows.append(Row(f"{what}, bare", 1000 * real, "ms"))
        for side, said in SIDES.items():
            own, used = (_more(of, width, side, kind) for kind in ("", " cpu"))
            share = 100 * own / real
            rows.append(Row(f"{what}: our part, {said}", 1e6 * own, "us", None, share, "% of it"))
            rows.append(Row(f"{what}: our processor time, {said}", 1e6 * used, "us"))
            goals.append(Goal(f"{what}: our part (%), {said}", share, GOAL))
    return Told(rows, goals)


def _more(of: Figures, width: int, side: str, kind: str) -> float:
    """Seconds a step more than the bare loop's."""
    ours, bare = (of.rounds[f"step {width} {name}{kind}"] for name in (side, "bare"))
    return median([one - other for one, other in zip(ours, bare, strict=True)])


PART = Part("overhead", ("135m", "1.5b"), measure, tell)
