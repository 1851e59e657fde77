"""The HTTP tests' house: an application over real services."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .house import House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """An application whose model says hello."""
    async with open_house(tmp_path) as opened:
        yield opened
