"""Keeps a model process alive and has every errand done, whichever life of the process it takes.

When the process dies it is started again, at once the first time, then after growing pauses, and each errand goes on
where it was. Who may be at work then is told by `suspects`. A process that dies twice while it loads the model is not
started again before somebody wants something. One that does nothing for long while something is wanted is killed.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ....engine.chat import Capabilities
from ....engine.errors import AssistantsError, BackendFault
from ....engine.ports import Clock
from ..settings import LlamaSettings
from .errands import Errand
from .life import Died, Life
from .link import Link
from .messages import capabilities_of, fault_of, settings_written, typed
from .suspects import Suspects
from .wire import Message, WireError, frame

_log = logging.getLogger("local_assistants.model")
_TRIES = 2  # to load the model
_LONGEST_PAUSE = 30.0  # seconds
_CULPRIT = (
    "This request makes llama.cpp crash: the model's process ended twice while it answered nothing else. It is given "
    "up; the server and the other conversations go on. Report the input to llama.cpp, or change it."
)

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Supervision:
    """How a model process is run and watched.

    Attributes:
        window: fragments of one turn that may be under way or unread; then the turn waits for its reader.
        proof: steps after which a turn that was at work when the process died is cleared of suspicion.
        patience: seconds that the process may do nothing while something is wanted of it. One step of a large model on
            a slow processor takes a minute.
        farewell: seconds to end in, when told to; conversations are written to disk in them.
        steady: seconds of life after which earlier deaths no longer count.
        module: what the process runs; tests have it crash on purpose.
    """

    window: int = 32
    proof: int = 40  # more than a turn can be ahead of what was heard of it
    patience: float = 300.0
    farewell: float = 15.0
    steady: float = 60.0
    module: str = "local_assistants.backends.llama_cpp.isolation.worker"


class Supervisor:
    """The process of one model and what is wanted of it. Lives on one event loop."""

    def __init__(
        self, path: Path, settings: LlamaSettings, supervision: Supervision, clock: Clock
    ) -> None:
        self._path = path
        self._settings = settings
        self._supervision = supervision
        self._clock = clock
        self._errands: dict[int, Errand] = {}
        self._suspects: Suspects[Errand] = Suspects(supervision.proof)
        self._life: Life | None = None
        self._revival: asyncio.Task[None] | None = None
        self._on_progress: Progress | None = None
        self._deaths = 0  # since the last steady life
        self._closing = False
        self.capabilities = Capabilities(context_window=0)
        self.lives = 0

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._life.link.pid if self._life is not None and self._life.link else None

    @property
    def evaluated_tokens(self) -> int:
        """By the process in this life of it, as far as it has told."""
        return self._life.evaluated if self._life is not None else 0

    async def open(self, on_progress: Progress | None) -> None:
        """Start the process and load the model.

        Raises:
            AssistantsError: the model cannot be loaded, or the process dies of it.
        """
        self._on_progress = on_progress
        try:
            await self._bring_up()
        finally:
            self._on_progress = None

    def hand_in(self, errand: Errand) -> None:
        """Have something done.

        Raises:
            BackendFault: the model has been unloaded.
        """
        if self._closing:
            raise BackendFault("The model has been unloaded.")
        self._errands[errand.key] = errand
        self._suspects.add(errand)
        if self._life is None and self._revival is None:
            self._revival = asyncio.ensure_future(self._revive())
        self._hand_over()

    def withdraw(self, errand: Errand) -> None:
        """Nobody wants it any more. Harmless when it is done."""
        if self._errands.pop(errand.key, None) is None:
            return
        if self._suspects.drop(errand):
            self.send(frame({"kind": "cancel", "key": errand.key}))
        self._hand_over()

    def send(self, data: bytes) -> None:
        """Say something to the process, if there is one."""
        if self._life is not None and self._life.link is not None:
            self._life.link.send(data)

    async def close(self) -> None:
        """End everything: the process is told to, then made to."""
        self._closing = True
        if self._revival is not None:
            self._revival.cancel()
            await asyncio.gather(self._revival, return_exceptions=True)
        self._fail_all(BackendFault("The model was unloaded before it had answered."))
        life, self._life = self._life, None
        if life is not None and life.link is not None:
            life.link.send(frame({"kind": "close"}))
            await life.end(self._supervision.farewell)

    # --- lives -----------------------------------------------------------------------------------

    async def _bring_up(self) -> None:
        """Load the model in a new process.

        Raises:
            AssistantsError: it cannot be loaded.
        """
        reason = ""
        for _ in range(_TRIES):
            await self._clock.sleep(_pause(self._deaths))
            life = self._life = Life()
            try:
                await self._load(life)
            except Died as death:
                reason = str(death)
            except BaseException:
                self._life = None
                await life.end(0)
                raise
            else:
                return
        raise BackendFault(
            f"llama.cpp cannot load {self._path.name}: its process ended; the server's log says why.",
            detail=f"{self._path}: the process {reason}",
        )

    async def _load(self, life: Life) -> None:
        self.lives += 1
        life.link = await Link.start(
            self._supervision.module,
            self._path.name,
            lambda message: self._hear(life, message),
            lambda reason: self._lost(life, reason),
        )
        settings = settings_written(self._settings)
        life.link.send(frame({"kind": "open", "path": str(self._path), "settings": settings}))
        life.watch(self._clock, self._supervision.patience, self._is_awaited)
        self._learn(life, await life.loaded)
        life.since = self._clock.now()

    async def _revive(self) -> None:
        try:
            await self._bring_up()
        except AssistantsError as error:
            _log.error("the model's process does not come back: %s", error)
            self._fail_all(error)
        finally:
            self._revival = None
        self._hand_over()

    def _lost(self, life: Life, reason: str) -> None:
        """The process is dead."""
        life.over()
        if life is not self._life:
            return
        was_ready = life.ready
        self._life = None
        steady = was_ready and self._clock.now() - life.since >= self._supervision.steady
        self._deaths = 1 if steady else self._deaths + 1
        _log.warning("the model's process %s", reason)
        if not life.loaded.done():
            life.loaded.set_exception(Died(reason))
        if was_ready:
            self._accuse()
            self._revival = asyncio.ensure_future(self._revive())

    def _accuse(self) -> None:
        culprit = self._suspects.died()
        left = len(self._suspects.everybody)
        if culprit is not None:
            self._errands.pop(culprit.key, None)
            culprit.fail(BackendFault(_CULPRIT))
            _log.error("one request ends the model's process: it is given up, %d go on", left)
        elif left:
            _log.warning("starting the model again; %d requests go on where they were", left)

    def _is_awaited(self) -> bool:
        """Whether the process, its model loaded, has something to do."""
        return any(not errand.held_up for errand in self._suspects.at_work)

    # --- errands ---------------------------------------------------------------------------------

    def _hand_over(self) -> None:
        if self._life is None or not self._life.ready:
            return
        for errand in self._suspects.next():
            self.send(errand.ask())

    def _fail_all(self, error: AssistantsError) -> None:
        for errand in self._suspects.everybody:
            self._suspects.drop(errand)
            self._errands.pop(errand.key, None)
            errand.fail(error)

    def _hear(self, life: Life, message: Message) -> None:
        kind = typed(message, "kind", str)
        if kind == "pulse":
            self._feel(life, message)
            return
        life.quiet = 0.0
        if kind == "progress":
            if self._on_progress is not None and not life.ready:
                self._on_progress(min(max(typed(message, "share", float), 0.0), 1.0))
        elif message.get("key") is not None:
            self._take(kind, message)
        elif life.loaded.done():
            raise WireError("it spoke of being loaded again")
        elif kind == "ready":
            life.loaded.set_result(capabilities_of(message))
        else:
            life.loaded.set_exception(fault_of(message))

    def _feel(self, life: Life, message: Message) -> None:
        life.feel(typed(message, "evaluated", int))
        if message.get("capabilities") is not None:
            self._learn(life, capabilities_of(message))

    def _learn(self, life: Life, capabilities: Capabilities) -> None:
        """What the model can do, as it says now."""
        pid = life.link.pid if life.link else None
        extra = capabilities.extra | {"worker_pid": pid, "worker_starts": self.lives}
        self.capabilities = replace(capabilities, extra=extra)

    def _take(self, kind: str, message: Message) -> None:
        errand = self._errands.get(typed(message, "key", int))
        if errand is None or not self._suspects.is_at_work(errand):
            return  # it was withdrawn meanwhile
        if kind == "fault":
            errand.fail(fault_of(message))
            done = True
        else:
            done = errand.take(message)
        if done:
            del self._errands[errand.key]
            self._suspects.drop(errand)
        else:
            self._suspects.step(errand)
            if errand.held_up:
                self._suspects.clear(errand)
        self._hand_over()


def _pause(deaths: int) -> float:
    """Seconds before the process is started again: none at first, then doubling."""
    return 0.0 if deaths < 2 else min(0.5 * 2.0 ** min(deaths - 2, 16), _LONGEST_PAUSE)
