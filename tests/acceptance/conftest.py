"""A real server on a free loopback port, put together as `local-assistants serve` does, over scripted turns."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_assistants import assemble
from tests.support.live_server import LiveServer, Turns, playing

ServeScript = Callable[[Turns], str]


@pytest.fixture
def serve_settings() -> Iterator[Callable[[assemble.Settings], LiveServer]]:
    """Start servers that are stopped at the end of the test."""
    servers: list[LiveServer] = []

    def serve(settings: assemble.Settings) -> LiveServer:
        server = LiveServer(settings)
        servers.append(server)
        server.start()
        return server

    yield serve
    for server in servers:
        server.stop()


@pytest.fixture
def serve_script(
    serve_settings: Callable[[assemble.Settings], LiveServer], tmp_path: Path
) -> ServeScript:
    """Serve a model that plays these turns; returns the server's address."""

    def serve(turns: Turns) -> str:
        return serve_settings(playing(turns, tmp_path)).address

    return serve
