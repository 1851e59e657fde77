"""Eight sessions, one of them hostile: how long the others wait for `1+1`, against the same without it.

The others call as people and models do, a few times a second and not all the time: what is measured is the wait, not
who gets the most out of a machine that is full.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Sequence

from _report import Goal, Row, median

from kernels_parts.sides import Bench, Side

GOAL = 3.0
_TAME = 7
_BETWEEN = 0.4  # seconds from one call of a session to its next
_ROUNDS, _SECONDS = 4, 10.0
_HOSTILE = {
    "spinning": (
        "import os, time\n"
        "for _ in range(40):\n"
        "    if os.fork() == 0:\n"
        "        while True: pass\n"
        "time.sleep({seconds})"
    ),
    "printing": (
        "import time\n"
        "until = time.monotonic() + {seconds}\n"
        "while time.monotonic() < until: print('x' * 2000, flush=True)"
    ),
    "flooding": (
        "import time\n"
        "from IPython.display import display\n"
        "until = time.monotonic() + {seconds}\n"
        "while time.monotonic() < until: display('x' * 200)"
    ),
    "forging": (  # round the standard streams and what cuts them off in the kernel
        "import time\n"
        "from ipykernel.kernelapp import IPKernelApp\n"
        "app = IPKernelApp.instance()\n"
        "parent = get_ipython().kernel.get_parent('shell')\n"
        "said = {{'name': 'stdout', 'text': 'x' * 2000}}\n"
        "until = time.monotonic() + {seconds}\n"
        "while time.monotonic() < until:\n"
        "    app.session.send(app.iopub_socket, 'stream', said, parent=parent)"
    ),
}


async def measure(bench: Bench) -> None:
    """By turns without and with each kind of hostility; a new hostile kernel for each turn."""
    async with contextlib.AsyncExitStack() as stack:
        tame = [await stack.enter_async_context(bench.ours()) for _ in range(_TAME)]
        for side in tame:
            await side.run("1+1")
        for _ in range(bench.size(_ROUNDS)):
            await _round(bench, tame)


async def _round(bench: Bench, tame: Sequence[Side]) -> None:
    seconds = _SECONDS / 5 if bench.quick else _SECONDS
    for name, code in _HOSTILE.items():
        bench.add("alone", *await _waits(tame, seconds))
        async with bench.ours() as hostile:
            await hostile.run("1+1")
            work = asyncio.create_task(hostile.run(code.format(seconds=seconds + 2)))
            await asyncio.sleep(1.0)
            lag = asyncio.create_task(_worst_turn())
            bench.add(name, *await _waits(tame, seconds))
            lag.cancel()
            bench.add(f"loop {name}", *await asyncio.gather(lag))
            with contextlib.suppress(RuntimeError):  # it may be stopped for what it does
                await work


async def _waits(tame: Sequence[Side], seconds: float) -> Sequence[float]:
    until = time.monotonic() + seconds
    found = await asyncio.gather(
        *(_calls(side, until, _BETWEEN * n / _TAME) for n, side in enumerate(tame))
    )
    return list(itertools.chain.from_iterable(found))


async def _calls(side: Side, until: float, delay: float) -> Sequence[float]:
    taken: list[float] = []
    await asyncio.sleep(delay)
    while time.monotonic() < until:
        started = time.perf_counter()
        await side.run("1+1")
        taken.append(1000 * (time.perf_counter() - started))
        await asyncio.sleep(_BETWEEN)
    return taken


async def _worst_turn() -> float:
    """Until cancelled: the most processor time, in ms, that passed between two chances to run."""
    worst = 0.0
    with contextlib.suppress(asyncio.CancelledError):
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.002)
            worst = max(worst, time.thread_time() - before)
    return 1000 * worst


def p95(samples: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(samples)[int(len(samples) * 0.95)]


def rows(bench: Bench) -> Sequence[Row]:
    """The table's part: p95 of the waits, medians in the notes."""
    alone = p95(bench.samples["alone"])
    told = [Row(f"p95 of 1+1 in {_TAME} sessions", alone, "ms")]
    for name in _HOSTILE:
        waits = p95(bench.samples[name])
        what = f"the same, and one more is {name}"
        told.append(Row(what, waits, "ms", None, waits / alone, "without it"))
        worst = max(bench.samples[f"loop {name}"])
        told.append(Row(f"event loop beside {name}: longest turn", worst, "ms of CPU"))
    return told


def goals(bench: Bench) -> Sequence[Goal]:
    """What was promised."""
    alone = p95(bench.samples["alone"])
    return [
        Goal(f"p95 of the others beside {name}", p95(bench.samples[name]) / alone, GOAL)
        for name in _HOSTILE
    ]


def medians(bench: Bench) -> dict[str, float]:
    """For the notes."""
    return {name: median(bench.samples[name]) for name in ("alone", *_HOSTILE)}
