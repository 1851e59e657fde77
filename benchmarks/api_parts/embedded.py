"""The embedded engine in a process of its own; answers jobs as `load` does, in the same figures.

python -m api_parts.embedded DATA SCRIPT
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from api_parts import seeds
from local_assistants.engine.events import EventName
from local_assistants.engine.services import Services
from local_assistants.engine.settings import CoreSettings

Job = dict[str, Any]


async def runs(services: Services, job: Job) -> dict[str, Any]:
    """As `load.runs`: `clients` at a time, `count` runs in all, each followed to its end."""
    body = await seeds.new_run(services, job["text"])
    left = iter(range(job["count"]))
    samples: list[float] = []
    errors: list[str] = []

    async def client() -> None:
        for _ in left:
            began = time.perf_counter()
            run = await services.runs.create_with_thread(body)
            names = [event.name async for event in services.runs.stream(run.id)]
            samples.append(1000 * (time.perf_counter() - began))
            if names[-1] is not EventName.RUN_COMPLETED:
                errors.append(f"the run ended with {names[-1]}")

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(job["clients"])))
    return {"samples": samples, "errors": errors, "wall": 1000 * (time.perf_counter() - began)}


async def follow(services: Services, job: Job) -> dict[str, Any]:
    """`clients` read the events of a finished run, all at the same time."""

    async def reader() -> int:
        return len([event async for event in services.runs.stream(job["run_id"])])

    began = time.perf_counter()
    counts = await asyncio.gather(*(reader() for _ in range(job["clients"])))
    return {"events": sum(counts), "wall": 1000 * (time.perf_counter() - began)}


async def journal(services: Services, job: Job) -> dict[str, Any]:
    """A finished run to follow."""
    run = await seeds.journal_run(services, job["deltas"])
    return {"run_id": run.run_id, "events": run.events}


KINDS: dict[str, Callable[[Services, Job], Awaitable[dict[str, Any]]]] = {
    "runs": runs,
    "follow": follow,
    "journal": journal,
}


async def work(data: Path, script: Path) -> None:
    """Do the jobs until stdin ends."""
    loop = asyncio.get_running_loop()
    async with seeds.engine_on(data, script, CoreSettings()) as services:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            job = json.loads(line)
            print(json.dumps(await KINDS[job["kind"]](services, job)), flush=True)


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), Path(sys.argv[2])))
