"""Engines to ask: as `serve` makes them, in a data folder of their own, with or without the interpreter's advice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from local_assistants import assemble
from local_assistants.engine.services import Services


@dataclass(frozen=True)
class Side:
    """What is asked: a model as `serve` names it, and whether it gets profiles and hints."""

    model: str
    advice: bool
    threads: int | None = None


@asynccontextmanager
async def opened(side: Side, data: Path) -> AsyncIterator[Services]:
    """An engine for the length of the block."""
    settings = assemble.Settings(
        model=side.model,
        isolation="process",
        load_at_start=True,
        data=data,
        threads=side.threads,
        code_interpreter={"profiles": side.advice, "hints": side.advice},
    )
    async with assemble.Engine.open(settings) as engine:
        yield engine.services
