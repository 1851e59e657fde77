"""Eight chats at the same time: ours against llama.cpp's own server, from the questions to the end of the last answer.

The goal is on our backend in a process of its own, as `serve` runs it, while the peer is asked over HTTP. The same over
our whole HTTP API (a thread, a run and its journal for each) is shown beside it.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

from _report import Goal, Row
from api_parts.children import Server
from api_parts.client import json_bytes, open_connection

from model_parts import peer
from model_parts.bench import Bench, Figures, Part, Told, in_turn
from model_parts.peer import ask_peer, body
from model_parts.talk import Streams, ask_all, request, story, whole_rate

STREAMS = peer.SLOTS
TOKENS = {"135m": 64, "1.5b": 48}
ROUNDS = {"135m": 4, "1.5b": 3}
GOALS = {"135m": 1.0, "1.5b": 1.1}
SAID = {
    "process": "ours, in a process of its own",
    "inline": "ours, in this process",
    "api": "ours, runs over the HTTP API",
}


class Api:
    """`local-assistants serve` on the model, and an assistant."""

    def __init__(self, server: Server) -> None:
        self.address = server.address
        self._assistant = ""

    async def rate(self, texts: Sequence[str], tokens: int) -> float:
        """Tokens a second of runs that are made and streamed at the same time."""
        if not self._assistant:
            made = await self._post("/v1/assistants", [{"model": "default"}])
            self._assistant = made[0].json()["id"]
        answers = await self._post("/v1/threads/runs", [self._body(text, tokens) for text in texts])
        took = max(a.ended for a in answers) - min(a.began for a in answers)
        return float(sum(_tokens(answer.body) for answer in answers) / took)

    def _body(self, text: str, tokens: int) -> dict[str, Any]:
        return {
            "assistant_id": self._assistant,
            "thread": {"messages": [{"role": "user", "content": text}]},
            "temperature": 0,
            "max_completion_tokens": tokens,
            "stream": True,
        }

    async def _post(self, path: str, bodies: Sequence[dict[str, Any]]) -> list[Any]:
        connections = [await open_connection(self.address) for _ in bodies]
        try:
            asked = (
                connection.ask("POST", path, json_bytes(sent))
                for connection, sent in zip(connections, bodies, strict=True)
            )
            return list(await asyncio.gather(*asked))
        finally:
            for connection in connections:
                connection.close()


def _tokens(events: bytes) -> int:
    """The completion tokens of a run, by its last event."""
    data = [line[6:] for line in events.split(b"\n") if line.startswith(b"data: {")]
    usage = json.loads(data[-1]).get("usage") or {}
    return int(usage["completion_tokens"])


def api(bench: Bench) -> Server:
    """The server, started; a context manager."""
    command = [sys.executable, "-m", "local_assistants", "serve", "--model", bench.path]
    command += ["--data", bench.folder / "data", "--port", "0", "--threads", bench.threads]
    return Server(list(map(str, command)), bench.folder / "serve.log")


async def measure(bench: Bench) -> None:
    """Everyone in turn, each round with new questions, the same for all."""
    with peer.peer(bench) as other, api(bench) as server:
        async with bench.ours() as inline, bench.apart() as process:
            sides = {"process": process, "inline": inline}
            for number in range(bench.size(ROUNDS.get(bench.model, 3)) + 1):
                bench.say(f"{STREAMS} chats, round {number}")
                await _round(bench, number, sides, (other.address, Api(server)))


async def _round(
    bench: Bench, number: int, sides: dict[str, Streams], servers: tuple[str, Api]
) -> None:
    address, runs = servers
    tokens = bench.size(TOKENS.get(bench.model, 48), 8)
    texts = [story(f"{number}.{index} hills", 1) for index in range(STREAMS)]
    for name in in_turn(["peer", "api", *sides], number):
        if name == "peer":
            replies = await ask_peer(address, [body(text, tokens) for text in texts])
            rate = peer.whole_rate(replies)
        elif name == "api":
            rate = await runs.rate(texts, tokens)
        else:
            answers = await ask_all(sides[name], [request(text, tokens) for text in texts])
            rate = whole_rate(answers)
        if number:  # the first round warms all up
            bench.add(f"streams {name}", rate)


def tell(model: str, of: Figures) -> Told:
    """Rates and ratios."""
    what = f"{model}: {STREAMS} chats"
    rows = [Row(f"{what}: llama.cpp's server", of("streams peer"), "tokens/s")]
    for name, said in SAID.items():
        ratio = of.ratio(f"streams {name}", "streams peer")
        rows.append(
            Row(f"{what}: {said}", of(f"streams {name}"), "tokens/s", None, ratio, "server")
        )
    seen = of.ratio("streams process", "streams peer")
    limit = GOALS.get(model, 1.0)
    return Told(rows, [Goal(f"{what}, to llama.cpp's server", seen, limit, at_least=True)])


PART = Part("streams", ("135m", "1.5b"), measure, tell)
