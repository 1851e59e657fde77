"""A cross-encoder from a local model folder as the `Reranker`, in a process of its own: this one never imports torch.

The process is started by the first question and asked one thing at a time, by a line of JSON each way. It ends with its
standard input, which closes when we die. A process that fails is replaced at the next question.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ....engine.errors import MissingDependency, ToolFault

_CHILD = "local_assistants.tools.file_search.searching.cross_encoder_child"
_LINE = 1 << 22  # bytes of a reply; it holds numbers only
_PATIENCE = 120.0  # seconds for one question, loading the model included


class CrossEncoder:
    """See `Reranker` for what `scores` promises.

    Args:
        folder: of the model, as sentence-transformers saves one; nothing is ever fetched.
        threads: that the model computes on.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def scores(self, query: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers `query`, 0..1.

        Raises:
            MissingDependency: there is no such folder.
            ToolFault: the model cannot be loaded or fails.
        """
        if not await asyncio.to_thread((self._folder / "config.json").is_file):
            raise MissingDependency(
                "There is no reranking model where `reranker` in the settings file says; correct it or leave it out.",
                detail=str(self._folder),
            )
        async with self._turn:
            try:
                reply = await asyncio.wait_for(self._asked([query, *texts]), _PATIENCE)
            except TimeoutError:
                await self._end()
                raise ToolFault(
                    f"The reranking model gave no answer for {_PATIENCE:.0f} seconds.",
                    detail=str(self._folder),
                ) from None
            except BaseException:  # whoever is cancelled leaves a reply behind that is nobody's
                await self._end()
                raise
        return [float(score) for score in reply]

    async def close(self) -> None:
        """End the process. May be called twice."""
        async with self._turn:
            await self._end()

    async def _asked(self, texts: Sequence[str]) -> list[float]:
        if self._process is None:
            self._process = await self._started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(texts).encode() + b"\n")
            await process.stdin.drain()
            reply: dict[str, Any] = json.loads(await process.stdout.readline())
        except (OSError, ValueError) as error:
            raise self._fault(str(error)) from error
        scores: list[float] = reply.get("scores", [])
        if len(scores) != len(texts) - 1:
            raise self._fault(str(reply.get("error")))
        return scores

    def _fault(self, reason: str) -> ToolFault:
        return ToolFault(
            "The reranking model failed; the server's log says why.",
            detail=f"{self._folder}: {reason}",
        )

    async def _started(self) -> asyncio.subprocess.Process:
        command = ["-P", "-m", _CHILD, str(self._folder), str(self._threads), str(os.getpid())]
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
            start_new_session=True,
        )

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.communicate()
