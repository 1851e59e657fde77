"""What a kernel at rest takes: proportional set size, in which a page that n processes share counts 1/n in each.

And what it costs the engine to have kernels at rest: each is looked at four times a second.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from _report import Goal, Row

from kernels_parts.sides import IMPORTS, Bench
from local_assistants.tools.code_interpreter.isolation import processes

_KERNELS = 4
_REST = 5.0  # seconds


async def measure(bench: Bench) -> None:
    """Four kernels of each kind, bare and with pandas and pyplot."""
    for name, side in (("plain", bench.plain), ("ours", bench.ours)):
        for what, code in (("bare", "1+1"), ("with imports", IMPORTS)):
            others = set(processes.children(os.getpid()))
            async with contextlib.AsyncExitStack() as stack:
                for _ in range(_KERNELS):
                    kernel = await stack.enter_async_context(side())
                    await kernel.run(code)
                bench.add(f"memory {what} {name}", _proportional(_family(others)) / _KERNELS)
                bench.add(f"rest {what} {name}", await _cost())


async def _cost() -> float:
    """Percent of one core that this process takes, one kernel's part."""
    before = time.process_time()
    await asyncio.sleep(_REST)
    return 100 * (time.process_time() - before) / _REST / _KERNELS


def _family(others: set[int]) -> Iterator[int]:
    for child in set(processes.children(os.getpid())) - others:
        yield child
        yield from processes.descendants(child)


def _proportional(pids: Iterator[int]) -> float:
    """MB of these processes together."""
    lines = [
        line
        for pid in pids
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    ]
    return sum(int(line.split()[1]) for line in lines) / 1024


def rows(bench: Bench) -> Sequence[Row]:
    """The table's part."""
    told: list[Row] = []
    for what in ("bare", "with imports"):
        plain, ours = (bench.samples[f"memory {what} {name}"][0] for name in ("plain", "ours"))
        told.append(Row(f"memory, {what}: plain ipykernel", plain, "MB"))
        told.append(Row(f"memory, {what}: sandboxed", ours, "MB", None, ours / plain, "plain"))
    cost = bench.samples["rest with imports ours"][0]
    return [*told, Row("engine, for a kernel at rest", cost, "% of a core")]


def goals(bench: Bench) -> Sequence[Goal]:
    """None was promised."""
    return []
