"""Puts the HTTP server in front of an engine, on an address of this machine, and lets nobody else in without a key.

What it does not do: put the engine together (assemble), answer requests (server).
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from local_assistants import assemble
from local_assistants.assemble import Settings
from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.objects import DEFAULT_PROJECT
from local_assistants.engine.observer import Observer
from local_assistants.garbage import collected_when_idle

if TYPE_CHECKING:
    from local_assistants.engine.worker import Worker
    from local_assistants.server.draining import Drain
    from local_assistants.server.settings import ServerSettings

_LAST_WORDS = 0.5  # seconds in which streams that have heard of their run's end say so
_REQUESTS = 2  # seconds for requests that are still worked on
_CLOSING = 25.0  # seconds in which a server that has taken leave must have ended
_log = logging.getLogger("local_assistants")


def serve(
    settings: Settings,
    announce: Callable[[str], None] = print,
    observers: Sequence[Observer] = (),
) -> None:
    """Serve until the process is told to stop; the arguments are those of `serve_forever`."""
    asyncio.run(serve_forever(settings, announce, observers, alone=True))


async def serve_forever(
    settings: Settings,
    announce: Callable[[str], None],
    observers: Sequence[Observer] = (),
    *,
    alone: bool = False,
) -> None:
    """Serve for as long as it is awaited; cancelling it stops the server, as a signal does.

    A server that is stopped takes no more runs, says so at `/readyz`, and gives those at work `settings.drain_seconds`.
    Then streams are cut where they can be gone on with, and what is unfinished is left to the next start.

    Args:
        settings: what to serve, and where.
        announce: hears the address once requests are answered.
        observers: hear what the engine does, models being loaded included.
        alone: the process does nothing else: its garbage may be collected when it suits the server, SIGINT and SIGTERM
            stop it, and a second one ends it at once.

    Raises:
        InvalidRequest: others could reach the server, and no key would keep them out.
        OSError: it cannot listen where it is told to.
    """
    import uvicorn

    from local_assistants.server.app import create_app
    from local_assistants.server.listening import listen, url_of
    from local_assistants.server.signals import stop_signals
    from local_assistants.server.wire import http_options

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            announce(url_of(listener))

        @contextmanager
        def capture_signals(self) -> Generator[None]:
            yield  # ours: uvicorn's handlers are gone before the engine is closed

    told = asyncio.Event()
    signals = stop_signals(told.set, settings.drain_seconds + _CLOSING) if alone else nullcontext()
    with signals, listen(settings.host, settings.port) as listener:
        server_settings = _server_settings(settings, listener)
        await _check_door(settings, server_settings)
        async with assemble.Engine.open(settings) as engine:
            engine.services.core.feed.observers.extend(observers)
            app = create_app(engine.services, server_settings)
            config = uvicorn.Config(
                app,
                lifespan="off",  # nothing hangs on it, and a second Ctrl-C would break it off with a traceback
                log_config=None,  # what it logs goes the way of all other lines
                log_level="warning",
                access_log=False,  # the gate's lines have the ids
                timeout_graceful_shutdown=_REQUESTS,
                **http_options(),
            )
            server = Server(config)
            worker = engine.services.worker
            tidy = collected_when_idle(lambda: worker.executing > 0) if alone else nullcontext()
            async with tidy:
                serving = asyncio.create_task(server.serve(sockets=[listener]))
                asked = asyncio.create_task(told.wait())
                try:
                    await asyncio.wait([serving, asked], return_when=asyncio.FIRST_COMPLETED)
                finally:  # when cancelled, too
                    asked.cancel()
                    if not serving.done():
                        await _take_leave(worker, app.state.drain, settings.drain_seconds)
                    server.should_exit = True
                    await serving


async def _take_leave(worker: "Worker", drain: "Drain", seconds: float) -> None:
    drain.begin()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await worker.drain()
    await drain.cut(_LAST_WORDS)


def _server_settings(settings: Settings, listener: socket.socket) -> "ServerSettings":
    from local_assistants.server.listening import bound_address
    from local_assistants.server.settings import ServerSettings, is_loopback

    bound = bound_address(listener)  # what a name stands for decides, not the name
    own = {settings.host} if is_loopback(bound) or settings.allowed_hosts else set[str]()
    return ServerSettings(
        host=bound,
        no_auth=settings.no_auth,
        allowed_hosts=settings.allowed_hosts | own,
        require_beta_header=settings.require_beta_header,
        busy_thread=settings.busy_thread,
        busy_wait=settings.busy_wait,
    )


async def _check_door(settings: Settings, server: "ServerSettings") -> None:
    """Refuse to serve others without a key, unless told to.

    Raises:
        InvalidRequest: names both ways out.
    """
    if server.no_auth:
        _log.warning(
            "NO KEY IS ASKED FOR: whoever reaches %s can read and change what is in project '%s', and have the "
            "model run code",
            server.host,
            DEFAULT_PROJECT,
        )
        return
    if server.on_loopback:
        return
    async with assemble.open_keys(settings.data) as keys:
        if await keys.active():
            return
    raise InvalidRequest(
        f"Others can reach a server on {settings.host or server.host}, and there is no key to keep them out. Make one: "
        f"local-assistants keys create --data {settings.data}. Or let everybody in who can reach it: serve --no-auth."
    )
