"""The model room against bare llama-cpp-python: time to first token and decode rate, same file, prompt and threads.

    python benchmarks/model.py [--check] [--model FILE] [--rounds N]

Both sides answer the same prompts one after another in turn, each prompt new to both, greedy, in one process. Medians of the
rounds; the ratios are what counts, the absolute figures depend on what else the machine does. With --check it exits 1 when our
first token takes more than 1.15 times as long. The last line is the one to read first.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.library import bindings
from local_assistants.engine.chat import ChatMessage, ChatRequest, TextDelta, UsageDelta

FIRST_TOKEN_GOAL = 1.15  # ours : bare
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


def report(own: list[Sample], other: list[Sample]) -> float:
    """Print the table; returns the ratio of times to first token."""
    first = [statistics.median(sample.first for sample in side) for side in (own, other)]
    rate = [statistics.median(sample.rate for sample in side) for side in (own, other)]
    print("| median | ours | llama_cpp.Llama | ratio |\n| --- | --- | --- | --- |")
    print(f"| first token, s | {first[0]:.3f} | {first[1]:.3f} | {first[0] / first[1]:.2f} |")
    print(f"| decode, tokens/s | {rate[0]:.1f} | {rate[1]:.1f} | {rate[0] / rate[1]:.2f} |")
    return first[0] / first[1]


def main() -> int:
    """Measure, print, and judge if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=default_model())
    parser.add_argument("--threads", type=int, default=max(1, (os.cpu_count() or 2) // 2))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    options = parser.parse_args()
    if not options.model.is_file():
        print(f"{options.model} is missing: run `local-assistants models pull smollm2-135m` first")
        return 2
    print(
        f"{options.model.name}, {options.threads} threads, {os.cpu_count()} CPUs, {options.rounds} rounds"
    )
    own, other = asyncio.run(measure(options.model, options.threads, options.rounds))
    ratio = report(own, other)
    met = ratio <= FIRST_TOKEN_GOAL
    print(
        f"{'goal met' if met else 'goal MISSED'}: first token {ratio:.2f} (goal <= {FIRST_TOKEN_GOAL})"
    )
    return 1 if options.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
