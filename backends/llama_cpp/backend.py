"""The llama.cpp backend: one GGUF, answering requests (ports.Backend).

The asyncio side of it: prompts are written and tokenized on worker threads, turns run on the scheduler's thread, deltas
come back through an outlet per turn. Closing a stream stops its turn within a step.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, Lock

from ...engine.chat import Capabilities, ChatRequest, Delta
from ...engine.errors import AssistantsError, BackendFault, ContextOverflow
from .kv.answers import AnswerMemory
from .kv.parking_place import open_parking
from .kv.sequences import Residents
from .loading.identity import model_identity
from .loading.opening import Loaded, OnProgress, load
from .outlet import Outlet, Post, is_last
from .prompts import Prompt, PromptWriter
from .sampling import Penalties
from .scheduling.scheduler import Job, Scheduler
from .scheduling.width import find_widths
from .settings import LlamaSettings
from .template import ChatTemplate
from .turn import Fragment, Turn, deltas_of
from .vision import Vision


class LlamaCppBackend:
    """A loaded model. Made by `open`."""

    def __init__(
        self,
        path: Path,
        settings: LlamaSettings,
        on_progress: OnProgress | None = None,
        stop: Event | None = None,
    ) -> None:
        loaded = load(path, settings, on_progress, stop)
        try:
            self._put_together(path, loaded)
        except BaseException:
            loaded.free()
            raise

    def _put_together(self, path: Path, loaded: Loaded) -> None:
        settings = loaded.plan.settings
        self._settings = settings
        self._penalties = Penalties(
            settings.repeat_penalty, settings.frequency_penalty, settings.presence_penalty
        )
        self._plan = loaded.plan
        self._model, self._context = loaded.model, loaded.context
        vocabulary = self._model.vocabulary
        self._vision = (
            Vision(settings.mmproj, self._model, self._context.threads) if settings.mmproj else None
        )
        template = ChatTemplate(
            self._model.template, bos=vocabulary.text_of_bos(), eos=vocabulary.text_of_eos()
        )
        identity = model_identity(path)
        parking = self._parking = open_parking(settings, identity)
        memory = self._memory = AnswerMemory(parking.answers)
        self._writer = PromptWriter(vocabulary, template, memory, router=settings.router)
        residents = Residents(
            self._context,
            settings.sequences,
            can_rewind=self._model.can_rewind,
            parking=parking,
            answers=memory.of,
        )
        widths = self._widths = find_widths(self._context, settings, identity)
        self._post = Post()
        self._scheduler = Scheduler(
            self._context,
            memory,
            settings,
            residents=residents,
            widths=widths,
            deliver=self._post.deliver,
        )
        # Held while a worker thread is in the library, so that it is not freed.
        self._in_use = Lock()
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: str | Path,
        settings: LlamaSettings | None = None,
        on_progress: OnProgress | None = None,
    ) -> "LlamaCppBackend":
        """Load a GGUF; takes seconds for a big one. Cancelling ends the load before it raises.

        Args:
            path: the file, of a split model the first part.
            settings: as asked for.
            on_progress: hears how far it is loaded (0 to 1), from another thread.

        Raises:
            BackendFault: the file cannot be loaded, or there is no memory for it.
            MissingDependency: llama-cpp-python is not installed.
        """
        stop = Event()
        thread = asyncio.ensure_future(
            asyncio.to_thread(cls, Path(path), settings or LlamaSettings(), on_progress, stop)
        )
        try:
            return await asyncio.shield(thread)
        except asyncio.CancelledError:
            stop.set()
            with contextlib.suppress(AssistantsError):
                await (await thread).close()
            raise

    @property
    def capabilities(self) -> Capabilities:
        """The prefill rate is measured in use; None before the first prompt."""
        return Capabilities(
            context_window=self._context.size,
            vision=self._vision is not None,
            prefill_rate=self._scheduler.prefill_rate,
            forced_calls=True,
            extra={
                "threads": self._context.threads,
                "widths": self._widths.rates,
                "statistics": asdict(self._scheduler.statistics),
                "bytes": self._plan.bytes,
                "detail": f"{self._plan.text}, {self._context.threads} threads",
            },
        )

    @property
    def evaluated_tokens(self) -> int:
        """Tokens evaluated since the model was loaded, reused ones not counted."""
        return self._scheduler.evaluated_tokens

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the request's prompt, template and tools included."""
        prompt = await asyncio.to_thread(self._write, request)
        return len(prompt.ids)

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """One turn.

        Raises:
            ContextOverflow: the prompt leaves no room for even one token.
            InvalidRequest: a schema or the forced tool cannot be honoured.
            BackendFault: the library failed.
        """
        return deltas_of(self.answer(request))

    async def answer(
        self, request: ChatRequest, said: Sequence[int] = ()
    ) -> AsyncGenerator[Fragment, None]:
        """One turn, step by step, with the tokens it came of; raises what `stream` raises.

        Args:
            request: the turn.
            said: the tokens of an earlier answer to this request that was broken off. The turn goes on after them as if
                it had never stopped; nothing of them is given again.
        """
        prompt, turn = await asyncio.to_thread(self._prepare, request, said)
        if len(prompt.ids) + len(said) >= self._context.size:
            yield Fragment(tuple(turn.cut()), ())
            return
        outlet = Outlet(
            self._post, lambda: self._scheduler.pause(job), lambda: self._scheduler.resume(job)
        )
        tokens = [*prompt.ids, *said]
        job = Job(
            turn,
            tokens,
            request.session,
            outlet.put,
            priority=request.priority,
            pictures=prompt.pictures,
        )
        self._scheduler.submit(job)
        try:
            while True:
                fragment = await outlet.get()
                yield fragment
                if is_last(fragment):
                    return
        finally:
            self._scheduler.cancel(job)

    async def forget(self, session: str) -> None:
        """Erase a conversation: from disk and memory at once, from the KV pool before the next step.

        A turn of it that is at work goes on; what it leaves is erased when it ends.
        """
        await asyncio.to_thread(self._parking.forget, session)
        await asyncio.to_thread(self._memory.forget, session)
        self._scheduler.forget(session)

    async def close(self) -> None:
        """Stop all turns and free the memory."""
        await asyncio.to_thread(self._free)

    def _write(self, request: ChatRequest) -> Prompt:
        # Not while `_in_use` is held: looking at a picture takes seconds, in which the others' prompts are written.
        looks = self._vision.look(request.messages) if self._vision is not None else None
        with self._in_use:
            self._check_open()
            return self._writer.write(request, looks)

    def _prepare(self, request: ChatRequest, said: Sequence[int]) -> tuple[Prompt, Turn]:
        """Everything that can go wrong with a request before it takes a place in the context."""
        warmth = request.temperature * self._settings.temperature_at_one
        request = replace(request, temperature=warmth)
        prompt = self._write(request)
        with self._in_use:
            self._check_open()
            if len(prompt.ids) >= self._context.size:
                raise ContextOverflow(
                    f"This model's context window is {self._context.size} tokens; the prompt has "
                    f"{len(prompt.ids)}. Shorten it, or load the model with a larger context."
                )
            vocabulary = self._model.vocabulary
            turn = Turn(
                request,
                prompt,
                vocabulary,
                min_p=self._settings.min_p,
                penalties=self._penalties,
            )
            turn.replay(said)
            return prompt, turn

    def _check_open(self) -> None:
        if self._closed:
            raise BackendFault("The model has been unloaded.")

    def _free(self) -> None:
        with self._in_use:
            if self._closed:
                return
            self._closed = True
            self._scheduler.close()
            if self._vision is not None:
                self._vision.free()
            self._context.free()
            self._model.free()
