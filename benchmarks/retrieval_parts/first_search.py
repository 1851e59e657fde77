"""Run with `-m`, FOLDER and QUESTION: prints the milliseconds until a new process has found something.

Counted from an interpreter that has imported nothing but what a server has at its start: what searching imports, opens
and reads is part of it.
"""

import asyncio
import sys
import time
from pathlib import Path

from local_assistants.engine.ports import SearchQuery

from .synthetic import STORE, opened


async def main(folder: Path, question: str) -> None:
    """Open, search once, print."""
    began = time.perf_counter()
    async with opened(folder) as found:
        passages = await found.searcher.search(SearchQuery((STORE,), (question,)))
        print((time.perf_counter() - began) * 1000 if passages else "nothing was found")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
