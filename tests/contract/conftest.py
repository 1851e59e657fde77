"""The application that the contract's tests ask."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .web import Web, open_web


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    """An application whose model says hello."""
    async with open_web(tmp_path) as opened:
        yield opened
