"""A process that fills the vector index is killed near a flush: the next one has every vector, and computes none."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.support.vector_rooms import question, units, vector_room

A = "vs_a"
OF_EACH = 250  # four files make a flush of the index

_WRITER = """
import asyncio, sys
from pathlib import Path
from tests.support.vector_rooms import units, vector_room

async def main(folder, first):
    async with vector_room(folder) as room:
        for number in range(first, first + 1000):
            await room.put("vs_a", f"f{number}", units(250, seed=number))
            print(number, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def killed(folder: Path, first: int, delay: random.Random) -> int:
    """Write files from number `first` on in a process that is killed; the number after the last acknowledged."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(each for each in sys.path if each)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _WRITER,
        str(folder),
        str(first),
        stdout=asyncio.subprocess.PIPE,
        env=environment,
    )
    assert process.stdout is not None
    for _ in range(delay.randint(1, 9)):
        await process.stdout.readline()
    await asyncio.sleep(delay.uniform(0.0, 0.3))
    process.send_signal(signal.SIGKILL)
    numbers = [int(line) for line in (await process.stdout.read()).split()]
    await process.wait()
    return max([first, *numbers]) + 1


async def check(folder: Path) -> None:
    """The first answer of a new process, its index once it is filled, and what that finds."""
    async with vector_room(folder) as room:
        first = await room.found(A, question(), 5)
        await room.nearest.settled()
        stored = await room.store.read(lambda tx: tx.store_vectors(A))
        files = sorted({id_.split("/")[1] for id_, _ in stored})

        assert first == await room.expected(A, question(), 5)
        assert await room.index.count(A) == len(stored) == OF_EACH * len(files)
        for file in random.Random(1).sample(files, 3):
            vector = units(OF_EACH, seed=int(file[1:]))[17]
            assert await room.found(A, vector, 1) == [f"{A}/{file}/17"]


async def rounds(folder: Path, count: int) -> None:
    """So many kills on one folder, each followed by a look."""
    number, delay = 0, random.Random(5)
    for _ in range(count):
        number = await killed(folder, number, delay)
        await check(folder)


@pytest.mark.slow
async def test_killed_while_it_is_filled(tmp_path: Path) -> None:
    """Some kills."""
    await rounds(tmp_path, 2)


@pytest.mark.kills
@pytest.mark.timeout(1800)
async def test_killed_thirty_times(tmp_path: Path) -> None:
    """Many, on an index that grows."""
    await rounds(tmp_path, 30)
