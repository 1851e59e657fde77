"""The model process: runs one `LlamaCppBackend` for a host at the other end of a socket.

Started by `link` as `python -m ...worker DESCRIPTOR PARENT NAME`. It lives as long as the socket is open: when the host
is gone it ends at once, whatever it is doing. It expects no signal of a terminal or of a service manager; the host
tells it when to end.
"""

import asyncio
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from ....engine.errors import AssistantsError, BackendFault
from ..backend import LlamaCppBackend
from ..outlet import is_last
from ..settings import LlamaSettings
from .messages import (
    capabilities_written,
    fault_written,
    fragment_written,
    request_of,
    settings_of,
)
from .wire import MOST_TO_WORKER, Message, Wire, frame

_log = logging.getLogger("local_assistants.model")
_PULSE = 0.5  # seconds
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_OOM_SCORE = "400"  # of 1000: when memory is short the model goes before the server

Opener = Callable[[Path, LlamaSettings, Callable[[float], None]], Awaitable[LlamaCppBackend]]


def main(opener: Opener = LlamaCppBackend.open) -> None:
    """Serve the host until it has enough. Does not return.

    Args:
        opener: loads the model; other ones are for tests.
    """
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _settle(parent)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    asyncio.run(_serve(socket.socket(fileno=descriptor), opener))
    sys.stderr.flush()
    os._exit(0)  # everything is closed; exit handlers of GPU libraries are known to crash


async def _serve(line: socket.socket, opener: Opener) -> None:
    worker = Worker(opener)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, worker.terminate)
    _, wire = await loop.create_unix_connection(
        lambda: Wire(worker.hear, _orphaned, most=MOST_TO_WORKER), sock=line
    )
    await worker.serve(wire)


class Worker:
    """Does what the host says, on its event loop; the model works on threads of its own."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._credits: dict[int, _Credit] = {}
        self._loading: asyncio.Task[None] | None = None
        self._loaded: LlamaCppBackend | None = None
        self._told = -1.0  # the last progress
        self._leaving = asyncio.Event()
        self._wire: Wire | None = None

    async def serve(self, wire: Wire) -> None:
        """Until the host says that it has enough."""
        self._wire = wire
        pulse = asyncio.ensure_future(self._pulse())
        await self._leaving.wait()
        pulse.cancel()
        tasks = [*self._tasks.values(), *([self._loading] if self._loading else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._loaded is not None:
            await self._loaded.close()

    def terminate(self) -> None:
        """SIGTERM: from the host when it has waited long enough, from anybody else nothing that concerns us."""
        if self._leaving.is_set():
            os._exit(143)

    def hear(self, message: Message) -> None:
        """A message of the host's, which is trusted."""
        match message["kind"]:
            case "open":
                self._loading = asyncio.ensure_future(self._open(message))
            case "ask":
                self._credits[message["key"]] = _Credit(message["credit"])
                self._start(message, self._answer(message))
            case "count":
                self._start(message, self._count(message))
            case "forget":
                self._start(message, self._forget(message))
            case "credit":
                if message["key"] in self._credits:
                    self._credits[message["key"]].add(message["more"])
            case "cancel":
                if message["key"] in self._tasks:
                    self._tasks[message["key"]].cancel()
            case "close":
                self._leaving.set()
            case kind:
                _log.error("the host said %r, which means nothing here", kind)

    @property
    def _backend(self) -> LlamaCppBackend:
        if self._loaded is None:
            raise BackendFault("The model is not loaded.")
        return self._loaded

    async def _open(self, message: Message) -> None:
        loop = asyncio.get_running_loop()

        def on_progress(share: float) -> None:
            if share - self._told >= 0.01 or share == 1:
                self._told = share
                loop.call_soon_threadsafe(self._say, {"kind": "progress", "share": float(share)})

        try:
            path, settings = Path(message["path"]), settings_of(message)
            self._loaded = await self._opener(path, settings, on_progress)
            capabilities = capabilities_written(self._loaded.capabilities)
            self._say({"kind": "ready", "capabilities": capabilities})
        except AssistantsError as error:
            self._say(fault_written(None, error))
        except Exception as error:
            _log.exception("the model cannot be loaded")
            self._say(
                fault_written(
                    None,
                    BackendFault(
                        "The model cannot be loaded; the server's log says why.", detail=repr(error)
                    ),
                )
            )

    def _start(self, message: Message, doing: Coroutine[Any, Any, None]) -> None:
        key: int = message["key"]
        task = self._tasks[key] = asyncio.ensure_future(self._do(key, doing))
        task.add_done_callback(lambda _: self._forget_task(key))

    def _forget_task(self, key: int) -> None:
        self._tasks.pop(key, None)
        self._credits.pop(key, None)

    async def _do(self, key: int, doing: Coroutine[Any, Any, None]) -> None:
        """Do something; what goes wrong with it goes to the host."""
        try:
            await doing
        except AssistantsError as error:
            self._say(fault_written(key, error))
        except Exception as error:
            _log.exception("a request failed in a way that nobody thought of")
            self._say(
                fault_written(
                    key,
                    BackendFault(
                        "The model failed; the server's log says why.", detail=repr(error)
                    ),
                )
            )

    async def _answer(self, message: Message) -> None:
        key, credit = message["key"], self._credits[message["key"]]
        answer = self._backend.answer(request_of(message), message["said"])
        async with aclosing(answer) as fragments:
            async for fragment in fragments:
                await credit.take()
                self._say(fragment_written(key, fragment))
                if is_last(fragment):
                    return
        raise BackendFault("The turn ended without an end.")

    async def _count(self, message: Message) -> None:
        count = await self._backend.count_tokens(request_of(message))
        self._say({"kind": "done", "key": message["key"], "value": count})

    async def _forget(self, message: Message) -> None:
        await self._backend.forget(message["session"])
        self._say({"kind": "done", "key": message["key"]})

    async def _pulse(self) -> None:
        """Tell at intervals that this loop runs, and whether the model gets on."""
        while True:
            await asyncio.sleep(_PULSE)
            pulse: Message = {"kind": "pulse", "evaluated": 0, "capabilities": None}
            if self._loaded is not None:
                pulse["evaluated"] = self._loaded.evaluated_tokens
                pulse["capabilities"] = capabilities_written(self._loaded.capabilities)
            self._say(pulse)

    def _say(self, message: Message) -> None:
        if self._wire is not None:
            self._wire.send(frame(message))


class _OneLine(logging.Formatter):
    """Tracebacks included: the host takes each line for itself."""

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", " | ")


class _Credit:
    """How many fragments of a turn the host still has room for."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._more = asyncio.Event()

    def add(self, count: int) -> None:
        """The host has read some."""
        self._count += count
        self._more.set()

    async def take(self) -> None:
        """Wait for room for one more, and take it."""
        while self._count == 0:
            self._more.clear()
            await self._more.wait()
        self._count -= 1


def _orphaned(_reason: str) -> None:
    """The host is gone, or we no longer understand it: nobody is left to work for."""
    os._exit(1)


def _settle(parent: int) -> None:
    """Be a good child: no core dumps, deaf to the terminal, first to go when memory is short, gone with `parent`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_NAME, b"la-model")
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before the kernel knew that we want to know


if __name__ == "__main__":
    main()
