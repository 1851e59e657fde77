"""The two sides: an ipykernel with nothing around it, and ours in its sandbox. The same environment for both."""

import asyncio
import contextlib
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation.runner import Runner
from local_assistants.tools.code_interpreter.kernels.kernel import Kernel
from local_assistants.tools.code_interpreter.kernels.outputs import Failure, Lost
from local_assistants.tools.code_interpreter.kernels.provisioner import Place

IMPORTS = "import pandas, matplotlib.pyplot"


class Side(Protocol):
    """A kernel of either kind, started by its first call."""

    async def run(self, code: str) -> None:
        """Run code, to the reply."""
        ...

    async def close(self) -> None:
        """End it."""
        ...


@dataclass
class Bench:
    """Where kernels of both kinds are made, and what was measured: samples by name.

    `quick`: few samples, which only show that all runs.
    """

    environment: Environment
    runner: Runner
    folder: Path
    quick: bool = False
    samples: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def size(self, normal: int) -> int:
        """How many of something."""
        return max(2, normal // 10) if self.quick else normal

    def add(self, name: str, *values: float) -> None:
        """More samples."""
        self.samples.setdefault(name, []).extend(values)

    @contextlib.asynccontextmanager
    async def plain(self) -> AsyncIterator[Side]:
        """An ipykernel over ipc, and jupyter_client as it comes."""
        side = _Plain(self.environment.python, self.folder / _number())
        try:
            yield side
        finally:
            await side.close()

    @contextlib.asynccontextmanager
    async def ours(self) -> AsyncIterator[Side]:
        """A sandboxed kernel with a folder of its own."""
        data = self.folder / _number() / "data"
        await asyncio.to_thread(self.runner.prepare, data)
        side = _Ours(Kernel(Place(self.runner, data, self.folder / _number())))
        try:
            yield side
        finally:
            await side.close()
            await self.runner.release(data)


class _Plain:
    def __init__(self, python: Path, socket: Path) -> None:
        from jupyter_client.connect import write_connection_file

        self._python = python
        self._file, _ = write_connection_file(f"{socket}.json", transport="ipc", ip=str(socket))
        self._client: Any = None
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self, code: str) -> None:
        if self._process is None:
            self._start()
        request = self._client.execute(code)
        while True:
            reply = await self._client.get_shell_msg()
            if reply["parent_header"].get("msg_id") == request:
                break
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code}: {reply['content']}")

    async def close(self) -> None:
        if self._process is not None:
            self._client.stop_channels()
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _start(self) -> None:
        from jupyter_client.asynchronous.client import AsyncKernelClient

        command = [str(self._python), "-m", "ipykernel_launcher", "-f", self._file]
        self._process = subprocess.Popen(
            [*command, "--HistoryManager.enabled=False"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._client = AsyncKernelClient()
        self._client.load_connection_file(self._file)
        self._client.start_channels(stdin=False, hb=False, control=False)


class _Ours:
    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def run(self, code: str) -> None:
        async for output in self._kernel.execute(code):
            if isinstance(output, Failure | Lost):
                raise RuntimeError(f"{code}: {output}")

    async def close(self) -> None:
        await self._kernel.close()


def _number() -> str:
    return str(time.monotonic_ns())
