"""What every part gets: a folder, samples to fill, and real servers to ask."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

_SCRIPT = "turns:\n- text: Nothing to say.\n"  # file search needs no language model
_PATIENCE = 600  # seconds until a request counts as hanging


@dataclass
class Bench:
    """Where to work, how much, and what was measured so far (by name).

    `quick` makes everything short: it shows that all parts run; the figures say nothing. What servers hold stays in
    `folder`: where that outlives the benchmark, the next one goes on with what is indexed.
    """

    folder: Path
    quick: bool = False
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def data(self, name: str) -> Path:
        """The data folder of the server `name`; the same at each call."""
        folder = self.folder / name / "data"
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder

    @asynccontextmanager
    async def server(self, name: str, *arguments: str) -> AsyncIterator[httpx.AsyncClient]:
        """`local-assistants serve` with a data folder of its own and a client for its API; ended with the block.

        Raises:
            RuntimeError: it did not start.
        """
        data = self.data(name)
        (script := data.parent / "script.yaml").write_text(_SCRIPT)
        command = ["-m", "local_assistants", "serve", "--model", f"scripted:{script}"]
        command += ["--data", str(data), "--port", "0", *arguments]
        with (data.parent / "log.txt").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        try:
            address = await _address(process)
            async with httpx.AsyncClient(base_url=address, timeout=_PATIENCE) as client:
                yield client
        finally:
            await _end(process)


async def _address(process: asyncio.subprocess.Process) -> str:
    """Where it answers: the first line that it prints."""
    if process.stdout is None:
        raise RuntimeError("the server is not listened to")
    line = (await asyncio.wait_for(process.stdout.readline(), 120)).decode().strip()
    if not line.startswith("http"):
        raise RuntimeError("the server did not start; log.txt beside its data folder says why")
    return line.rstrip("/")


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 30)
    except TimeoutError:
        process.kill()
        await process.wait()
