"""llama.cpp's own server, out of a prebuilt wheel (xllamacpp): the process, and how it is asked.

    python -m model_parts.peer MODEL THREADS SLOTS CONTEXT

prints its address when it is warm, and ends when it is told to. It is asked as its users ask it: chat completions,
streamed over HTTP. What comes back is looked at after the clock was stopped.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api_parts.children import Server
from api_parts.client import Answer, json_bytes, open_connection

from model_parts.bench import CONTEXT, Bench

SLOTS = 8


def peer(bench: Bench, context: int = CONTEXT) -> Server:
    """The server, ready; a context manager."""
    arguments = [bench.path, bench.threads, SLOTS, context]
    command = [sys.executable, "-m", "model_parts.peer", *map(str, arguments)]
    return Server(command, bench.folder / "peer.log")


@dataclass(frozen=True)
class Reply:
    """An answer of a server that speaks as OpenAI's chat completions do."""

    began: float
    first: float
    ended: float
    tokens: int
    decode_rate: float

    @classmethod
    def of(cls, answer: Answer) -> "Reply":
        """Read what a server has sent.

        Raises:
            RuntimeError: it refused, or sent no usage.
        """
        if answer.status != 200:
            raise RuntimeError(f"status {answer.status}: {answer.body[:500]!r}")
        lines = [line[6:] for line in answer.body.split(b"\n") if line.startswith(b"data: {")]
        last = json.loads(lines[-1])
        timings = last.get("timings", {})
        return cls(
            answer.began,
            answer.marked - answer.began,
            answer.ended,
            last["usage"]["completion_tokens"],
            timings.get("predicted_per_second", 0.0),
        )


async def ask_peer(address: str, bodies: Sequence[dict[str, Any]]) -> list[Reply]:
    """Answers to all bodies, asked at the same time over a connection each."""
    connections = [await open_connection(address) for _ in bodies]
    try:
        asked = (
            connection.ask("POST", "/v1/chat/completions", json_bytes(body), mark=b'"content":"')
            for connection, body in zip(connections, bodies, strict=True)
        )
        return [Reply.of(answer) for answer in await asyncio.gather(*asked)]
    finally:
        for connection in connections:
            connection.close()


def body(text: str, tokens: int, **more: Any) -> dict[str, Any]:
    """A question alone, answered greedily."""
    return {
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        **more,
    }


def whole_rate(replies: Sequence[Reply]) -> float:
    """Tokens a second of all together, from the first question to the end of the last answer."""
    took = max(r.ended for r in replies) - min(r.began for r in replies)
    return sum(reply.tokens for reply in replies) / took


def _serve(path: Path, threads: int, slots: int, context: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_ctx, params.n_parallel, params.kv_unified = context, slots, True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.fit_params, params.verbosity = False, 0
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
