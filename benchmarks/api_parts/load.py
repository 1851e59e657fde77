"""The loads, in a process of their own: reads one job a line from stdin, answers with one line of figures each.

All times are in milliseconds. `cpu` is what this process itself took, in milliseconds: a load whose client is busy all
the time measures the client.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from api_parts.client import Answer, Connection, json_bytes, open_connection

Job = dict[str, Any]


def _took(answer: Answer) -> float:
    return 1000 * (answer.ended - answer.began)


async def _connections(address: str, count: int) -> list[Connection]:
    return [await open_connection(address) for _ in range(count)]


def _close(connections: Sequence[Connection]) -> None:
    for connection in connections:
        connection.close()


async def runs(job: Job) -> dict[str, Any]:
    """`clients` at a time post `body` to `path` and read the stream to its end, `count` times in all.

    An answer without `until` in its last events is an error.
    """
    body, until = json_bytes(job["body"]), job["until"].encode()
    left = iter(range(job["count"]))
    samples: list[float] = []
    errors: list[str] = []

    async def client(connection: Connection) -> None:
        for _ in left:
            try:
                answer = await connection.ask("POST", job["path"], body)
            except ConnectionError as error:
                errors.append(str(error))
                return
            samples.append(_took(answer))
            if answer.status != 200 or until not in answer.body:
                errors.append(f"status {answer.status}: {answer.body[-300:]!r}")

    connections = await _connections(job["address"], job["clients"])
    began = time.perf_counter()
    await asyncio.gather(*map(client, connections))
    wall = 1000 * (time.perf_counter() - began)
    _close(connections)
    return {"samples": samples, "errors": errors, "wall": wall}


async def streams(job: Job) -> dict[str, Any]:
    """`clients` read the stream at `path` to its end, all at the same time.

    With `mark`, the clock starts when the first of them has received a piece that holds it. The flushes of the first
    client come back when `keep` is set.
    """
    mark = job.get("mark", "").encode()
    connections = await _connections(job["address"], job["clients"])
    answers = await asyncio.gather(*(c.ask("GET", job["path"], mark=mark) for c in connections))
    _close(connections)
    began = min(a.marked if mark else a.began for a in answers)
    wall = 1000 * (max(a.ended for a in answers) - began)
    events = [a.events() for a in answers]
    bad = [a for a in answers if a.status != 200 or not a.body.endswith(b"[DONE]\n\n")]
    first = answers[0]
    return {
        "wall": wall,
        "events": sum(events),
        "least": min(events),
        "flushes": len(first.flushes),
        "bytes": sum(len(a.body) for a in answers),
        "errors": [f"status {a.status}: {a.body[-300:]!r}" for a in bad],
        "kept": [flush.decode() for flush in first.flushes] if job.get("keep") else [],
    }


async def pages(job: Job) -> dict[str, Any]:
    """Fetch each of `targets` (name, address, path) `count` times, in turns; samples by name."""
    connections = {name: await open_connection(address) for name, address, _ in job["targets"]}
    samples: dict[str, list[float]] = {name: [] for name in connections}
    errors: list[str] = []
    for _ in range(job["count"]):
        for name, _, path in job["targets"]:
            await connections[name].ask(
                "GET", path
            )  # so that each finds its server's caches as warm
            answer = await connections[name].ask("GET", path)
            samples[name].append(_took(answer))
            if answer.status != 200:
                errors.append(f"status {answer.status}: {answer.body[:300]!r}")
    _close(list(connections.values()))
    return {"samples": samples, "errors": errors}


async def one(job: Job) -> dict[str, Any]:
    """A single request, for setting up."""
    connection = await open_connection(job["address"])
    answer = await connection.ask(job["method"], job["path"], json_bytes(job.get("body", {})))
    connection.close()
    return {"status": answer.status, "flushes": [flush.decode() for flush in answer.flushes]}


KINDS: dict[str, Callable[[Job], Awaitable[dict[str, Any]]]] = {
    "runs": runs,
    "streams": streams,
    "pages": pages,
    "one": one,
}


async def work() -> None:
    """Do the jobs until stdin ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job = json.loads(line)
        before = time.process_time()
        figures = await KINDS[job["kind"]](job)
        figures["cpu"] = 1000 * (time.process_time() - before)
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        asyncio.run(work())
    else:
        uvloop.run(work())
