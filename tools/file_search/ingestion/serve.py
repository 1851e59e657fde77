"""The worker process: reads, cuts and embeds for a library at the other end of a socket.

Started by `process` as `python -m ...serve DESCRIPTOR PARENT`. It lives as long as the socket is open: when the library
is gone it ends at once, whatever it is doing. It keeps nothing that would have to be saved. It is told by name,
"module:function", what makes its embedding model, and knows none itself.
"""

import asyncio
import ctypes
import importlib
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ....engine.errors import AssistantsError, ToolFault
from ..chunking.chunking import Sizes
from ..embedding.embedder import Embedder
from ..embedding.folder import Prompts
from ..parsing.limits import ParseLimits
from .frames import FrameError, Message, chunks_written, fault_written, frame, read_frame
from .inline import InlineWorker
from .worker import ExtractedChunk

_log = logging.getLogger("local_assistants.worker")
_PULSE = 2.0  # seconds
_PART = (
    1 << 18
)  # code points of chunks in one frame: what the other end takes in a few milliseconds
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_OOM_SCORE = "500"  # of 1000: when memory is short this goes before the server and the model


def main() -> None:
    """Serve the library until it has enough. Does not return."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    settle(parent)
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s", force=True
    )
    asyncio.run(_serve(socket.socket(fileno=descriptor)))


def settle(parent: int) -> None:
    """Be a good child: no core dumps, deaf to the terminal, first to go when memory is short, gone with `parent`."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_NAME, b"la-library")
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before the kernel knew that we want to know


async def _serve(line: socket.socket) -> None:
    try:
        reader, writer = await asyncio.open_unix_connection(sock=line)
        message, _ = await read_frame(reader)
        service = Service(_worker(message), writer)
        writer.write(frame({"ready": os.getpid()}))
        pulse = asyncio.create_task(service.pulse())
        while not pulse.done():
            message, _ = await read_frame(reader)
            service.take(message)
    except EOFError:
        pass  # the library is gone
    except Exception:
        _log.exception("the worker process gives up")
    # At once: threads of the model may be in the middle of a batch that nobody wants.
    sys.stderr.flush()
    os._exit(0)


def _worker(message: Message) -> InlineWorker:
    os.nice(int(message["nice"]))
    return InlineWorker(
        made(message["factory"], message["options"]),
        limits=ParseLimits(**message["limits"]),
        batch=int(message["batch"]),
        prompts=Prompts(**message["prompts"]),
    )


def made(factory: str, options: dict[str, Any]) -> Embedder:
    """The embedding model that `factory`, "module:function", makes of its options."""
    module, _, name = factory.partition(":")
    make: Callable[..., Embedder] = getattr(importlib.import_module(module), name)
    return make(**options)


class Service:
    """Answers calls, several at a time.

    Args:
        worker: does the work.
        writer: the way to the library.
    """

    def __init__(self, worker: InlineWorker, writer: asyncio.StreamWriter) -> None:
        self._worker = worker
        self._writer = writer
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._kinds: dict[str, Callable[[int, Message], Awaitable[None]]] = {
            "extract": self._extract,
            "embed": self._embed,
            "encode": self._encode,
        }

    def take(self, message: Message) -> None:
        """Begin a call, or end one that nobody waits for any more.

        Raises:
            FrameError: it is none.
        """
        key = int(message["key"])
        if message["do"] == "cancel":
            if key in self._calls:
                self._calls[key].cancel()
            return
        if message["do"] not in self._kinds:
            raise FrameError(f"it asked for {message['do']!r}")
        call = asyncio.create_task(self._answer(key, message))
        self._calls[key] = call
        call.add_done_callback(lambda _: self._calls.pop(key, None))

    async def pulse(self) -> None:
        """Tell at intervals how far the model has got."""
        while True:
            await asyncio.sleep(_PULSE)
            self._writer.write(frame({"pulse": self._worker.steps}))

    async def _answer(self, key: int, message: Message) -> None:
        try:
            await self._kinds[message["do"]](key, message)
        except AssistantsError as error:
            await self._say(fault_written(key, error))
        except Exception as error:
            _log.exception("a call failed")
            fault = ToolFault(
                "The worker process failed; the server's log says why.",
                detail=f"{type(error).__name__}: {error}",
            )
            await self._say(fault_written(key, fault))

    async def _extract(self, key: int, message: Message) -> None:
        sizes = Sizes(*message["sizes"])
        found = await self._worker.extract(Path(message["path"]), message["filename"], sizes)
        for chunks in _parts(found.chunks):
            await self._say({"part": chunks_written(chunks), "key": key})
        done = {"done": found.text_bytes, "key": key, "unreadable": found.unreadable}
        await self._say(done)

    async def _embed(self, key: int, message: Message) -> None:
        vectors = await self._worker.embed(
            [(heading, text) for heading, text in message["passages"]]
        )
        await self._say({"done": len(vectors), "key": key}, b"".join(vectors))

    async def _encode(self, key: int, message: Message) -> None:
        vectors = await self._worker.encode(message["queries"])
        await self._say({"done": len(vectors), "key": key}, b"".join(vectors))

    async def _say(self, message: Message, payload: bytes = b"") -> None:
        self._writer.write(frame(message, payload))
        await self._writer.drain()


def _parts(chunks: Sequence[ExtractedChunk]) -> list[list[ExtractedChunk]]:
    """The chunks in portions of a size that can be handed over without holding anybody up."""
    parts: list[list[ExtractedChunk]] = []
    room = 0
    for chunk in chunks:
        if not parts or room < len(chunk.text):
            parts.append([])
            room = _PART
        parts[-1].append(chunk)
        room -= len(chunk.text)
    return parts


if __name__ == "__main__":
    main()
