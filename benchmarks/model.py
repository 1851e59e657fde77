"""The model room against bare llama-cpp-python: time to first token and decode rate, same file, prompts and threads.

Both sides answer the same prompts one after another in turn, each prompt new to both, greedy, in one process. Medians
of the rounds; the ratios are what counts, the absolute figures depend on what else the machine does.
"""

import argparse
import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import Goal, Row, median, report

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.library import bindings
from local_assistants.backends.llama_cpp.settings import physical_cores
from local_assistants.engine.chat import ChatMessage, ChatRequest, TextDelta, UsageDelta

FIRST_TOKEN_GOAL = 1.15  # ours : bare
BARE = "llama_cpp.Llama"
CONTEXT = 2048
ANSWER = 64  # tokens


@dataclass(frozen=True)
class Sample:
    """One answer: seconds to the first text, tokens per second after it."""

    first: float
    rate: float


def question(round_: int) -> str:
    """A prompt of some 300 tokens that shares no beginning with another round's."""
    facts = " ".join(f"Item {round_}-{n} costs {n * 7 % 13} coins." for n in range(20))
    return f"Round {round_}. {facts} Write a long story about these items."


async def ours(backend: LlamaCppBackend, text: str) -> Sample:
    """An answer of our backend."""
    request = ChatRequest(
        (ChatMessage(role="user", content=text),), temperature=0, max_tokens=ANSWER
    )
    began, first, tokens = time.perf_counter(), 0.0, 0
    async for delta in backend.stream(request):
        if isinstance(delta, TextDelta) and not first:
            first = time.perf_counter()
        elif isinstance(delta, UsageDelta):
            tokens = delta.completion_tokens
    return _sample(began, first, tokens)


def bare(llama: Any, text: str) -> Sample:
    """An answer of llama_cpp.Llama, streamed through its own chat path."""
    messages = [{"role": "user", "content": text}]
    began, first, tokens = time.perf_counter(), 0.0, 0
    for chunk in llama.create_chat_completion(
        messages=messages, temperature=0, max_tokens=ANSWER, stream=True, repeat_penalty=1.0
    ):
        if chunk["choices"][0]["delta"].get("content"):
            first = first or time.perf_counter()
            tokens += 1
    return _sample(began, first, tokens)


def _sample(began: float, first: float, tokens: int) -> Sample:
    return Sample(first - began, (tokens - 1) / (time.perf_counter() - first))


async def measure(path: Path, threads: int, rounds: int) -> tuple[list[Sample], list[Sample]]:
    """Samples of both sides, taken in turn."""
    bindings()  # first: it sets how threads wait, for both sides
    import llama_cpp

    llama = llama_cpp.Llama(
        str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    backend = await LlamaCppBackend.open(
        path, LlamaSettings(context_tokens=CONTEXT, threads=threads)
    )
    own: list[Sample] = []
    other: list[Sample] = []
    try:
        for round_ in range(rounds + 1):
            sample_other = bare(llama, question(round_))
            sample_own = await ours(backend, question(round_))
            if round_:  # the first round warms both up
                own.append(sample_own)
                other.append(sample_other)
    finally:
        await backend.close()
        llama.close()
    return own, other


def default_model() -> Path:
    """Where `local-assistants models pull smollm2-135m` puts the weights."""
    own = os.environ.get("LOCAL_ASSISTANTS_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(own) if own else Path(base) / "local-assistants"
    return root / "models" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def rows_of(own: list[Sample], other: list[Sample]) -> list[Row]:
    """Medians of both sides, ours with its ratio to the other."""
    rows: list[Row] = []
    for what, unit in (("first token", "ms"), ("decode", "tokens/s")):
        values = [median([_value(sample, what) for sample in side]) for side in (other, own)]
        rows.append(Row(f"{what}, {BARE}", values[0], unit))
        rows.append(
            Row(f"{what}, ours", values[1], unit, ratio=values[1] / values[0], against=BARE)
        )
    return rows


def _value(sample: Sample, what: str) -> float:
    return sample.first * 1000 if what == "first token" else sample.rate


def main() -> int:
    """Measure, print, and judge if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=default_model(), help="a GGUF; default 135M")
    parser.add_argument("--threads", type=int, default=physical_cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    options = parser.parse_args()
    if not options.model.is_file():
        print(f"{options.model} is missing: run `local-assistants models pull smollm2-135m` first")
        return 2
    print(f"{options.model.name}, {options.threads} threads, {options.rounds} rounds")
    rows = rows_of(*asyncio.run(measure(options.model, options.threads, options.rounds)))
    seen = next(row.ratio for row in rows if row.what == "first token, ours")
    goals = [Goal("first token, ours : bare", seen or 0.0, FIRST_TOKEN_GOAL)]
    return report("model", rows, goals, check=options.check)


if __name__ == "__main__":
    sys.exit(main())
