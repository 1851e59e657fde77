"""One model's place: how it is loaded, and how it is at the moment. Holds state, decides nothing (see `residency`)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ..engine.chat import Capabilities, ChatRequest
from ..engine.ports import Backend, ModelStatus

OnProgress = Callable[[float], None]
"""Hears how far a model is loaded, from 0 to 1; from any thread."""

Opener = Callable[[OnProgress], Awaitable[Backend]]
"""Loads a model. Cancelling it must leave nothing in memory."""

Estimate = Callable[[int | None], int]
"""(bytes that may be taken, None: all) -> bytes that the model will take. Blocks; raises what loading would raise."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model that can be loaded.

    Attributes:
        open: loads it.
        estimate: how much memory it will take; None: nothing worth counting (a script, another server).
        validate: raises InvalidRequest for what it could never answer; blocks.
        idle_seconds: it is unloaded when nobody has used it for so long; None: it stays.
        at_start: it is loaded before anybody asks for it.
    """

    open: Opener
    estimate: Estimate | None = None
    validate: Callable[[ChatRequest], None] | None = None
    idle_seconds: float | None = None
    at_start: bool = False


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@dataclass(slots=True, eq=False)
class Slot:
    """A model and its state.

    Attributes:
        load: the last attempt to load it.
        uses: streams and counts at work.
        unused: set while `uses` is 0.
        leaving: it takes no new uses and is unloaded when the last has ended.
        closing: its backend is being closed.
        used_at: when it was last used, by the clock.
        capabilities: the last known.
        status: for people.
    """

    name: str
    entry: ModelEntry
    status: ModelStatus
    backend: Backend | None = None
    load: asyncio.Task[None] | None = None
    watcher: asyncio.Task[None] | None = None
    closing: asyncio.Task[None] | None = None
    uses: int = 0
    unused: asyncio.Event = field(default_factory=_set_event)
    leaving: bool = False
    used_at: float = 0.0
    capabilities: Capabilities | None = None

    @property
    def usable(self) -> bool:
        """Whether a new use may begin at once."""
        return self.backend is not None and not self.leaving

    def take(self) -> Backend:
        """Count a use; `release` ends it. Only when there is a backend."""
        if self.backend is None:
            raise RuntimeError(f"{self.name} is not loaded")
        self.uses += 1
        self.unused.clear()
        return self.backend

    def release(self, now: float) -> None:
        """End a use."""
        self.uses -= 1
        self.used_at = now
        if not self.uses:
            self.unused.set()
