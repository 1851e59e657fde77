"""The `Worker` port over a process of its own, so that the server imports no torch and outlives whatever a file does.

The process is started by the first call and ended when nobody has called for a while. When it dies it is started again
and every call is asked again: those that it was at work on one at a time, so that the one that ends it, ends it alone.
Only that one fails. It belongs to one event loop.
"""

import asyncio
import itertools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ....engine.errors import AssistantsError, InvalidRequest, ToolFault
from ..chunking.chunking import Sizes
from ..embedding.folder import Prompts
from ..embedding.windows import Passage
from ..parsing.limits import ParseLimits
from ..settings import WorkerSettings
from .calls import Call
from .frames import FrameError, Message, frame
from .process import Process
from .worker import Extracted

_log = logging.getLogger("local_assistants.worker")
_TRIES = 2  # to start the process before the calls that wait for it fail
_LONGEST_PAUSE = 10.0  # seconds
_LOOKS = 10  # of the watchdog in the time that it allows
_CLOSED = "File search is closed."
_CULPRIT = (
    "The file could not be parsed: reading it ended the worker process of file search twice. Save it in another "
    "format, or split it."
)
_CULPRIT_TEXT = (
    "The embedding model cannot read this text: it ended the worker process of file search twice."
)


@dataclass(frozen=True, slots=True)
class Model:
    """The embedding model, as a process can be told of it.

    Attributes:
        factory: "module:function", makes the `Embedder` of the options.
        options: the function's arguments, as JSON.
        recipe: see the port.
        prompts: what it wants in front of a text.
    """

    factory: str
    options: Mapping[str, Any]
    recipe: str
    prompts: Prompts = field(default_factory=Prompts)


class ProcessWorker:
    """See the port for what each method promises."""

    def __init__(
        self,
        model: Model,
        settings: WorkerSettings | None = None,
        limits: ParseLimits | None = None,
    ) -> None:
        self._model = model
        self._settings = settings or WorkerSettings()
        self._limits = limits or ParseLimits()
        self._keys = itertools.count(1)
        self._calls: dict[int, Call] = {}
        self._process: Process | None = None
        self._starting: asyncio.Task[None] | None = None
        self._watchdog: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._deaths = 0  # without an answer between them
        self._ready = False  # whether the process can be asked
        self._quiet = 0.0  # seconds without a sign of work
        self._steps = 0  # that the process has told of
        self._closed = False
        self.starts = 0

    @property
    def recipe(self) -> str:
        return self._model.recipe

    @property
    def pid(self) -> int | None:
        """The process; None while there is none."""
        return self._process.pid if self._process is not None else None

    async def extract(self, path: Path, filename: str, sizes: Sizes) -> Extracted:
        """Parse and cut the file at `path`; cancelling ends the work on it."""
        asked = {
            "do": "extract",
            "path": str(path),
            "filename": filename,
            "sizes": [sizes.tokens, sizes.overlap],
        }
        found: Extracted = await self._answer(Call(next(self._keys), asked))
        return found

    async def embed(self, passages: Sequence[Passage]) -> list[bytes]:
        """A vector for each passage."""
        asked = {"do": "embed", "passages": list(passages)}
        vectors: list[bytes] = await self._answer(Call(next(self._keys), asked, len(passages)))
        return vectors

    async def encode(self, queries: Sequence[str]) -> list[bytes]:
        """A vector for each query, before any passage that waits."""
        asked = {"do": "encode", "queries": list(queries)}
        vectors: list[bytes] = await self._answer(Call(next(self._keys), asked, len(queries)))
        return vectors

    async def close(self) -> None:
        """End the process. May be called twice; calls that are not answered fail."""
        self._closed = True
        self._fail_all(ToolFault(_CLOSED))
        if self._idle is not None:
            self._idle.cancel()
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._end()

    # --- calls -------------------------------------------------------------------------------------

    async def _answer(self, call: Call) -> Any:
        if self._closed:
            raise ToolFault(_CLOSED)
        self._calls[call.key] = call
        self._hand_over()
        try:
            return await call.answer
        finally:
            del self._calls[call.key]
            if call.sent and call.answer.cancelled() and self._process is not None:
                self._process.send(frame({"do": "cancel", "key": call.key}))
            self._hand_over()

    def _hand_over(self) -> None:
        """Ask the process what it may be asked now; start it if there is none."""
        self._mind_idleness()
        if not self._calls or self._starting is not None:
            return
        if self._process is None:
            self._starting = asyncio.create_task(self._start())
            return
        if not self._ready:
            return
        # After a death: each call that may have been the reason has the process for itself.
        suspects = [call for call in self._calls.values() if call.suspect]
        for call in suspects[:1] or list(self._calls.values()):
            if not call.sent:
                self._process.send(call.ask())

    def _heard(self, message: Message, payload: bytes) -> None:
        if "pulse" in message:
            if message["pulse"] != self._steps:
                self._steps, self._quiet = message["pulse"], 0.0
            return
        self._quiet = 0.0
        if "ready" in message:
            self._ready = True
            self._hand_over()
            return
        self._deaths = 0
        key = message.get("key")
        if not isinstance(key, int):
            raise FrameError("it answered nothing that was asked")
        call = self._calls.get(key)
        if call is not None:
            call.take(message, payload)

    def _fail_all(self, error: AssistantsError) -> None:
        for call in list(self._calls.values()):
            call.fail(error)

    # --- lives -------------------------------------------------------------------------------------

    async def _start(self) -> None:
        """Bring up a process for the calls that wait."""
        try:
            await asyncio.sleep(_pause(self._deaths))
            if self._closed:
                return
            self.starts += 1
            self._ready, life = False, self.starts
            self._process = await Process.start(
                self._settings.threads, self._heard, lambda reason: self._lost(life, reason)
            )
            self._process.send(frame(self._opening()))
            self._watchdog = asyncio.create_task(self._watch(self._process))
        except AssistantsError as error:
            self._fail_all(error)
        finally:
            self._starting = None

    def _opening(self) -> Message:
        return {
            "factory": self._model.factory,
            "options": dict(self._model.options),
            "prompts": asdict(self._model.prompts),
            "limits": asdict(self._limits),
            "batch": self._settings.batch,
            "nice": self._settings.niceness,
        }

    def _lost(self, life: int, reason: str) -> None:
        """The process is dead, unasked."""
        if self._process is None or life != self.starts:
            return
        self._process = None
        if self._watchdog is not None:
            self._watchdog.cancel()
        at_work = [call for call in self._calls.values() if call.sent and not call.answer.done()]
        for call in at_work:
            call.forget()
        self._deaths += 1
        _log.warning("the worker process of file search %s", reason)
        self._accuse(at_work)
        if not self._ready and self._deaths >= _TRIES:
            self._fail_all(
                ToolFault(
                    "The worker process of file search does not start; the server's log says why.",
                    detail=f"it {reason}",
                    passing=True,
                )
            )
        self._hand_over()

    def _accuse(self, at_work: Sequence[Call]) -> None:
        if len(at_work) == 1 and at_work[0].suspect:
            culprit = at_work[0]
            culprit.fail(
                InvalidRequest(_CULPRIT, code="invalid_file")
                if culprit.is_file
                else ToolFault(_CULPRIT_TEXT)
            )
        for call in at_work:
            call.suspect = True

    async def _end(self) -> None:
        process, self._process = self._process, None
        if self._watchdog is not None:
            self._watchdog.cancel()
        if process is not None:
            await process.end()

    async def _watch(self, process: Process) -> None:
        """Kill the process when it does nothing for long while something is wanted of it."""
        patience = max(self._settings.patience, self._limits.seconds * 2)
        look = patience / _LOOKS
        self._quiet = 0.0
        while True:
            await asyncio.sleep(look)
            self._quiet = self._quiet + look if self._calls else 0.0
            if self._quiet >= patience:
                _log.error("the worker process did nothing for %.0f seconds", self._quiet)
                process.kill()
                return

    def _mind_idleness(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if not self._calls and self._process is not None and not self._closed:
            loop = asyncio.get_running_loop()
            self._idle = loop.call_later(self._settings.idle_seconds, self._rest)

    def _rest(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _log.info("the worker process of file search rests; the next call starts it again")
            process.kill()
        if self._watchdog is not None:
            self._watchdog.cancel()


def _pause(deaths: int) -> float:
    """Seconds before the process is started again: none at first, then doubling."""
    return 0.0 if deaths < 2 else min(0.25 * 2.0 ** min(deaths - 2, 16), _LONGEST_PAUSE)
