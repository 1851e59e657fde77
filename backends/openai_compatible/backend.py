"""A model behind `/v1/chat/completions`, on one or several endpoints (ports.Backend).

What it does not do: keep anything of a conversation, start a server, load a model there, or enforce what a server
ignores (the engine looks again at which tools were called). The settings name the only addresses it ever talks to.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from ...engine.chat import Capabilities, ChatRequest, Delta
from ...engine.clock import SystemClock
from ...engine.errors import BackendFault
from ...engine.ports import Clock
from .attempts import Attempts, TurnTime
from .client import EndpointClient
from .connection import Connection
from .counting import estimate_prompt
from .endpoints import Endpoint, Pool, routing_key
from .faults import TryAgain
from .settings import DEFAULT_WINDOW, OpenAISettings


class OpenAICompatibleBackend:
    """One model, answering on its endpoints. Made by `open`."""

    def __init__(
        self, settings: OpenAISettings, *, clock: Clock, random: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._random = random
        self._connection = Connection(settings)
        self._pool = Pool(self._connection, settings, clock)
        self._closed = False

    @classmethod
    async def open(
        cls,
        settings: OpenAISettings,
        *,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
    ) -> "OpenAICompatibleBackend":
        """Ask all endpoints what they are; one that answers is enough.

        Args:
            settings: where the endpoints are and how to treat them.
            clock: waits between attempts and between health checks.
            random: 0 to 1, spreads attempts.

        Raises:
            BackendFault: no endpoint can be used; lists them with what is wrong.
        """
        backend = await asyncio.to_thread(
            cls, settings, clock=clock or SystemClock(), random=random
        )
        try:
            await backend._pool.refresh()
            if (fault := backend._pool.all_down()) is not None:
                raise fault
        except BaseException:
            await backend.close()
            raise
        backend._pool.watch()
        return backend

    @property
    def capabilities(self) -> Capabilities:
        """What all endpoints that were ever reached can do; `extra` tells of each."""
        known = [endpoint.facts for endpoint in self._pool.endpoints if endpoint.facts is not None]
        windows = [facts.window for facts in known if facts.window is not None]
        own = self._settings.context_window
        vision = self._settings.vision
        return Capabilities(
            context_window=min([*windows, own] if own else windows or [DEFAULT_WINDOW]),
            tools=self._settings.tools,
            vision=all(facts.vision for facts in known) if vision is None else vision,
            extra={
                "detail": "; ".join(_in_words(endpoint) for endpoint in self._pool.endpoints),
                "endpoints": [_shown(endpoint) for endpoint in self._pool.endpoints],
            },
        )

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the prompt as the conversation's server counts them, or estimated: see `capabilities.extra`."""
        self._check_open()
        endpoint = self._pool.choose(routing_key(request))
        if endpoint is None:
            return estimate_prompt(request)
        return await self._client(endpoint).count(request)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """One turn. Closing it closes the connection, at which servers stop.

        Raises:
            ContextOverflow: the prompt does not fit.
            InvalidRequest: the server cannot enforce a schema, or the forced tool is not among the tools.
            RateLimited: the servers asked us to come back later, more often than attempts are made.
            BackendFault: no endpoint can be used, or the answer broke off.
        """
        time = TurnTime(self._settings)
        key = routing_key(request)
        attempts = Attempts(self._pool, key, self._settings, clock=self._clock, random=self._random)
        spoken = False
        while True:
            self._check_open()
            endpoint = await time.whole(attempts.next())
            try:
                async with aclosing(self._client(endpoint).answer(request, time)) as deltas:
                    async for delta in deltas:
                        spoken = True
                        yield delta
                return
            except TryAgain as failure:
                attempts.failed(endpoint, failure)
                if spoken:
                    text = f"The answer broke off. {failure.fault.message}"
                    raise BackendFault(text) from failure

    async def forget(self, session: str) -> None:
        """Nothing is kept here of a conversation. What a server caches of it is the server's."""

    async def close(self) -> None:
        """Stop the checks and close all connections."""
        self._closed = True
        await self._pool.close()
        await self._connection.close()

    def _client(self, endpoint: Endpoint) -> EndpointClient:
        return EndpointClient(self._connection, self._settings, endpoint)

    def _check_open(self) -> None:
        if self._closed:
            raise BackendFault("The model has been closed.")


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    """An endpoint as people are told of it."""
    facts = endpoint.facts
    return {
        "url": endpoint.url,
        "trouble": endpoint.trouble,
        "busy": endpoint.busy,
        "server": facts.kind if facts else None,
        "model": facts.model if facts else None,
        "count_tokens": "exact" if facts and facts.counting != "estimate" else "estimated",
        "usage": "exact" if endpoint.tells_usage else "counted here",
    }


def _in_words(endpoint: Endpoint) -> str:
    facts = endpoint.facts
    if facts is None or endpoint.trouble is not None:
        return f"{endpoint.url} left out: {endpoint.trouble}"
    counts = "estimates" if facts.counting == "estimate" else "counts"
    return f"{endpoint.url}: {facts.model} on {facts.kind}, {counts} tokens"
