"""A real server on a free loopback port, put together as `local-assistants serve` does."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from local_assistants import assemble, serving

Turns = list[dict[str, Any]]


class LiveServer:
    """`serving.serve_forever` in a thread of its own; `stop` ends it as Ctrl-C would, without waiting for runs."""

    def __init__(self, settings: assemble.Settings) -> None:
        self.address = ""
        self._settings = replace(settings, drain_seconds=0)
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


def playing(turns: Turns, folder: Path) -> assemble.Settings:
    """Settings of a server whose model plays these turns; script and data lie in `folder`."""
    script = folder / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": turns}))
    return assemble.Settings(model=f"scripted:{script}", data=folder / "data", port=0)
