"""The sixth turn of threads with 1,500 tokens of history, four of them in turns: how long its first token takes.

Against the bare evaluation of the whole prompt, and of the new tokens alone at the same place of a sequence that holds
the history. The clock of ours includes everything from the request to the first text.
"""

from _report import Goal, Row

from local_assistants.engine.chat import ChatMessage, ChatRequest
from model_parts.bare_apart import BareApart
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import Answer, Streams, ask, story, user

THREADS = 4
TURNS = 5  # of history
FACTS = 15  # in each question of the history: about 1,500 tokens in all
ANSWER = 24
SAMPLED = 3  # turns after the history: the sixth and two more, for a steadier median
WHOLE = 3
POOL = 8192
GOALS = {"whole": 0.1, "new": 1.2}


async def measure(bench: Bench) -> None:
    """History first; then ours and the bare evaluations turn by turn."""
    facts = bench.size(FACTS, 2)
    with BareApart(bench.path, bench.threads, 2048 + 512) as bare:
        async with bench.ours(bench.settings(POOL)) as ours:
            threads: list[list[ChatMessage]] = [[] for _ in range(THREADS)]
            for turn in range(TURNS):
                bench.say(f"history of {THREADS} threads, turn {turn + 1} of {TURNS}")
                for number in range(THREADS):
                    await _turn(ours, threads[number], number, story(f"{number}/{turn}", facts))
            for turn in range(bench.size(SAMPLED)):
                bench.say(f"history of {THREADS} threads, turn {TURNS + 1 + turn}, timed")
                for number in range(THREADS):
                    text = f"Which of these goods is the cheapest, and where? Take {turn + 2}."
                    answer = await _turn(ours, threads[number], number, text)
                    _compare(bench, bare, answer, whole=number == 0 and turn < WHOLE)


async def _turn(backend: Streams, messages: list[ChatMessage], number: int, text: str) -> Answer:
    messages.append(user(text))
    wanted = ChatRequest(
        tuple(messages), temperature=0, max_tokens=ANSWER, session=f"thread {number}"
    )
    answer = await ask(backend, wanted)
    messages.append(ChatMessage(role="assistant", content=answer.text))
    return answer


def _compare(bench: Bench, bare: BareApart, answer: Answer, *, whole: bool) -> None:
    """The bare evaluations of as many tokens as ours has just answered."""
    usage = answer.usage
    old, new = usage.cached_tokens, usage.prompt_tokens - usage.cached_tokens
    if whole:
        bare.clear()
        bench.add("history whole", bare.seconds(usage.prompt_tokens, 0))
    bench.add("history new", bare.seconds(new, old))
    bench.add("history ours", answer.first)
    bench.figures.notes["history"] = {"cached": old, "new": new}


def tell(model: str, of: Figures) -> Told:
    """Times and ratios."""
    counts = of.notes["history"]
    what = f"{model}: first token of turn {TURNS + 1}"
    ratios = {
        "new": of.ratio("history ours", "history new"),
        "whole": of("history ours") / of("history whole"),
    }
    rows = [
        Row(f"{what}: whole prompt, bare", 1000 * of("history whole"), "ms"),
        Row(f"{what}: its {counts['new']} new tokens, bare", 1000 * of("history new"), "ms"),
        Row(
            f"{what}: ours, {THREADS} threads of {counts['cached']} tokens",
            1000 * of("history ours"),
            "ms",
            None,
            ratios["new"],
            "new tokens",
        ),
    ]
    goals = [
        Goal(f"{what}, to the whole prompt's evaluation", ratios["whole"], GOALS["whole"]),
        Goal(f"{what}, to the new tokens' evaluation", ratios["new"], GOALS["new"]),
    ]
    return Told(rows, goals)


PART = Part("history", ("135m",), measure, tell)
