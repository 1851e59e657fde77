"""The models of one installation (ports.Models): names from `model_names`, memory from `residency`.

It knows no file format: it is given an entry for each model. Callers get a backend that stays the same for good; behind
it the model may be unloaded while nobody streams, and is loaded again by the next stream.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing

from ..engine.chat import Capabilities, ChatRequest, Delta
from ..engine.clock import SystemClock
from ..engine.errors import BackendFault
from ..engine.objects import Model
from ..engine.observer import Observer
from ..engine.ports import Backend, Clock, ModelStatus
from .model_names import ModelNames
from .residency import Residency
from .slots import ModelEntry, OnProgress, Opener

__all__ = ["LocalModels", "ModelEntry", "OnProgress", "Opener"]


class LocalModels:
    """`ports.Models` over entries.

    Args:
        entries: name -> how to load it; the first one is the default.
        aliases: further name -> name of an entry.
        created: Unix seconds that the list shows.
        unsuited: names of models that are here, but not for conversations (the embedder).
        clock: by which models get idle.
        budget: bytes that all loaded models may take together; None: no limit.
        erase: wipes what is kept on disk for a conversation, for all models; blocks.
        observers: hear of every change of a model's state; may grow later.
    """

    def __init__(
        self,
        entries: Mapping[str, ModelEntry],
        aliases: Mapping[str, str] | None = None,
        created: int = 0,
        unsuited: Collection[str] = (),
        *,
        clock: Clock | None = None,
        budget: int | None = None,
        erase: Callable[[str], None] | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._entries = dict(entries)
        self._names = ModelNames(self._entries, aliases or {}, unsuited)
        self._created = created
        self._erase = erase
        self._residency = Residency(self._entries, clock or SystemClock(), budget, observers)
        self._backends = {name: _Held(name, self._residency) for name in self._entries}

    def start(self) -> None:
        """Begin to load the models that are wanted at start; returns at once."""
        self._residency.start()

    def list(self) -> Sequence[Model]:
        """The models themselves, without the names that merely lead to them."""
        return [
            Model(id=name, created=self._created, owned_by="local-assistants")
            for name in self._entries
        ]

    def resolve(self, name: str) -> str:
        """The model that answers for `name`; raises as `ModelNames.resolve`."""
        return self._names.resolve(name)

    async def backend(self, name: str) -> Backend:
        """The backend of a resolved name, loaded. Several callers share one load; a failed one is tried again."""
        await self._residency.wanted(name)
        return self._backends[name]

    async def validate(self, name: str, request: ChatRequest) -> None:
        """Refuse what the model of a resolved name could never answer; it is not loaded for this."""
        check = self._entries[name].validate
        if check is not None:
            await asyncio.to_thread(check, request)

    async def forget(self, session: str) -> None:
        """Erase what is kept for a conversation: by loaded models, and on disk."""
        await self._residency.forget(session)
        if self._erase is not None:
            await asyncio.to_thread(self._erase, session)

    def status(self) -> Sequence[ModelStatus]:
        """Every model with how it is."""
        return self._residency.statuses()

    async def check(self) -> None:
        """Raise if a model failed to load, or is wanted at start and not there yet.

        Raises:
            BackendFault: says which, and why.
        """
        statuses = self.status()
        failed = [status for status in statuses if status.state == "failed"]
        if failed:
            texts = [f"{each.name}: {each.detail}" for each in failed]
            raise BackendFault(failed[0].detail if len(statuses) == 1 else " ".join(texts))
        starting = [f"{each.name} ({each.progress:.0%})" for each in self._residency.starting()]
        if starting:
            raise BackendFault(f"Being loaded: {', '.join(starting)}.")

    async def close(self) -> None:
        """Unload everything."""
        await self._residency.close()


class _Held:
    """A model as callers hold it, loaded or not."""

    def __init__(self, name: str, residency: Residency) -> None:
        self._name = name
        self._residency = residency

    @property
    def capabilities(self) -> Capabilities:
        """The loaded model's, else those it had when it was."""
        return self._residency.capabilities(self._name)

    async def count_tokens(self, request: ChatRequest) -> int:
        """Prompt tokens this request would take."""
        async with self._residency.use(self._name) as backend:
            return await backend.count_tokens(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta]:
        """One turn; raises as the model's own."""
        async with (
            self._residency.use(self._name) as backend,
            aclosing(backend.stream(request)) as deltas,
        ):
            async for delta in deltas:
                yield delta

    async def forget(self, session: str) -> None:
        """Every model's business: `LocalModels.forget`."""
        await self._residency.forget(session)

    async def close(self) -> None:
        """Nothing: others may hold it, too."""
