"""Runs in tests of the core: turns they are made of, workers that hold back, a run in mid-sentence."""

import asyncio
from dataclasses import replace
from typing import Any

from local_assistants.engine.objects import Message, Run, TextContent

from .engine import FAST, House, calls

HANG: dict[str, Any] = {"text": "Hello th", "hang": True}
"""A turn that is never finished."""
TWO_CALLS = calls("add", {"a": 1}, {"a": 2})
"""A turn that calls the client's function twice, as call_1 and call_2."""
SPENT = {"prompt_tokens": 10, "completion_tokens": 5}
"""What a turn reports as its usage."""
STILL = replace(FAST, heartbeat=10_000.0)
"""A worker that looks only once at leases and overdue runs, when it starts."""
IDLE = replace(FAST, max_concurrent_runs=0)
"""A worker that executes nothing and only looks at what is overdue."""


async def idle(home: House) -> None:
    """Wait until its worker executes nothing."""
    for _ in range(2000):
        if not home.services.worker.executing:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("the worker is still executing runs")


async def speaking(home: House) -> Run:
    """A run in the middle of a message."""
    run = await home.ask()
    await home.until(run, "thread.message.delta")
    return run


def text_of(message: Message) -> str:
    """The text of a message."""
    return "".join(part.text.value for part in message.content if isinstance(part, TextContent))
