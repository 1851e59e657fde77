"""A model that runs in a process of its own (ports.Backend).

llama.cpp ends its process over some inputs. Here that costs a pause: the process is started again and every turn goes
on after the tokens that it had said. Only a request that ends it again, alone, fails. This side imports no llama.cpp.
"""

import asyncio
import itertools
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from ....engine.chat import Capabilities, ChatRequest, Delta
from ....engine.clock import SystemClock
from ....engine.errors import BackendFault
from ....engine.ports import Clock
from ..outlet import is_last
from ..settings import LlamaSettings
from ..turn import Fragment, deltas_of
from .errands import Call, Turn
from .messages import written
from .supervisor import Progress, Supervision, Supervisor


class ProcessBackend:
    """A loaded model. Made by `open`; belongs to the event loop that it was opened on."""

    def __init__(self, supervisor: Supervisor, window: int) -> None:
        self._supervisor = supervisor
        self._window = window
        self._keys = itertools.count(1)

    @classmethod
    async def open(
        cls,
        path: str | Path,
        settings: LlamaSettings | None = None,
        on_progress: Progress | None = None,
        *,
        supervision: Supervision | None = None,
        clock: Clock | None = None,
    ) -> "ProcessBackend":
        """Start a process and load a GGUF in it.

        Args:
            path: the GGUF.
            settings: of the model.
            on_progress: hears how much is loaded, 0 to 1, on the event loop.
            supervision: how the process is watched.
            clock: for the pauses and the watchdog.

        Raises:
            BackendFault: the file cannot be loaded, there is no memory for it, or the process dies of it.
            MissingDependency: llama-cpp-python is not installed.
        """
        supervision = supervision or Supervision()
        supervisor = Supervisor(
            Path(path), settings or LlamaSettings(), supervision, clock or SystemClock()
        )
        await supervisor.open(on_progress)
        return cls(supervisor, supervision.window)

    @property
    def capabilities(self) -> Capabilities:
        """Those of the model as last told by the process; `extra` has worker_pid and worker_starts."""
        return self._supervisor.capabilities

    @property
    def worker_pid(self) -> int | None:
        """The process that runs the model; None while there is none."""
        return self._supervisor.pid

    @property
    def lives(self) -> int:
        """How often the process was started."""
        return self._supervisor.lives

    @property
    def evaluated_tokens(self) -> int:
        """Tokens evaluated since the process was started, reused ones not counted; up to a second old."""
        return self._supervisor.evaluated_tokens

    async def count_tokens(self, request: ChatRequest) -> int:
        """Tokens of the request's prompt, template and tools included."""
        body = await asyncio.to_thread(written, request)
        count = await self._call(Call(next(self._keys), {"kind": "count"}, body))
        if type(count) is not int:
            raise BackendFault("The model's process did not answer with a number.")
        return count

    def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """One turn; raises what `LlamaCppBackend.stream` raises."""
        return deltas_of(self.answer(request))

    async def answer(
        self, request: ChatRequest, said: Sequence[int] = ()
    ) -> AsyncGenerator[Fragment, None]:
        """One turn, step by step; see `LlamaCppBackend.answer`."""
        body = await asyncio.to_thread(written, request)
        turn = Turn(next(self._keys), body, tuple(said), self._window)
        self._supervisor.hand_in(turn)
        try:
            while True:
                fragment = await turn.next(self._supervisor.send)
                yield fragment
                if is_last(fragment):
                    return
        finally:
            self._supervisor.withdraw(turn)

    async def forget(self, session: str) -> None:
        """Erase what is kept for a conversation, in memory and on disk."""
        await self._call(Call(next(self._keys), {"kind": "forget", "session": session}))

    async def close(self) -> None:
        """End the process; it may take some seconds to write conversations to disk."""
        await self._supervisor.close()

    async def _call(self, call: Call) -> Any:
        self._supervisor.hand_in(call)
        try:
            return await call.answer()
        finally:
            self._supervisor.withdraw(call)
