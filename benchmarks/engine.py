"""What the engine itself costs: a run from create to completed, with a model that takes no time.

Three readings of the same run (one user message, an answer of 20 words) and the floor below them: the same number of
transactions with the same bytes, committed one after another by a bare SQLite connection on the same disk.
"""

import argparse
import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path

import httpx
import yaml
from _report import Goal, Row, median, p99, report

from local_assistants import assemble, serving
from local_assistants.engine.requests import CreateAssistant, CreateThreadAndRun
from local_assistants.engine.services import Services

TURNS = {"turns": [{"text": " ".join(f"word{n}" for n in range(20))}]}
USER = {"messages": [{"role": "user", "content": "hello"}]}


async def measure(runs: int) -> list[Row]:
    """All rows, measured in turns so that a slow moment of the machine hits each of them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        script = root / "script.yaml"
        script.write_text(yaml.safe_dump(TURNS))
        settings = assemble.Settings(model=f"scripted:{script}", data=root / "data", port=0)
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serving.serve_forever(settings, ready.set_result))
        await asyncio.wait([ready, server], return_when=asyncio.FIRST_COMPLETED)
        own = assemble.Settings(model=f"scripted:{script}", data=root / "own")
        async with assemble.Engine.open(own) as engine, httpx.AsyncClient(timeout=60) as client:
            samples = await _samples(engine.services, client, await ready, root, runs)
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
    return _rows(samples)


async def _samples(
    services: Services, client: httpx.AsyncClient, address: str, root: Path, runs: int
) -> dict[str, list[float]]:
    assistant = await services.assistants.create(CreateAssistant(model="default"))
    created = await client.post(f"{address}/v1/assistants", json={"model": "default"})
    body = {"assistant_id": created.json()["id"], "thread": USER, "stream": True}
    own = CreateThreadAndRun.model_validate({"assistant_id": assistant.id, "thread": USER})
    shape = await _embedded(services, own)
    floor = _Floor(root / "floor.db", shape)
    samples: dict[str, list[float]] = {"floor": [], "embedded": [], "http": []}
    for number in range(runs + 5):
        start = time.perf_counter()
        floor.commit_all()
        middle = time.perf_counter()
        await _embedded(services, own)
        after = time.perf_counter()
        (await client.post(f"{address}/v1/threads/runs", json=body)).raise_for_status()
        end = time.perf_counter()
        if number >= 5:  # the first ones warm caches and import what is imported late
            samples["floor"].append(1000 * (middle - start))
            samples["embedded"].append(1000 * (after - middle))
            samples["http"].append(1000 * (end - after))
    return samples


async def _embedded(services: Services, body: CreateThreadAndRun) -> list[int]:
    """One run; the sizes of the journal's payloads by transaction, as the store saw them."""
    run = await services.runs.create_with_thread(body)
    return [len(str(event.data)) async for event in services.runs.stream(run.id)]


class _Floor:
    """The same bytes in as many transactions as a run takes: create, claim, start, speak, finish."""

    TRANSACTIONS = 5

    def __init__(self, path: Path, sizes: list[int]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, body TEXT)")
        share = max(1, len(sizes) // self.TRANSACTIONS)
        self._groups = [sizes[at : at + share] for at in range(0, len(sizes), share)]

    def commit_all(self) -> None:
        for group in self._groups[: self.TRANSACTIONS]:
            self._connection.execute("BEGIN IMMEDIATE")
            for size in group:
                self._connection.execute("INSERT INTO t (body) VALUES (?)", ("x" * size,))
            self._connection.execute("COMMIT")


def _rows(samples: dict[str, list[float]]) -> list[Row]:
    floor = median(samples["floor"])
    names = {
        "floor": "bare SQLite, same transactions",
        "embedded": "run, embedded",
        "http": "run, streamed over HTTP",
    }
    return [
        Row(names[key], median(values), "ms", p99(values), median(values) / floor, names["floor"])
        for key, values in samples.items()
    ]


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--runs", type=int, default=100)
    options = parser.parse_args()
    rows = asyncio.run(measure(options.runs))
    goals = [
        Goal("a run's own cost over HTTP, in embedded runs", rows[2].median / rows[1].median, 2.5),
    ]
    return report("engine", rows, goals, check=options.check)


if __name__ == "__main__":
    raise SystemExit(main())
