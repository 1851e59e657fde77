"""From nothing to the first reply, and from the pool to it."""

import asyncio
import time
from collections.abc import Sequence

from _report import Goal, Row, median, p99

from kernels_parts.sides import IMPORTS, Bench
from local_assistants.tools.code_interpreter.sessions.sessions import SessionLimits, Sessions

COLD_GOAL, HANDOUT_GOAL = 1.1, 10.0  # ratio; ms
_ROUNDS, _HANDOUTS = 12, 20
_PATIENCE = 60.0  # seconds for the pool to be filled


class _Clock:
    """Real time, as sessions want it."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def measure(bench: Bench) -> None:
    """Cold starts by turns, the first of which warm caches and do not count; then hand-outs."""
    for number in range(bench.size(_ROUNDS) + 1):
        for name, side in (("plain", bench.plain), ("ours", bench.ours)):
            for what, code in (("cold", "1+1"), ("cold with imports", IMPORTS)):
                started = time.perf_counter()
                async with side() as kernel:
                    await kernel.run(code)
                    if number > 0:
                        bench.add(f"{what} {name}", _since(started))
    await _hand_out(bench)


async def _hand_out(bench: Bench) -> None:
    places = SessionLimits(live=2, pool=1)
    sessions = Sessions(bench.folder / "sessions", bench.runner, _Clock(), places)
    sessions.start()
    try:
        for number in range(bench.size(_HANDOUTS)):
            await _filled(sessions)
            started = time.perf_counter()
            async with sessions.use(f"thread_{number}", ()) as session:
                async for _ in session.kernel.execute("1+1"):
                    pass
                bench.add("handout", _since(started))
            await sessions.forget(f"thread_{number}")
    finally:
        await sessions.close()


async def _filled(sessions: Sessions) -> None:
    for _ in range(int(_PATIENCE / 0.1)):
        await asyncio.sleep(0.1)  # also for whatever filling it has left to do
        if sessions.pool.ready:
            return
    raise RuntimeError("the pool is not filled")


def _since(started: float) -> float:
    return 1000 * (time.perf_counter() - started)


def rows(bench: Bench) -> Sequence[Row]:
    """The table's part."""
    told: list[Row] = []
    for what in ("cold", "cold with imports"):
        plain, ours = bench.samples[f"{what} plain"], bench.samples[f"{what} ours"]
        ratio = median(ours) / median(plain)
        told.append(Row(f"{what}: plain ipykernel", median(plain), "ms", p99(plain)))
        told.append(Row(f"{what}: sandboxed", median(ours), "ms", p99(ours), ratio, "plain"))
    handout = bench.samples["handout"]
    return [*told, Row("from the pool to the first reply", median(handout), "ms", p99(handout))]


def goals(bench: Bench) -> Sequence[Goal]:
    """What was promised."""
    told = rows(bench)
    return [
        Goal("cold start against a plain ipykernel", told[1].ratio or 0.0, COLD_GOAL),
        Goal("ms from the pool to the first reply", told[-1].median, HANDOUT_GOAL),
    ]
