"""Two threads that take turns, six each: the times to first token, against `llama_cpp.Llama`.

Each side continues its own conversation. `Llama` keeps one: whoever speaks has to be evaluated from where the two
differ.
"""

import time
from typing import Any

from _report import Goal, Row

from local_assistants.engine.chat import ChatMessage, ChatRequest
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import Streams, ask, story, user

TURNS = 6
ANSWER = 32  # tokens
FACTS = 8  # in each question; about 110 tokens
GOAL = 0.3
THREADS = ("north", "south")


async def measure(bench: Bench) -> None:
    """Both sides in turn, turn by turn."""
    import llama_cpp

    async with bench.ours() as ours:
        llama = llama_cpp.Llama(
            str(bench.path),
            n_ctx=4096,
            n_threads=bench.threads,
            n_threads_batch=bench.threads,
            verbose=False,
        )
        try:
            await _talk(bench, ours, llama)
        finally:
            llama.close()


async def _talk(bench: Bench, ours: Streams, llama: Any) -> None:
    own: dict[str, list[ChatMessage]] = {name: [] for name in THREADS}
    other: dict[str, list[dict[str, str]]] = {name: [] for name in THREADS}
    sums = {"ours": 0.0, "llama": 0.0}
    for turn in range(bench.size(TURNS, 3)):
        bench.say(f"alternating threads, turn {turn + 1}")
        for name in THREADS:
            text = story(f"{name} {turn}", FACTS)
            sums["llama"] += _theirs(llama, other[name], text)
            sums["ours"] += await _ours(ours, name, own[name], text)
    for side, seconds in sums.items():
        bench.add(f"turns {side}", seconds)


async def _ours(backend: Streams, name: str, messages: list[ChatMessage], text: str) -> float:
    messages.append(user(text))
    answer = await ask(
        backend, ChatRequest(tuple(messages), temperature=0, max_tokens=ANSWER, session=name)
    )
    messages.append(ChatMessage(role="assistant", content=answer.text))
    return answer.first


def _theirs(llama: Any, messages: list[dict[str, str]], text: str) -> float:
    messages.append({"role": "user", "content": text})
    said, first, began = "", 0.0, time.perf_counter()
    for chunk in llama.create_chat_completion(
        messages=messages, temperature=0, max_tokens=ANSWER, stream=True, repeat_penalty=1.0
    ):
        piece = chunk["choices"][0]["delta"].get("content")
        if piece:
            first = first or time.perf_counter()
            said += piece
    messages.append({"role": "assistant", "content": said})
    return first - began


def tell(model: str, of: Figures) -> Told:
    """Sums and their ratio."""
    what = f"{model}: {TURNS} turns of {len(THREADS)} alternating threads, first tokens"
    ratio = of.ratio("turns ours", "turns llama")
    rows = [
        Row(f"{what}: llama_cpp.Llama", of("turns llama"), "s"),
        Row(f"{what}: ours", of("turns ours"), "s", None, ratio, "Llama"),
    ]
    return Told(rows, [Goal(f"{what}, to llama_cpp.Llama", ratio, GOAL)])


PART = Part("turns", ("135m",), measure, tell)
