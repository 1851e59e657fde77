"""Decoding alone: ours, in this process and in its own, against the bare loop with the same batch."""

from _report import Goal, Row

from model_parts.bare_apart import BareApart
from model_parts.bench import Bench, Figures, Part, Told, in_turn
from model_parts.talk import Streams, decode_rate, request, story

WIDTHS = {1: 96, 8: 48, 16: 32}  # sequences: tokens of each
SHORTER = {"1.5b": 2}  # so many times; a round of it takes minutes else
GOALS = {1: 0.97, 8: 0.93, 16: 0.93}
ROUNDS = {"135m": 5, "1.5b": 3}
SIDES = {"inline": "ours, in this process", "process": "ours, in a process of its own"}


async def measure(bench: Bench) -> None:
    """Everyone in turn, first one sequence, then eight, then sixteen."""
    with BareApart(bench.path, bench.threads, 4096, max(WIDTHS)) as bare:
        async with bench.ours() as inline, bench.apart() as process:
            sides = {"inline": inline, "process": process}
            for width, tokens in WIDTHS.items():
                for number in range(bench.size(ROUNDS.get(bench.model, 3)) + 1):
                    bench.say(f"decode, {width} at a time, round {number}")
                    await _round(
                        bench,
                        bare,
                        sides,
                        (number, width, bench.size(tokens, 8) // SHORTER.get(bench.model, 1)),
                    )


async def _round(
    bench: Bench, bare: BareApart, sides: dict[str, Streams], what: tuple[int, int, int]
) -> None:
    number, width, tokens = what
    texts = [story(f"town {number}.{width}.{index}", 1) for index in range(width)]
    prompts = [bare.prompt([{"role": "user", "content": text}]) for text in texts]
    for name in in_turn(["bare", *sides], number):
        if name == "bare":
            rate = bare.decode_rate(prompts, tokens)
        else:
            rate = await decode_rate(sides[name], [request(text, tokens) for text in texts])
        if number:  # the first round warms all up
            bench.add(f"decode {width} {name}", rate)


def tell(model: str, of: Figures) -> Told:
    """Rates and ratios."""
    rows: list[Row] = []
    goals: list[Goal] = []
    for width, limit in GOALS.items():
        what = f"{model}: decode, {width} at a time"
        against = f"decode {width} bare"
        rows.append(Row(f"{what}: bare loop", of(against), "tokens/s"))
        for side, said in SIDES.items():
            name = f"decode {width} {side}"
            ratio = of.ratio(name, against)
            rows.append(Row(f"{what}: {said}", of(name), "tokens/s", None, ratio, "bare"))
            goals.append(Goal(f"{what}, {said}, to bare", ratio, limit, at_least=True))
    return Told(rows, goals)


PART = Part("decode", ("135m", "1.5b"), measure, tell)
