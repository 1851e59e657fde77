"""Cold start of a sandboxed kernel against a plain ipykernel over ipc, to the first execute reply, in one run.

Both use the same interpreter environment and the same jupyter_client; starts alternate, medians are compared.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from _report import Goal, Row, median, p99, report

from local_assistants import paths
from local_assistants.tools.code_interpreter import environment, probe
from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.bubblewrap import Sandbox
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel
from local_assistants.tools.code_interpreter.kernels.provisioner import Place

TRIPS = 30
GOAL = 1.25


class Samples:
    """Milliseconds of one kind of kernel."""

    def __init__(self) -> None:
        self.cold: list[float] = []
        self.trips: list[float] = []

    async def take(self, start: Awaitable[object], trips: list[Awaitable[object]]) -> None:
        """One cold start and its round trips."""
        self.cold.append(await _timed(start))
        self.trips += [await _timed(trip) for trip in trips]


class Plain:
    """An ipykernel with nothing around it, and jupyter_client as it comes."""

    def __init__(self, found: Environment, folder: Path) -> None:
        from jupyter_client.connect import write_connection_file

        self._socket = folder / f"k{time.monotonic_ns()}"
        self._file, _ = write_connection_file(
            f"{self._socket}.json", transport="ipc", ip=str(self._socket)
        )
        self._python = found.python
        self._client: Any = None
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """From nothing to the first reply."""
        from jupyter_client.asynchronous.client import AsyncKernelClient

        self._process = self._spawn()
        self._client = AsyncKernelClient()
        self._client.load_connection_file(self._file)
        self._client.start_channels(stdin=False, hb=False, control=False)
        await self.trip()

    async def trip(self) -> None:
        """1+1, to the reply."""
        request = self._client.execute("1+1")
        while (await self._client.get_shell_msg())["parent_header"].get("msg_id") != request:
            pass

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [str(self._python), "-m", "ipykernel_launcher", "-f", self._file]
        return subprocess.Popen(
            [*command, "--HistoryManager.enabled=False"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


async def sandboxed(sandbox: Sandbox, folder: Path, samples: Samples) -> None:
    """Our kernel; its trips end with the idle message, one step after the reply."""
    kernel = Kernel(Place(sandbox, folder / "data", folder / f"s{time.monotonic_ns()}"))

    async def trip() -> None:
        async for _ in kernel.execute("1+1"):
            pass

    await samples.take(trip(), [trip() for _ in range(TRIPS)])
    await kernel.close()


async def _timed(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return 1000 * (time.perf_counter() - started)


async def measure(rounds: int) -> list[Row]:
    """All rows; the first round warms caches and imports and is not counted."""
    found = environment.find(paths.interpreter_root())
    if found is None:
        sys.exit(environment.INSTALL)
    sandbox = await probe.find_sandbox(found, Limits())
    bare, ours = Samples(), Samples()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        sandbox.prepare(folder / "data")
        for number in range(rounds + 1):
            plain = Plain(found, folder)
            await bare.take(plain.start(), [plain.trip() for _ in range(TRIPS)])
            plain.close()
            await sandboxed(sandbox, folder, ours)
            if number == 0:
                bare, ours = Samples(), Samples()
    return [
        *_rows("cold start to first reply", bare.cold, ours.cold),
        *_rows("1+1", bare.trips, ours.trips),
    ]


def _rows(what: str, bare: list[float], ours: list[float]) -> list[Row]:
    base = f"{what}, plain ipykernel over ipc"
    ratio = median(ours) / median(bare)
    return [
        Row(base, median(bare), "ms", p99(bare)),
        Row(f"{what}, sandboxed", median(ours), "ms", p99(ours), ratio, "plain"),
    ]


def main() -> int:
    """Measure, and judge when asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    rows = asyncio.run(measure(chosen.rounds))
    goal = Goal("cold start against a plain ipykernel", rows[1].ratio or 0.0, GOAL)
    return report("kernels", rows, [goal], check=chosen.check)


if __name__ == "__main__":
    sys.exit(main())
