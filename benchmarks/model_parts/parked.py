"""A thread that had to leave the KV pool comes back from disk: time to first token, against a new prefill.

The pool holds one of the two threads, so that each turn pushes the other out; nothing is parked in host memory. Then
the process ends, and a new one goes on with the threads.
"""

import json
import os
import subprocess
import sys

from _report import Goal, Row
from api_parts.children import BENCHMARKS

from local_assistants.backends.llama_cpp import LlamaSettings
from local_assistants.engine.chat import ChatMessage, ChatRequest
from model_parts.bench import Bench, Figures, Part, Told
from model_parts.talk import Answer, Streams, ask, story, user

POOL = 2048
THREADS = ("east", "west")
FACTS = 105  # about 1,500 tokens
ANSWER = 16
ROUNDS = 3
RESTARTS = 2
GOAL = 0.05


def settings(bench: Bench) -> LlamaSettings:
    """A small pool, and disk alone to park on."""
    return bench.settings(
        bench.size(POOL, 1280), park_memory=0, park_folder=bench.folder / "parked"
    )


async def turn(backend: Streams, name: str, messages: list[ChatMessage], text: str) -> Answer:
    """One more turn of a thread."""
    messages.append(user(text))
    wanted = ChatRequest(tuple(messages), temperature=0, max_tokens=ANSWER, session=name)
    answer = await ask(backend, wanted)
    messages.append(ChatMessage(role="assistant", content=answer.text))
    return answer


async def measure(bench: Bench) -> None:
    """Prefill both threads, swap them some times, restart."""
    threads: dict[str, list[ChatMessage]] = {name: [] for name in THREADS}
    async with bench.ours(settings(bench)) as ours:
        for name in THREADS:
            bench.say(f"parking: the thread {name} is new")
            answer = await turn(ours, name, threads[name], story(name, bench.size(FACTS, 22)))
            bench.add("parked prefill", answer.first)
        for number in range(bench.size(ROUNDS)):
            bench.say(f"parking: back from disk, round {number + 1}")
            for name in THREADS:
                answer = await turn(ours, name, threads[name], f"And the next one? ({number})")
                _keep(bench, "parked back", answer.first, answer.usage.cached_tokens)
    for number in range(bench.size(RESTARTS)):
        bench.say(f"parking: a new process, {number + 1} of {RESTARTS}")
        _restart(bench, threads, f"And now? ({number})")


def _keep(bench: Bench, what: str, seconds: float, cached: int) -> None:
    bench.add(what, seconds)
    bench.add(f"{what} cached", cached)


def _restart(bench: Bench, threads: dict[str, list[ChatMessage]], text: str) -> None:
    """The same turn in a process that has never seen the threads."""
    job = {
        "bench": [bench.model, str(bench.path), bench.threads, str(bench.folder), bench.quick],
        "text": text,
        "threads": {
            name: [message.model_dump() for message in messages]
            for name, messages in threads.items()
        },
    }
    path = f"{BENCHMARKS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    ended = subprocess.run(
        [sys.executable, "-m", "model_parts.restarted"],
        input=json.dumps(job),
        env={**os.environ, "PYTHONPATH": path},
        text=True,
        stdout=subprocess.PIPE,
        check=True,
    )
    for name, reply in json.loads(ended.stdout).items():
        _keep(bench, "parked restart", reply["first"], reply["cached"])
        threads[name] += [user(text), ChatMessage(role="assistant", content=reply["text"])]


def tell(model: str, of: Figures) -> Told:
    """Times, and what was found of each thread."""
    prefill = of("parked prefill")
    what = f"{model}: first token"
    rows = [Row(f"{what} of a new thread of 1,500 tokens", 1000 * prefill, "ms")]
    goals: list[Goal] = []
    for name, said in (("back", "parked on disk"), ("restart", "parked, after a restart")):
        key = f"parked {name}"
        ratio = of(key) / prefill
        cached = f", {of(f'{key} cached'):.0f} tokens found"
        rows.append(
            Row(f"{what}, {said}{cached}", 1000 * of(key), "ms", None, ratio, "new prefill")
        )
        goals.append(Goal(f"{what}, {said}, to a new prefill", ratio, GOAL))
    return Told(rows, goals)


PART = Part("parked", ("135m",), measure, tell)
