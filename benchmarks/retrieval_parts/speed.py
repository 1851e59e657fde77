"""How fast is a search whose query is embedded already? Stores of 10,000 and 100,000 chunks.

Texts are sentences of a public collection in random order, vectors are random around random centres; nothing is
embedded, and queries bring vectors along. Filters leave a hundredth, a tenth and a third of the files; what is compared
takes turns. The first search after a start is one of a new process.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from _report import Goal, Row, median, p99

from local_assistants.engine.ports import SearchQuery

from . import corpora
from .bench import Bench
from .synthetic import STORE, Sizes, filled, opened

SIZES = {"10,000": Sizes(250, 40), "100,000": Sizes(1000, 100)}
_QUICK = {"10,000": Sizes(100, 4), "100,000": Sizes(100, 8)}
SHARES = {"1 %": 1, "10 %": 10, "33 %": 33}
ALL = "all"
_ROUNDS, _STARTS = 150, 5


async def measure(bench: Bench) -> None:
    """Fill both stores, search them in turns, then start anew."""
    for name, sizes in (_QUICK if bench.quick else SIZES).items():
        folder = bench.data(f"speed-{sizes.chunks}")
        if not folder.exists():
            await filled(folder, sizes)
        await _searches(bench, folder, name)
        for _ in range(1 if bench.quick else _STARTS):
            bench.samples[_named(name, "first")].append(await _first(folder))


def _named(name: str, what: str) -> str:
    return f"search of {name} chunks, {what}"


async def _searches(bench: Bench, folder: Path, name: str) -> None:
    questions = [one.text for one in corpora.chunking_questions()]
    async with opened(folder) as found:
        await found.searcher.search(SearchQuery((STORE,), (questions[-1],)))
        await found.nearest.settled()  # a large store's first search has its index filled
        for question in questions[: 5 if bench.quick else _ROUNDS]:
            for what, filters in _filters().items():
                query = SearchQuery((STORE,), (question,), filters=filters)
                began = time.perf_counter()
                passages = await found.searcher.search(query)
                bench.samples[_named(name, what)].append((time.perf_counter() - began) * 1000)
                if not passages:
                    raise RuntimeError(f"nothing was found for {question!r}")


def _filters() -> dict[str, dict[str, Any] | None]:
    """None, and those that leave a share of the files; `number` goes from 0 to 99."""
    some = {name: {"type": "lt", "key": "number", "value": share} for name, share in SHARES.items()}
    return {ALL: None, **some}


async def _first(folder: Path) -> float:
    command = (sys.executable, "-m", "retrieval_parts.first_search", str(folder), "treatment")
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    told, _ = await process.communicate()
    return float(told)


def rows(bench: Bench) -> list[Row]:
    """Medians in milliseconds; filtered searches against those without a filter."""
    found: list[Row] = []
    for name in SIZES:
        whole = bench.samples[_named(name, ALL)]
        found.append(Row(_named(name, ALL), median(whole), "ms", p99(whole)))
        for share in SHARES:
            some = bench.samples[_named(name, share)]
            ratio = median(some) / median(whole)
            found.append(Row(_named(name, share), median(some), "ms", p99(some), ratio, ALL))
        first = bench.samples[_named(name, "first")]
        found.append(Row(_named(name, "first"), median(first), "ms", max(first)))
    return found


def goals(bench: Bench) -> list[Goal]:
    """What was asked for; the first search at its worst."""
    small, large = (bench.samples[_named(name, ALL)] for name in SIZES)
    first = max(bench.samples[_named("10,000", "first")])
    filtered = [median(bench.samples[_named("100,000", share)]) / median(large) for share in SHARES]
    return [
        Goal("10,000 chunks, median in ms", median(small), 15.0),
        Goal("10,000 chunks, p99 in ms", p99(small), 50.0),
        Goal("10,000 chunks, first search in ms", first, 1000.0),
        Goal("100,000 chunks, filtered against all, the worst", max(filtered), 3.0),
    ]
