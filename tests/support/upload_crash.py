"""A process that completes an upload and is killed on the way: run with the folder and the place where it dies.

The real core over a real folder; only its blob store counts its steps and ends the process, as `kill -9` does, at the
one asked for.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from local_assistants.engine.services import Services
from local_assistants.storage.blobs import FileBlobs
from tests.support.engine import house
from tests.support.uploads import completed, filled

PARTS = (b"a" * 3_000_000, b"b" * 3_000_000, b"c" * 5)
PLACES = ("while the file is written", "before its record", "after its record", "between two parts")


def die() -> None:
    """Without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyBlobs(FileBlobs):
    """File blobs that end the process at one place."""

    def __init__(self, root: Path, place: str) -> None:
        super().__init__(root)
        self._place_of_death = place

    async def write(self, key: str, chunks: AsyncIterator[bytes], limit: int) -> int:
        """As ever, for parts."""
        if not key.startswith("file-"):
            return await super().write(key, chunks, limit)
        size = await super().write(key, self._watched(chunks), limit)
        if self._place_of_death == "before its record":
            die()
        return size

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        count = 0
        async for chunk in chunks:
            yield chunk
            count += len(chunk)
            if self._place_of_death == "while the file is written" and count > 4_000_000:
                die()

    async def delete_all(self, keys: Sequence[str]) -> None:
        """The parts go after the record has come."""
        if self._place_of_death == "after its record":
            die()
        await super().delete_all(keys[:1])
        if self._place_of_death == "between two parts":
            die()


async def main(folder: Path, place: str) -> None:
    """Fill an upload and complete it."""
    async with house(folder) as home:
        blobs = DeadlyBlobs(folder / "blobs", place)
        services = Services(replace(home.core, blobs=blobs))
        upload_id, part_ids = await filled(services, *PARTS)
        (folder / "ids").write_text("\n".join([upload_id, *part_ids]))
        await completed(services, upload_id, part_ids)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
