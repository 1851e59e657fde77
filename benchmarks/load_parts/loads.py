"""The loads of the benchmark `load`, in a process of their own: one job a line from stdin, one line of figures each.

Times are `time.perf_counter` in seconds, so those of one job can be compared with each other.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from api_parts.client import Connection, json_bytes, open_connection

from load_parts import checking, mixture

Job = dict[str, Any]
Figures = dict[str, Any]


def run_body(job: Job, text: str, *, stream: bool) -> bytes:
    """A run on a new thread that says `text`."""
    thread = {"messages": [{"role": "user", "content": text}]}
    return json_bytes({"assistant_id": job["assistant"], "thread": thread, "stream": stream})


def spoken(number: int, words: int) -> str:
    """What run `number` says."""
    return " ".join(f"w{number}.{word}" for word in range(words))


async def streams(job: Job) -> Figures:
    """`count` clients begin a streamed run each at the same time, and read it to its end.

    Then each stream is compared with the run's journal, asked for afterwards: both must be the same bytes.
    """
    connections = [await open_connection(job["address"]) for _ in range(job["count"])]
    errors: list[str] = []
    spans: list[list[float]] = []
    bodies: list[bytes] = []

    async def one(number: int, connection: Connection) -> None:
        body = run_body(job, spoken(number, job["words"]), stream=True)
        answer = await connection.ask(
            "POST", "/v1/threads/runs", body, mark=b"thread.run.in_progress"
        )
        spans.append([answer.began, answer.marked, answer.ended])
        bodies.append(answer.body)
        try:
            found = checking.whole(answer.body, spoken(number, job["words"]))
            first = checking.read(found[1]).data
            path = f"/v1/threads/{first['thread_id']}/runs/{first['id']}/events"
            told = await connection.ask("GET", path)
            if checking.frames(told.body) != found:
                raise ValueError("the stream and the journal differ")
        except ValueError as error:
            errors.append(f"run {number}: {error}")

    results = await asyncio.gather(
        *(one(number, each) for number, each in enumerate(connections)), return_exceptions=True
    )
    errors += [repr(each) for each in results if each is not None]
    for connection in connections:
        connection.close()
    events = sum(body.count(b"\nevent: ") for body in bodies)
    return {"spans": spans, "events": events, "errors": errors}


async def queue(job: Job) -> Figures:
    """`clients` at a time create `count` runs, numbered from `first`, and wait for none of them."""
    left = iter(range(job["first"], job["first"] + job["count"]))
    runs: list[list[Any]] = []
    errors: list[str] = []
    took: list[float] = []

    async def client(connection: Connection) -> None:
        for number in left:
            body = run_body(job, spoken(number, job["words"]), stream=False)
            answer = await connection.ask("POST", "/v1/threads/runs", body)
            took.append(1000 * (answer.ended - answer.began))
            if answer.status != 200:
                errors.append(f"status {answer.status}: {answer.body[:300]!r}")
                continue
            run = answer.json()
            runs.append([number, run["thread_id"], run["id"], run["status"]])

    await _with_clients(job, client)
    return {"runs": runs, "errors": errors, "took": took}


async def journals(job: Job) -> Figures:
    """Read the journals of `runs` from their beginning to their end, and check each."""
    left = iter(job["runs"])
    errors: list[str] = []
    events = 0

    async def client(connection: Connection) -> None:
        nonlocal events
        for number, thread_id, run_id, _ in left:
            answer = await connection.ask("GET", f"/v1/threads/{thread_id}/runs/{run_id}/events")
            try:
                events += len(checking.whole(answer.body, spoken(number, job["words"])))
            except ValueError as error:
                errors.append(f"run {number}: {error}")

    await _with_clients(job, client)
    return {"events": events, "errors": errors}


async def requests(job: Job) -> Figures:
    """`clients` at a time send `requests` (method, path, body), wanting `status` of each."""
    left = iter(job["requests"])
    errors: list[str] = []
    took: list[float] = []
    answers: list[str] = []

    async def client(connection: Connection) -> None:
        for method, path, body in left:
            answer = await connection.ask(method, path, json_bytes(body) if body else b"")
            took.append(1000 * (answer.ended - answer.began))
            if answer.status != job.get("status", 200):
                errors.append(f"{method} {path}: status {answer.status}: {answer.body[:300]!r}")
            if job.get("keep"):
                answers.append(answer.body.decode())

    await _with_clients(job, client)
    return {"errors": errors, "took": took, "answers": answers}


async def turns(job: Job) -> Figures:
    """Pairs of requests (name, then method, path and body at each of the two `addresses`), one after the other.

    Who comes first changes with every pair. Milliseconds by name, one list for each address.
    """
    connections = [await open_connection(address) for address in job["addresses"]]
    took: dict[str, tuple[list[float], list[float]]] = {}
    errors: list[str] = []
    for number, (name, *sides) in enumerate(job["pairs"]):
        samples = took.setdefault(name, ([], []))
        for side in (0, 1) if number % 2 else (1, 0):
            method, path, body = sides[side]
            answer = await connections[side].ask(method, path, json_bytes(body) if body else b"")
            samples[side].append(1000 * (answer.ended - answer.began))
            if answer.status != 200 or b"server_error" in answer.body:
                errors.append(f"{name}: status {answer.status}: {answer.body[:300]!r}")
    for connection in connections:
        connection.close()
    return {"took": took, "errors": errors}


async def _with_clients(job: Job, client: Callable[[Connection], Awaitable[None]]) -> None:
    connections = [await open_connection(job["address"]) for _ in range(job["clients"])]
    await asyncio.gather(*map(client, connections))
    for connection in connections:
        connection.close()


KINDS: dict[str, Callable[[Job], Awaitable[Figures]]] = {
    "streams": streams,
    "queue": queue,
    "journals": journals,
    "requests": requests,
    "turns": turns,
    "mixture": mixture.mixture,
}


async def work() -> None:
    """Do the jobs until stdin ends."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job = json.loads(line)
        began = time.perf_counter()
        figures = await KINDS[job["kind"]](job)
        figures["wall"] = time.perf_counter() - began
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    asyncio.run(work())
