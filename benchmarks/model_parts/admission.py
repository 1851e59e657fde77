"""What three streams feel of a 2,000-token prompt that is taken in beside them: the gaps between their tokens.

A stream that ends is followed by another one at once, so that three are always at work.
"""

import asyncio
import time
from contextlib import suppress
from itertools import count

from _report import Goal, Row

from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import Answer, Streams, request, story

STREAMS = 3
LENGTH = 700  # tokens of each
ALONE = 3.0  # seconds without the prompt
FACTS = 143  # about 2,000 tokens
ROUNDS = 2
POOL = 8192
GOAL = 2.5


async def measure(bench: Bench) -> None:
    """Streams alone, then the prompt beside them."""
    async with bench.ours(bench.settings(POOL)) as ours:
        for number in range(bench.size(ROUNDS)):
            bench.say(f"a long prompt beside {STREAMS} streams, round {number + 1}")
            await _round(bench, ours, number)


async def _round(bench: Bench, backend: Streams, number: int) -> None:
    answers: list[Answer] = []
    begun = [asyncio.Event() for _ in range(STREAMS)]
    length = bench.size(LENGTH, 100)
    chats = [
        asyncio.create_task(_chat(backend, f"{number}.{index}", length, answers, begun[index]))
        for index in range(STREAMS)
    ]
    for event in begun:
        await event.wait()
    alone = time.perf_counter()
    await asyncio.sleep(bench.size(int(ALONE)))
    admitted = time.perf_counter()
    long = await _first(backend, story(f"prompt {number}", bench.size(FACTS, 20)))
    ended = admitted + long.first
    for chat in chats:
        chat.cancel()
        with suppress(asyncio.CancelledError):
            await chat
    quiet = [gap for answer in answers for gap in answer.gaps(alone, admitted)]
    beside = [gap for answer in answers for gap in answer.gaps(admitted, ended)]
    for name, gaps in (("alone", quiet), ("beside", beside)):
        bench.add(f"gap {name} p50", _quantile(gaps, 0.5))
        bench.add(f"gap {name} p95", _quantile(gaps, 0.95))
        bench.add(f"gap {name} most", max(gaps))
    bench.add("gap prompt", long.first)
    bench.figures.notes["admitted"] = long.usage.prompt_tokens


async def _chat(
    backend: Streams, key: str, tokens: int, answers: list[Answer], begun: asyncio.Event
) -> None:
    for again in count():
        answer = Answer(time.perf_counter())
        answers.append(answer)
        async for delta in backend.stream(request(story(f"{key}.{again}", 1), tokens)):
            answer.take(delta)
            begun.set()


async def _first(backend: Streams, text: str) -> Answer:
    answer = Answer(time.perf_counter())
    async for delta in backend.stream(request(text, 2)):
        answer.take(delta)
    return answer


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def tell(model: str, of: Figures) -> Told:
    """Gaps alone and beside the prompt."""
    what = f"{model}: gap between tokens of {STREAMS} streams"
    ratio = of.ratio("gap beside p95", "gap alone p95")
    tokens = of.notes["admitted"]
    beside = f"{what}, beside a prompt of {tokens} tokens"
    rows = [
        Row(f"{what}, p50", 1000 * of("gap alone p50"), "ms"),
        Row(f"{what}, p95", 1000 * of("gap alone p95"), "ms"),
        Row(f"{beside}, p50", 1000 * of("gap beside p50"), "ms"),
        Row(f"{beside}, p95", 1000 * of("gap beside p95"), "ms", None, ratio, "alone"),
        Row(f"{beside}, longest", 1000 * of("gap beside most"), "ms"),
        Row(f"{model}: first token of that prompt", of("gap prompt"), "s"),
    ]
    return Told(rows, [Goal(f"{beside}, p95 to that alone", ratio, GOAL)])


PART = Part("admission", ("135m",), measure, tell)
