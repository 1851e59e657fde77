"""What every row gets: the model, how long to work, where to put figures, and the parts that rows are made of."""

import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from _report import Goal, Row, median

from local_assistants import catalogue
from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings, ProcessBackend

CONTEXT = 4096  # tokens of a pool, unless a row needs another


@dataclass
class Figures:
    """What was measured on one model: by name, one entry a round."""

    rounds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, Any] = field(default_factory=dict[str, Any])

    def __call__(self, name: str) -> float:
        """The median over the rounds."""
        return median(self.rounds[name])

    def ratio(self, one: str, other: str) -> float:
        """The median of the rounds' own ratios: both were measured in the same minute."""
        pairs = zip(self.rounds[one], self.rounds[other], strict=True)
        return median([a / b for a, b in pairs])


@dataclass(frozen=True)
class Told:
    """What a part has to say: rows of the table, and goals."""

    rows: Sequence[Row]
    goals: Sequence[Goal] = ()


@dataclass(frozen=True)
class Bench:
    """One model on this machine, and how much work is done with it.

    `quick` makes everything short: it shows that all parts run; the figures say nothing.
    """

    model: str
    path: Path
    threads: int
    folder: Path
    quick: bool = False
    figures: Figures = field(default_factory=Figures)

    def settings(self, context: int = CONTEXT, **more: Any) -> LlamaSettings:
        """Ours as `serve` has them for this model, but for the threads, which all sides have the same number of."""
        known = catalogue.find(self.path.name)
        kept = LlamaSettings(
            context_tokens=context,
            threads=self.threads,
            probe_folder=self.folder / "probe",
            router=known is not None and known.router,
        )
        return replace(kept, **more)

    def size(self, normal: int, quick: int = 0) -> int:
        """How much of something: tokens, turns or rounds."""
        return (quick or max(1, normal // 8)) if self.quick else normal

    def add(self, name: str, value: float) -> None:
        """One more round's figure."""
        self.figures.rounds[name].append(value)

    def say(self, text: str) -> None:
        """What it is at, for who waits."""
        now = time.strftime("%H:%M:%S")
        print(f"[{now}] {self.model}: {text}", file=sys.stderr, flush=True)

    @asynccontextmanager
    async def ours(self, settings: LlamaSettings | None = None) -> AsyncIterator[LlamaCppBackend]:
        """Our backend in this process, loaded."""
        backend = await LlamaCppBackend.open(self.path, settings or self.settings())
        try:
            yield backend
        finally:
            await backend.close()

    @asynccontextmanager
    async def apart(self, settings: LlamaSettings | None = None) -> AsyncIterator[ProcessBackend]:
        """Our backend in a process of its own, as `serve` runs it, loaded."""
        backend = await ProcessBackend.open(self.path, settings or self.settings())
        try:
            yield backend
        finally:
            await backend.close()


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """The order of a round: everyone is first once."""
    at = number % len(names)
    return [*names[at:], *names[:at]]


@dataclass(frozen=True)
class Part:
    """Some rows that are measured together. `models`: on which they are run unless the command line says otherwise."""

    name: str
    models: Sequence[str]
    measure: Callable[[Bench], Coroutine[Any, Any, None]]
    tell: Callable[[str, Figures], Told]
