"""`1+1` there and back, on kernels that are up; both sides by turns, call by call."""

import time
from collections.abc import Sequence

from _report import Goal, Row, median, p99

from kernels_parts.sides import Bench, Side

GOAL = 1.1
_TRIPS, _WARM = 600, 30


async def measure(bench: Bench) -> None:
    """Ours ends with the idle message, one step after the reply that ends the plain one."""
    async with bench.plain() as plain, bench.ours() as ours:
        for number in range(bench.size(_TRIPS) + _WARM):
            for name, side in (("plain", plain), ("ours", ours)):
                taken = await _timed(side)
                if number >= _WARM:
                    bench.add(f"trip {name}", taken)


async def _timed(side: Side) -> float:
    started = time.perf_counter()
    await side.run("1+1")
    return 1000 * (time.perf_counter() - started)


def rows(bench: Bench) -> Sequence[Row]:
    """The table's part."""
    plain, ours = bench.samples["trip plain"], bench.samples["trip ours"]
    ratio = median(ours) / median(plain)
    return [
        Row("1+1: plain ipykernel", median(plain), "ms", p99(plain)),
        Row("1+1: sandboxed", median(ours), "ms", p99(ours), ratio, "plain"),
    ]


def goals(bench: Bench) -> Sequence[Goal]:
    """What was promised."""
    return [Goal("1+1 against a plain ipykernel", rows(bench)[1].ratio or 0.0, GOAL)]
