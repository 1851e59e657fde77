"""The models of one installation by name: which there are, which name means which, loaded when first asked for.

Code written for the hosted service names hosted models; such names are answered by the default model, so that it runs
unchanged. Names of models that embed, draw or transcribe are refused. Any other unknown name is an error. This module
knows no file format: it is given one opener per model.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from ..engine.chat import ChatRequest
from ..engine.errors import ModelNotFound, UnsuitedModel
from ..engine.objects import Model
from ..engine.ports import Backend, ModelStatus

Opener = Callable[[], Awaitable[Backend]]
"""Loads a model; called once."""

HOSTED_NAMES = re.compile(r"(?:ft:)?(?:gpt-|chatgpt-|o[1-9]).*|default", re.IGNORECASE)

HOSTED_UNSUITED = re.compile(
    r"text-embedding-.*|.*moderation.*|whisper.*|tts-.*|dall-e-.*|gpt-image-.*|sora-.*|babbage-.*|davinci-.*"
    r"|gpt-.*-(?:tts|transcribe|realtime|audio)(?:-.*)?",
    re.IGNORECASE,
)


class LocalModels:
    """`ports.Models` over openers.

    Args:
        openers: name -> opener; the first one is the default.
        aliases: further name -> name of an opener.
        created: Unix seconds that the list shows.
        unsuited: names of models that are here, but not for conversations (the embedder).
    """

    def __init__(
        self,
        openers: Mapping[str, Opener],
        aliases: Mapping[str, str] | None = None,
        created: int = 0,
        unsuited: Collection[str] = (),
    ) -> None:
        self._unsuited = frozenset(unsuited)
        self._openers = dict(openers)
        self._aliases = dict(aliases or {})
        self._default = next(iter(self._openers))
        self._created = created
        self._loading: dict[str, asyncio.Task[Backend]] = {}

    def list(self) -> Sequence[Model]:
        """The models themselves, without the names that merely lead to them."""
        return [
            Model(id=name, created=self._created, owned_by="local-assistants")
            for name in self._openers
        ]

    def resolve(self, name: str) -> str:
        """The model that answers for `name`.

        Raises:
            ModelNotFound: it is neither served here nor a hosted model's name.
            UnsuitedModel: it does not talk.
        """
        if name in self._openers:
            return name
        if name in self._aliases:
            return self._aliases[name]
        if name in self._unsuited or HOSTED_UNSUITED.fullmatch(name):
            raise UnsuitedModel(
                f"The requested model '{name}' cannot be used with the Assistants API.",
                param="model",
            )
        if HOSTED_NAMES.fullmatch(name):
            return self._default
        raise ModelNotFound(f"The model '{name}' does not exist", param="model")

    async def backend(self, name: str) -> Backend:
        """The backend of a resolved name. Several callers share one load; a failed load is tried again."""
        task = self._loading.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(self._openers[name]())
            self._loading[name] = task
        return await asyncio.shield(task)

    async def validate(self, name: str, request: ChatRequest) -> None:
        """Refuse what a model could never answer: here none says of any request that it could not."""

    async def forget(self, session: str) -> None:
        """Have every loaded model erase what it keeps for a conversation."""
        for task in self._ready():
            await task.result().forget(session)

    def status(self) -> Sequence[ModelStatus]:
        """Every model with how it is."""
        return [self._status(name) for name in self._openers]

    def _ready(self) -> Sequence["asyncio.Task[Backend]"]:
        done = [task for task in self._loading.values() if task.done() and not task.cancelled()]
        return [task for task in done if task.exception() is None]

    def _status(self, name: str) -> ModelStatus:
        task = self._loading.get(name)
        if task is None or (task.done() and task.cancelled()):
            return ModelStatus(name, "unloaded")
        if not task.done():
            return ModelStatus(name, "loading")
        error = task.exception()
        return (
            ModelStatus(name, "ready", 1.0)
            if error is None
            else ModelStatus(name, "failed", detail=str(error))
        )

    async def check(self) -> None:
        """Raise what the last attempt to load a model ended with; a model that nobody asked for yet is not loaded."""
        for task in self._loading.values():
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def close(self) -> None:
        """Unload what was loaded."""
        for task in self._loading.values():
            if task.done() and not task.cancelled() and task.exception() is None:
                await task.result().close()
            else:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._loading.clear()
