"""How often a turn is tried, where, and how long in between; and how long it may take.

Attempts are made only while nothing of the answer was shown: what was heard once is never said again.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ...engine.errors import AssistantsError, BackendFault
from ...engine.ports import Clock
from .endpoints import Endpoint, Pool
from .faults import TryAgain
from .settings import OpenAISettings

_T = TypeVar("_T")


class Attempts:
    """The attempts of one turn. Another endpoint is tried at once, the same one after a wait that doubles.

    Args:
        pool: the endpoints.
        key: the conversation's routing key.
        settings: how many attempts and how long the waits.
        clock: waits.
        random: 0 to 1; spreads the waits of many turns that failed together.
    """

    def __init__(
        self,
        pool: Pool,
        key: str,
        settings: OpenAISettings,
        *,
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._key = key
        self._settings = settings
        self._clock = clock
        self._random = random
        self._number = 0
        self._rounds = 0
        self._tried: set[Endpoint] = set()
        self._last: TryAgain | None = None

    async def next(self) -> Endpoint:
        """The endpoint for the next attempt, when its time has come.

        Raises:
            AssistantsError: there are no attempts left, or no endpoint is well.
        """
        while self._number < self._settings.attempts:
            if self._number and self._pool.choose(self._key, self._tried) is None:
                await self._wait()
            self._number += 1
            endpoint = self._pool.choose(self._key, self._tried)
            if endpoint is None:
                await self._pool.refresh()
                endpoint = self._pool.choose(self._key, self._tried)
            if endpoint is not None:
                return endpoint
        raise self._given_up()

    def failed(self, endpoint: Endpoint, failure: TryAgain) -> None:
        """Note that the attempt on `endpoint` came to nothing."""
        self._tried.add(endpoint)
        self._last = failure
        if failure.down:
            self._pool.put_out(endpoint, failure.fault.message)

    async def _wait(self) -> None:
        asked = (self._last.retry_after if self._last else None) or 0.0
        if asked > self._settings.max_backoff:
            raise self._given_up()
        backoff = min(self._settings.backoff * 2**self._rounds, self._settings.max_backoff)
        self._rounds += 1
        await self._clock.sleep(max(asked, backoff * (0.5 + self._random() / 2)))
        self._tried.clear()

    def _given_up(self) -> AssistantsError:
        all_down = self._pool.all_down()
        if all_down is not None or self._last is None:
            return all_down or BackendFault("No endpoint of the model can be used.")
        fault = self._last.fault
        if self._number == 1:
            return fault
        return type(fault)(f"{fault.message} ({self._number} attempts)", code=fault.code)


class TurnTime:
    """The time limits of one turn."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        total = settings.total_timeout
        self._end = math.inf if total is None else self._loop.time() + total
        self._first = math.inf

    def begin_attempt(self) -> None:
        """An attempt begins: from now on its first token is waited for."""
        self._first = self._loop.time() + self._settings.first_token_timeout

    async def whole(self, work: Awaitable[_T]) -> _T:
        """Do work that only the turn as a whole limits.

        Raises:
            BackendFault: the turn took too long.
        """
        return await self._until(math.inf, work)

    async def token(self, work: Awaitable[_T], *, begun: bool) -> _T:
        """Wait for the first token, or for the next one.

        Raises:
            TryAgain: there was no first token in time; another endpoint may do better, the same one will not.
            BackendFault: there was no further token in time, or the turn took too long.
        """
        limit = self._loop.time() + self._settings.token_timeout if begun else self._first
        try:
            return await self._until(limit, work)
        except TimeoutError as error:
            raise _late(self._settings, begun=begun) from error

    async def _until(self, limit: float, work: Awaitable[_T]) -> _T:
        end = min(limit, self._end)
        try:
            async with asyncio.timeout_at(None if end == math.inf else end):
                return await work
        except TimeoutError as error:
            if end < limit or limit == math.inf:
                total = self._settings.total_timeout
                raise BackendFault(
                    f"The model's server did not end its answer within {total:g} seconds."
                ) from error
            raise


def _late(settings: OpenAISettings, *, begun: bool) -> Exception:
    if begun:
        return BackendFault(
            f"The model's server fell silent in the middle of its answer for {settings.token_timeout:g} seconds."
        )
    fault = BackendFault(
        f"The model's server did not begin to answer within {settings.first_token_timeout:g} seconds."
    )
    return TryAgain(fault, retry_after=math.inf)
