"""A server in which two rare things happen soon: a run lives for two seconds only, and a stream breaks when asked to.

Usage: python hasty.py MODEL DATA_FOLDER

A run whose metadata say `{"stream": "breaks"}` is an ordinary run, but what hands its events to the server raises after
the first word. Everything else is put together as `local-assistants serve` does.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from local_assistants import assemble
from local_assistants.engine.errors import StorageFault
from local_assistants.engine.events import Event
from local_assistants.engine.settings import CoreSettings
from local_assistants.server.app import create_app
from local_assistants.server.listening import listen, url_of
from local_assistants.server.settings import ServerSettings
from local_assistants.server.wire import http_options

RUN_LIFETIME = 2
DISK_GONE = "The disk is gone."


class Breaking:
    """The engine's services, or its runs, with streams that break."""

    def __init__(self, inner: Any, broken: set[str]) -> None:
        self._inner = inner
        self._broken = broken

    def __getattr__(self, name: str) -> Any:
        """Whatever is not changed here."""
        return getattr(self._inner, name)

    def of(self, project: str) -> "Breaking":
        """The services of a project."""
        return Breaking(self._inner.of(project), self._broken)

    @property
    def runs(self) -> "Breaking":
        """The use cases of runs."""
        return Breaking(self._inner.runs, self._broken)

    async def create(self, *args: Any) -> Any:
        """Make a run, and remember whether its stream has to break."""
        run = await self._inner.create(*args)
        if run.metadata.get("stream") == "breaks":
            self._broken.add(run.id)
        return run

    async def batches(
        self, run_id: str, *args: Any, **more: Any
    ) -> AsyncGenerator[Sequence[Event], None]:
        """The run's events."""
        async for batch in self._inner.batches(run_id, *args, **more):
            yield batch
            if run_id in self._broken and any(e.name == "thread.message.delta" for e in batch):
                raise StorageFault(DISK_GONE)


async def main(model: str, data: str) -> None:
    """Serve until the process is told to stop; the address is the first line of stdout."""
    core = CoreSettings(run_lifetime=RUN_LIFETIME)
    settings = assemble.Settings(model=model, data=Path(data), core=core)
    async with assemble.Engine.open(settings) as engine:
        app = create_app(engine.services, ServerSettings())
        app.state.services = Breaking(engine.services, set())
        config = uvicorn.Config(app, log_level="warning", **http_options())
        with listen("127.0.0.1", 0) as listener:
            print(url_of(listener), flush=True)  # noqa: T201
            await uvicorn.Server(config).serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
