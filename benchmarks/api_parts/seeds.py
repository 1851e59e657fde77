"""Fills data folders before a server takes them: a finished run with a long journal, threads with many messages.

Written through the store's own port in large transactions: a hundred thousand requests would take minutes.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from local_assistants import assemble
from local_assistants.engine.core import Core
from local_assistants.engine.events import EventName
from local_assistants.engine.objects import Thread
from local_assistants.engine.ports import Transaction
from local_assistants.engine.requests import (
    CreateAssistant,
    CreateMessage,
    CreateThread,
    CreateThreadAndRun,
)
from local_assistants.engine.services import Services
from local_assistants.engine.services.threads import add_message, make_thread
from local_assistants.engine.settings import CoreSettings

AT_ONCE = CoreSettings(flush_interval=0.0)
"""Each token is an event of its own, journaled as soon as the one before is on disk. By default deltas are collected
for 25 ms, so that no run has more than 40 a second."""

_BATCH = 2000  # messages of one transaction


@dataclass(frozen=True, slots=True)
class Journaled:
    """A finished run."""

    thread_id: str
    run_id: str
    events: int


def write_script(path: Path, text: str, **turn: float) -> Path:
    """A script of one turn."""
    path.write_text(yaml.safe_dump({"turns": [{"text": text, **turn}]}), encoding="utf-8")
    return path


@asynccontextmanager
async def engine_on(data: Path, script: Path, core: CoreSettings) -> AsyncIterator[Services]:
    """An embedded engine on a data folder."""
    settings = assemble.Settings(model=f"scripted:{script}", data=data, core=core)
    async with assemble.Engine.open(settings) as engine:
        yield engine.services


async def new_run(services: Services, text: str) -> CreateThreadAndRun:
    """The request for a run on a new thread with one message."""
    assistant = await services.assistants.create(CreateAssistant(model="default"))
    body = {
        "assistant_id": assistant.id,
        "thread": {"messages": [{"role": "user", "content": text}]},
    }
    return CreateThreadAndRun.model_validate(body)


async def journal_run(services: Services, deltas: int) -> Journaled:
    """A finished run with so many deltas: one of a single delta is played, then told again with that delta repeated.

    Played at full speed, deltas would be joined while the one before waits for the disk.
    """
    core = services.core
    run = await services.runs.create_with_thread(await new_run(services, "word "))
    told = [event async for event in services.runs.stream(run.id)]
    long = (await services.runs.get(run.thread_id, run.id)).model_copy(
        update={"id": core.ids.new("run")}
    )

    def write(tx: Transaction) -> int:
        tx.put(long)
        for event in told:
            data = json.loads(json.dumps(event.data).replace(run.id, long.id))
            for _ in range(deltas if event.name is EventName.MESSAGE_DELTA else 1):
                tx.append_event(long.id, event.name, data)
        return tx.last_seq(long.id)

    return Journaled(long.thread_id, long.id, await core.store.write(write))


async def fill_threads(services: Services, sizes: list[int]) -> list[str]:
    """Threads with so many messages each; their ids."""
    core = services.core
    ids: list[str] = []
    for size in sizes:
        thread = await core.store.write(lambda tx: make_thread(tx, core, CreateThread()))
        for first in range(0, size, _BATCH):
            numbers = range(first, min(size, first + _BATCH))
            await core.store.write(partial(_add, core=core, thread=thread, numbers=numbers))
        ids.append(thread.id)
    return ids


def _add(tx: Transaction, *, core: Core, thread: Thread, numbers: range) -> None:
    _, first = add_message(tx, core, thread, CreateMessage(role="user", content="some words " * 10))
    for _ in numbers[1:]:
        tx.put(first.model_copy(update={"id": core.ids.new("message")}))
