"""A model process that crashes on request, for tests: an abort where the last message says "abort after N tokens".

It runs as the product's own worker does; only the model that it is given ends the process, as llama.cpp would.
"""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.isolation.worker import main
from local_assistants.backends.llama_cpp.turn import Fragment
from local_assistants.engine.chat import ChatRequest

_ABORT = re.compile(r"abort after (\d+) tokens")
_SLOW = 0.002  # seconds a token, so that a test can meet a turn under way


class _Crashing(LlamaCppBackend):
    async def count_tokens(self, request: ChatRequest) -> int:
        if _place(request) is not None:
            os.abort()
        return await super().count_tokens(request)

    async def answer(
        self, request: ChatRequest, said: Sequence[int] = ()
    ) -> AsyncGenerator[Fragment, None]:
        place, count = _place(request), len(said)
        async with aclosing(super().answer(request, said)) as fragments:
            async for fragment in fragments:
                if count == place:
                    os.abort()
                count += len(fragment.tokens)
                yield fragment
                await asyncio.sleep(_SLOW)


def _place(request: ChatRequest) -> int | None:
    found = _ABORT.search(request.messages[-1].text)
    return int(found[1]) if found else None


async def _open(path: Path, settings: LlamaSettings, on_progress: object) -> LlamaCppBackend:
    return await _Crashing.open(path, settings)


if __name__ == "__main__":
    main(_open)
