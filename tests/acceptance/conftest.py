"""A real server on a free loopback port, put together as `local-assistants serve` does, over scripted turns."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_assistants import assemble, serving

Turns = list[dict[str, Any]]
ServeScript = Callable[[Turns], str]


class LiveServer:
    """`serving.serve_forever` in a thread of its own; `stop` ends it as Ctrl-C would."""

    def __init__(self, settings: assemble.Settings) -> None:
        self.address = ""
        self._settings = settings
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._serving: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> str:
        """Serve; returns the address once requests are answered."""
        self._thread.start()
        assert self._ready.wait(60), "the server did not come up"
        if self._failure is not None:
            raise self._failure
        return self.address

    def stop(self) -> None:
        """Stop and wait."""
        if self._serving is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(30)
        assert not self._thread.is_alive(), "the server did not stop"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as failure:
            self._failure = failure
        finally:
            self._ready.set()
            self._loop.close()

    async def _main(self) -> None:
        def announce(address: str) -> None:
            self.address = address
            self._ready.set()

        self._serving = asyncio.ensure_future(serving.serve_forever(self._settings, announce))
        await self._serving


@pytest.fixture
def serve_settings() -> Iterator[Callable[[assemble.Settings], LiveServer]]:
    """Start servers that are stopped at the end of the test."""
    servers: list[LiveServer] = []

    def serve(settings: assemble.Settings) -> LiveServer:
        server = LiveServer(settings)
        servers.append(server)
        server.start()
        return server

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture
def serve_script(
    serve_settings: Callable[[assemble.Settings], LiveServer], tmp_path: Path
) -> ServeScript:
    """Serve a model that plays these turns; returns the server's address."""

    def serve(turns: Turns) -> str:
        script = tmp_path / "script.yaml"
        script.write_text(yaml.safe_dump({"turns": turns}))
        settings = assemble.Settings(model=f"scripted:{script}", data=tmp_path / "data", port=0)
        return serve_settings(settings).address

    return serve
