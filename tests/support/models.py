"""Models that a test can hold up: while they load, in their streams, and while they are unloaded."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from local_assistants.backends.models import LocalModels, ModelEntry, OnProgress
from local_assistants.engine.chat import Capabilities, ChatMessage, ChatRequest, Delta, TextDelta
from local_assistants.engine.errors import BackendFault, InvalidRequest
from local_assistants.engine.ports import Backend

from .clock import VirtualClock

GB = 1_000_000_000
REQUEST = ChatRequest((ChatMessage(role="user", content="hi"),))


class Machine:
    """What is in memory, and what happened, over all models."""

    def __init__(self) -> None:
        self.loaded: dict[str, int] = {}
        self.most = 0
        self.history: list[str] = []

    def took(self, name: str, size: int) -> None:
        """A model is in memory now, once."""
        assert name not in self.loaded
        self.loaded[name] = size
        self.most = max(self.most, sum(self.loaded.values()))
        self.history.append(f"+{name}")

    def gave(self, name: str) -> None:
        """It is not any more."""
        del self.loaded[name]
        self.history.append(f"-{name}")


class Model:
    """A model that can be held up: while it loads, in its streams, and while it closes."""

    def __init__(self, machine: Machine, name: str, size: int = GB) -> None:
        self.machine, self.name, self.size = machine, name, size
        self.loading, self.speaking, self.closing = (
            asyncio.Event(),
            asyncio.Event(),
            asyncio.Event(),
        )
        for gate in (self.loading, self.speaking, self.closing):
            gate.set()
        self.fault: Exception | None = None
        self.attempts = 0
        self.forgotten: list[str] = []
        self.validated: list[ChatRequest] = []

    def entry(
        self, *, idle_seconds: float | None = None, at_start: bool = False, weightless: bool = False
    ) -> ModelEntry:
        """How to load it."""

        def estimate(limit: int | None) -> int:
            if limit is not None and self.size > 100 * limit:
                raise BackendFault("a hundred times too large")
            return self.size

        return ModelEntry(
            self.open,
            None if weightless else estimate,
            self.validate,
            idle_seconds=idle_seconds,
            at_start=at_start,
        )

    def validate(self, request: ChatRequest) -> None:
        """Everything but seeds of 13."""
        self.validated.append(request)
        if request.seed == 13:
            raise InvalidRequest("an unlucky seed")

    async def open(self, on_progress: OnProgress) -> Backend:
        """Load; half of it before the gate."""
        self.attempts += 1
        on_progress(0.5)
        await self.loading.wait()
        if self.fault is not None:
            raise self.fault
        self.machine.took(self.name, self.size)
        return Loaded(self)


class Loaded:
    """The backend of a model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.closed = False

    @property
    def capabilities(self) -> Capabilities:
        """With the line for people."""
        return Capabilities(
            context_window=100, extra={"bytes": self.model.size, "detail": "on sand"}
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        """One a message."""
        assert not self.closed
        await asyncio.sleep(0)
        assert not self.closed
        return len(request.messages)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """The name, and after the gate its size; closed in between it is a bug."""
        del request
        assert not self.closed
        yield TextDelta(self.model.name)
        await self.model.speaking.wait()
        assert not self.closed
        yield TextDelta("!")

    async def forget(self, session: str) -> None:
        """Note it."""
        assert not self.closed
        self.model.forgotten.append(session)

    async def close(self) -> None:
        """Leave memory after the gate."""
        self.closed = True
        await self.model.closing.wait()
        self.model.machine.gave(self.model.name)


async def said(models: LocalModels, name: str) -> str:
    """What a turn of the model says."""
    backend = await models.backend(name)
    async with aclosing(backend.stream(REQUEST)) as deltas:
        return "".join([each.text async for each in deltas if isinstance(each, TextDelta)])


async def settle() -> None:
    """Let everything that can go on go on; threads that estimate included."""
    for _ in range(20):
        await asyncio.sleep(0.002)


def states(models: LocalModels) -> list[str]:
    """Of every model."""
    return [status.state for status in models.status()]


def trio(machine: Machine, *sizes: int) -> list[Model]:
    """Models a, b, c of these sizes."""
    return [Model(machine, name, size) for name, size in zip("abc", sizes, strict=False)]


def served(models: Sequence[Model], budget: int | None = None, **more: Any) -> LocalModels:
    """All of them, within a budget."""
    entries = {model.name: model.entry() for model in models}
    return LocalModels(entries, clock=VirtualClock(), budget=budget, **more)
