"""The first token of a new prompt of about 500 tokens, against its bare evaluation: what stands before the tokens."""

from _report import Goal, Row

from model_parts.bare_apart import BareApart
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import ask, request, story

FACTS = 32
ROUNDS = 4
GOAL = 1.15


async def measure(bench: Bench) -> None:
    """Both in turn, on the same prompts."""
    with BareApart(bench.path, bench.threads, 2048) as bare:
        async with bench.ours() as ours:
            for number in range(bench.size(ROUNDS) + 1):
                bench.say(f"a new prompt, round {number}")
                text = story(f"port {number}", bench.size(FACTS, 3))
                prompt = bare.prompt([{"role": "user", "content": text}])
                bare.clear()
                alone = bare.seconds(len(prompt), 0)
                answer = await ask(ours, request(text, 2))
                if number:
                    bench.add("prefill bare", alone)
                    bench.add("prefill ours", answer.first)
                    bench.figures.notes["prefill"] = len(prompt)


def tell(model: str, of: Figures) -> Told:
    """Times and their ratio."""
    what = f"{model}: first token of a new prompt of {of.notes['prefill']} tokens"
    ratio = of.ratio("prefill ours", "prefill bare")
    rows = [
        Row(f"{what}: bare", 1000 * of("prefill bare"), "ms"),
        Row(f"{what}: ours", 1000 * of("prefill ours"), "ms", None, ratio, "bare"),
    ]
    return Told(rows, [Goal(f"{what}, to bare", ratio, GOAL)])


PART = Part("prefill", ("135m",), measure, tell)
