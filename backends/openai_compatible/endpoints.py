"""Which endpoint answers: health checks, and routing that brings a conversation back to where its prefix is cached.

An endpoint is left out from the moment it fails until it passes a check. Of those that are well, each conversation has
a ranking of its own (rendezvous hashing): when one goes, only its own conversations move, and they come back with it.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Collection, Generator
from dataclasses import dataclass

from ...engine.chat import ChatRequest
from ...engine.errors import AssistantsError, BackendFault
from ...engine.ports import Clock
from .connection import Connection
from .faults import TryAgain
from .probe import Facts, probe
from .settings import OpenAISettings, base_url

_log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class Endpoint:
    """One server.

    Attributes:
        url: without `/v1`.
        facts: what is known of it; None before it was reached for the first time.
        trouble: why it is left out; None while it is well.
        busy: turns at work on it.
        tells_usage: False once it ended an answer without telling the token counts.
    """

    url: str
    facts: Facts | None = None
    trouble: str | None = "It was not asked yet."
    busy: int = 0
    tells_usage: bool = True

    @property
    def known(self) -> Facts:
        """The facts of an endpoint that was chosen; one that was never reached is not."""
        if self.facts is None:
            raise BackendFault(f"{self.url} was never reached.")
        return self.facts


class Pool:
    """The endpoints of one model."""

    def __init__(self, connection: Connection, settings: OpenAISettings, clock: Clock) -> None:
        self._connection = connection
        self._settings = settings
        self._clock = clock
        urls = dict.fromkeys(base_url(endpoint) for endpoint in settings.endpoints)
        self.endpoints = tuple(Endpoint(url) for url in urls)
        self._checking: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Begin to check the endpoints from time to time."""
        self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Stop checking."""
        tasks = [task for task in (self._watching, self._checking) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self) -> None:
        """Check all endpoints now. Several callers share one check."""
        if self._checking is None or self._checking.done():
            self._checking = asyncio.create_task(self._check_all())
        await asyncio.shield(self._checking)

    def choose(self, key: str, avoid: Collection[Endpoint] = ()) -> Endpoint | None:
        """The endpoint for a conversation: its own, or the least busy one when its own has too much to do."""
        well = [e for e in self.endpoints if e.trouble is None and e not in avoid]
        if not well:
            return None
        ranked = sorted(well, key=lambda endpoint: _weight(key, endpoint.url), reverse=True)
        limit = self._settings.spill_at
        if limit is not None and ranked[0].busy >= limit:
            return min(ranked, key=lambda endpoint: endpoint.busy)
        return ranked[0]

    def put_out(self, endpoint: Endpoint, reason: str) -> None:
        """Leave an endpoint out until it passes a check."""
        if endpoint.trouble is None:
            _log.warning("the endpoint %s is left out: %s", endpoint.url, reason)
        endpoint.trouble = reason

    def all_down(self) -> BackendFault | None:
        """The error that lists all endpoints with their trouble; None when one is well."""
        if any(endpoint.trouble is None for endpoint in self.endpoints):
            return None
        listed = " ".join(f"{endpoint.url}: {endpoint.trouble}" for endpoint in self.endpoints)
        return BackendFault(
            f"No endpoint of the model can be used. {listed} Start the server, or mend the list of endpoints."
        )

    async def _watch(self) -> None:
        while True:
            await self._clock.sleep(self._settings.health_interval)
            try:
                await self.refresh()
            except Exception:  # a server must not be able to end the checks by what it answers
                _log.exception("the check of the endpoints failed")

    async def _check_all(self) -> None:
        await asyncio.gather(*(self._check(endpoint) for endpoint in self.endpoints))

    async def _check(self, endpoint: Endpoint) -> None:
        try:
            if endpoint.facts is None or endpoint.trouble is not None:
                # Whatever comes back may be another model, or have another context.
                endpoint.facts = await probe(self._connection, endpoint.url, self._settings)
            else:
                await self._ping(endpoint.url + endpoint.facts.health_path)
        except TryAgain as error:
            self.put_out(endpoint, error.fault.message)
        except AssistantsError as error:
            self.put_out(endpoint, error.message)
        else:
            if endpoint.trouble is not None:
                _log.info("the endpoint %s is used: %s", endpoint.url, endpoint.facts)
            endpoint.trouble = None

    async def _ping(self, url: str) -> None:
        answer = await self._connection.ask("GET", url)
        if answer.status != 200:
            raise BackendFault(f"Its health check answers {answer.status}.")


def routing_key(request: ChatRequest) -> str:
    """What requests with a common prefix have in common: the session, else how the prompt begins."""
    if request.session is not None:
        return request.session
    first = next((m for m in request.messages if m.role == "system"), None)
    text = first.text if first is not None else request.messages[0].text if request.messages else ""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _weight(key: str, url: str) -> bytes:
    return hashlib.sha256(f"{url}\n{key}".encode("utf-8", "replace")).digest()


@contextlib.contextmanager
def at_work(endpoint: Endpoint) -> Generator[None]:
    """Count a turn on an endpoint for the length of the block."""
    endpoint.busy += 1
    try:
        yield
    finally:
        endpoint.busy -= 1
