"""One of several servers on a data folder, in a process that may be killed; its tool writes down whose work it does.

Run with the data folder and where to write. Everything is the product's own but the model, which plays turns, and the
tool: each of its calls takes a moment and leaves two lines, for its beginning and its end.
"""

import asyncio
import json
import os
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import uvicorn

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.chat import ToolCall
from local_assistants.engine.clock import RandomIds, SystemClock
from local_assistants.engine.core import Core
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.ports import Emit, ToolResult, ToolSession
from local_assistants.engine.services import Services
from local_assistants.engine.settings import CoreSettings
from local_assistants.server.app import create_app
from local_assistants.server.listening import listen
from local_assistants.storage.blobs import FileBlobs
from local_assistants.storage.presence import Keeper, at_work
from local_assistants.storage.sqlite import SQLiteStore
from tests.support.engine import OneModel, ScriptedTool, Shelf
from tests.support.indexing_server import Server

STEPS = 3  # calls of each run
CALL_SECONDS = 0.02
SHARED = CoreSettings(
    lease=1.0, heartbeat=0.2, nudges=False, max_concurrent_runs=6, run_lifetime=3600
)


def turns() -> list[dict[str, Any]]:
    """So many calls, then an answer that takes a moment."""
    calls: list[dict[str, Any]] = [
        {"tool_calls": [{"name": "code_interpreter", "arguments": {"step": step}}]}
        for step in range(STEPS)
    ]
    return [*calls, {"text": "All of it is done.", "tokens_per_second": 200}]


def note(file: Path, **line: object) -> None:
    """One line, whole or not at all, however many processes write."""
    text = json.dumps(line | {"pid": os.getpid(), "at": time.monotonic()}) + "\n"
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, text.encode())
    os.close(handle)


async def serve(data: Path, notes: Path) -> None:
    """Serve until the process is killed."""

    async def work(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
        del emit
        step = json.loads(call.arguments)["step"]
        note(notes, run=session.run_id, step=step, begins=True)
        await asyncio.sleep(CALL_SECONDS)
        note(notes, run=session.run_id, step=step, begins=False)
        return ToolResult(f"{session.run_id} {step}")

    store, feed, clock = SQLiteStore.open(data / "store.db"), EventFeed(), SystemClock()
    keeper = Keeper(data)
    core = Core(
        store=store,
        blobs=FileBlobs(data / "blobs"),
        models=OneModel(ScriptedBackend.from_turns(turns())),
        tools={"code_interpreter": ScriptedTool("code_interpreter", work)},
        library=Shelf(),
        clock=clock,
        ids=RandomIds(),
        feed=feed,
        journal=Journal(store, feed, clock),
        settings=SHARED,
        keeps_house=keeper.keeps_house,
    )
    services = Services(core)
    with closing(keeper), at_work(data), listen("127.0.0.1", 0) as listener:
        await services.start()
        server = Server(uvicorn.Config(create_app(services), log_level="warning"))
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2])))
