"""How long a request waits at a busy thread: the policy of the server or of the request's own headers (an extension).

    x-busy-thread: refuse | queue | interrupt
    x-busy-wait: seconds to wait at most, no more than the server allows

A request that waits is watched: when its client goes away, or its key is revoked, it is not carried out; when the
server is stopped, it is told to come again. Knows no thread and no run.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.requests import Request

from ..engine.errors import InvalidRequest
from ..engine.services import Patience
from ..engine.settings import BusyPolicy
from .access import still_in
from .draining import drain_of
from .reading import settings_of
from .validation import unsupported_value

POLICY_HEADER = "x-busy-thread"
WAIT_HEADER = "x-busy-wait"


@asynccontextmanager
async def patience_of(request: Request) -> AsyncIterator[Patience]:
    """The request's patience, with its client watched for the length of the block. Read the body before.

    Raises:
        InvalidRequest: there is no such policy, or the wait is no number that the server allows.
    """
    policy, seconds = _policy(request), _seconds(request)
    if policy is BusyPolicy.REFUSE:  # answers at once: nobody to watch
        yield Patience(policy, seconds)
        return
    async with watched(request) as gone:
        with drain_of(request.scope).holding():
            yield Patience(policy, seconds, gone, partial(still_in, request.scope))


@asynccontextmanager
async def watched(request: Request) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the request's client goes away during the block. Read the body before."""
    gone = asyncio.Event()
    watching = asyncio.create_task(_watch(request, gone))
    try:
        yield gone
    finally:
        watching.cancel()


def _policy(request: Request) -> BusyPolicy:
    given = request.headers.get(POLICY_HEADER)
    if not given:
        return settings_of(request).busy_thread
    if given not in tuple(BusyPolicy):
        message = unsupported_value(given, tuple(BusyPolicy))
        raise InvalidRequest(message, code="invalid_value", param=POLICY_HEADER)
    return BusyPolicy(given)


def _seconds(request: Request) -> float:
    most = settings_of(request).busy_wait
    given = request.headers.get(WAIT_HEADER)
    if not given:
        return most
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", given) or float(given) > most:
        raise InvalidRequest(
            f"Invalid '{WAIT_HEADER}': '{given[:200]}'. Expected seconds between 0 and {most:g}, the longest that this "
            "server lets a request wait.",
            code="invalid_value",
            param=WAIT_HEADER,
        )
    return float(given)


async def _watch(request: Request, gone: asyncio.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # the body was read before; whatever else a server may tell
    gone.set()
