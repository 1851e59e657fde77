"""Engines to ask: as `serve` makes them, in a data folder of their own, with or without the interpreter's advice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from local_assistants import assemble
from local_assistants.engine.services import Services


@asynccontextmanager
async def opened(model: str, data: Path, *, advice: bool) -> AsyncIterator[Services]:
    """An engine for the length of the block."""
    settings = assemble.Settings(model=model, isolation="process", load_at_start=True, data=data)
    async with assemble.Engine.open(settings) as engine:
        if not advice:
            raise SystemExit("bare: not yet")
        yield engine.services
