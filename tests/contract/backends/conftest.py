"""Backends of every kind, each made to say something given."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from local_assistants.engine.ports import Backend

from .kinds import KINDS, Kind, Lines, Servers, Workshop


class Make(Protocol):
    """Makes a backend that says the lines."""

    async def __call__(self, lines: Lines, window: int = 1024) -> Backend: ...


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """llama.cpp's own servers."""
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.stop()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of backend; every test is about all of them that it does not leave out by name."""
    return KINDS[request.param]


@pytest.fixture
async def make(kind: Kind, tmp_path: Path, servers: Servers) -> AsyncIterator[Make]:
    """Makes backends of the kind; closed afterwards."""
    made: list[Backend] = []

    async def maker(lines: Lines, window: int = 1024) -> Backend:
        made.append(await kind.make(lines, window, Workshop(tmp_path, servers)))
        return made[-1]

    yield maker
    for backend in made:
        await backend.close()
