"""The application that the contract's tests ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.answers import events_of

from .streams import Streams, Told, every_stream
from .web import Web, open_web


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    """An application whose model says hello."""
    async with open_web(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="session")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Streams:
    """Every kind of stream, as it came over the wire."""
    return every_stream(tmp_path_factory.mktemp("streams"))


@pytest.fixture
def told(heard: Streams) -> list[Told]:
    """The events of every stream."""
    return [events_of(stream) for streams in heard.values() for stream in streams]


@pytest.fixture
def runs(heard: Streams) -> dict[str, Told]:
    """The events of every run, all its streams in a row, without `done`."""
    return {
        kind: [event for stream in streams for event in events_of(stream)[:-1]]
        for kind, streams in heard.items()
    }
