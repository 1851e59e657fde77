"""Talking to one endpoint: a turn's deltas, and the tokens of a prompt."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

from ...engine.chat import ChatRequest, Delta, Finish, UsageDelta
from ...engine.errors import BackendFault, ContextOverflow
from .attempts import TurnTime
from .body import Writing, request_body
from .connection import Chunks, Connection, encode
from .counting import count_prompt, estimate_prompt, estimate_text
from .endpoints import Endpoint, at_work
from .faults import TryAgain
from .reading import AnswerReader
from .settings import OpenAISettings
from .sse import EventParser

_GRACE = 5.0  # seconds to wait for the token counts of an answer that is over


class EndpointClient:
    """One endpoint, for one turn.

    Args:
        connection: the HTTP client.
        settings: limits, and what to put into requests.
        endpoint: where to; it is noted there that a turn is at work.
    """

    def __init__(
        self, connection: Connection, settings: OpenAISettings, endpoint: Endpoint
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._endpoint = endpoint
        self._facts = facts = endpoint.known
        self._writing = Writing(
            model=facts.model,
            vision=facts.vision if settings.vision is None else settings.vision,
            obeys_choice=facts.obeys_choice,
            temperature_at_one=settings.temperature_at_one,
            extra_body=settings.extra_body,
            max_image_bytes=settings.max_image_bytes,
        )

    async def count(self, request: ChatRequest) -> int:
        """Tokens of a prompt, by the server's own means or estimated."""
        return await count_prompt(
            self._connection, self._endpoint.url, self._facts, request, self._writing
        )

    async def answer(self, request: ChatRequest, time: TurnTime) -> AsyncGenerator[Delta, None]:
        """The deltas of one attempt at a turn.

        Raises:
            TryAgain: the attempt came to nothing, another one may not.
            AssistantsError: as `OpenAICompatibleBackend.stream` says.
        """
        self._check_size(request)
        reader = AnswerReader(parallel=request.parallel_tool_calls)
        time.begin_attempt()
        with at_work(self._endpoint):
            async with aclosing(self._spoken(request, reader, time)) as deltas:
                async for delta in deltas:
                    yield delta
        rest, reason = reader.end()
        for delta in rest:
            yield delta
        yield await time.whole(self._usage(request, reader))
        yield Finish(reason)

    async def _spoken(
        self, request: ChatRequest, reader: AnswerReader, time: TurnTime
    ) -> AsyncGenerator[Delta, None]:
        """What the server streams, up to the end of the stream."""
        parser = EventParser(self._settings.max_line_bytes, self._settings.max_answer_bytes)
        async with AsyncExitStack() as stack:
            chunks = await time.token(self._enter(stack, request), begun=False)
            while not reader.done:
                chunk = await self._next(chunks, reader, time)
                for event in parser.end() if chunk is None else parser.feed(chunk):
                    for delta in reader.read(event):
                        yield delta
                if chunk is None:
                    break
        if not (reader.done or reader.finished):
            fault = BackendFault(
                "The model's server closed the connection before its answer ended."
            )
            raise TryAgain(fault)

    async def _enter(self, stack: AsyncExitStack, request: ChatRequest) -> Chunks:
        """The request is sent, and the server has begun to answer."""
        try:
            return await self._open(stack, request)
        except ContextOverflow:
            if request.max_tokens is None:
                raise
            # vLLM counts the room that is asked for; without a limit an answer ends where the context does.
            return await self._open(stack, replace(request, max_tokens=None))

    async def _open(self, stack: AsyncExitStack, request: ChatRequest) -> Chunks:
        body = await asyncio.to_thread(lambda: encode(request_body(request, self._writing)))
        url = f"{self._endpoint.url}/v1/chat/completions"
        return await stack.enter_async_context(self._connection.stream(url, body))

    async def _next(self, chunks: Chunks, reader: AnswerReader, time: TurnTime) -> bytes | None:
        if not reader.finished:
            return await time.token(chunks.next(), begun=reader.begun)
        # The answer is whole; all that may still come are its token counts.
        with contextlib.suppress(TimeoutError, TryAgain):
            async with asyncio.timeout(_GRACE):
                return await chunks.next()
        return None

    def _check_size(self, request: ChatRequest) -> None:
        """Refuse what a server would silently cut: those that cannot count often do not refuse either."""
        window = self._settings.context_window or self._facts.window
        if self._facts.counting != "estimate" or window is None:
            return
        size = estimate_prompt(request)
        if size > window:
            raise ContextOverflow(
                f"This model's context window is {window} tokens; the prompt has about {size}. Shorten it, or give "
                "the model a larger context on its server and in the settings."
            )

    async def _usage(self, request: ChatRequest, reader: AnswerReader) -> UsageDelta:
        """As the server says, else counted here."""
        usage = reader.usage
        self._endpoint.tells_usage = usage is not None
        if usage is not None:
            return UsageDelta(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)
        said = estimate_text("".join(reader.text))
        return UsageDelta(await self.count(request), said)
