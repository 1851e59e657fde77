"""How a session begins: a kernel that waited, or a new one, with the thread's files before it.

It does not know how many sessions there may be, nor when one ends.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ....engine.errors import StorageFault
from ..kernels.kernel import Kernel
from ..kernels.pool import Pool, Spare
from .thread_folder import ThreadFolder

if TYPE_CHECKING:
    from ..isolation.runner import Runner
    from ..kernels.provisioner import Place

T = TypeVar("T")

_LOG = logging.getLogger("local_assistants.code_interpreter")
_NO_FOLDER = "the session's folder cannot be made"


class Starter:
    """Brings kernels and threads' files together."""

    def __init__(self, runner: "Runner", pool: Pool, place: "Callable[[Path], Place]") -> None:
        self._runner = runner
        self._pool = pool
        self._place = place

    async def start(self, home: ThreadFolder, spare: Spare | None) -> tuple[Kernel, bool]:
        """A kernel for the thread, the spare's if that can be; and whether the thread had a session before.

        Raises:
            StorageFault: the thread's folder cannot be made; the spare is ended.
        """
        try:
            known, adopted = await stored(asyncio.to_thread(_laid_out, home, spare), _NO_FOLDER)
            if spare is not None and adopted:
                return await self._moved(home, spare), known
            return await self._cold(home, spare), known
        except BaseException:
            if spare is not None:
                await self._pool.discard(spare)
            raise

    async def _moved(self, home: ThreadFolder, spare: Spare) -> Kernel:
        """The spare's kernel, told that its folder is the thread's now."""
        await self._runner.moved(spare.data, home.data)
        spare.kernel.moved(home.data)
        return spare.kernel

    async def _cold(self, home: ThreadFolder, spare: Spare | None) -> Kernel:
        """A kernel that its first call starts; a spare that could not be used is ended."""
        if spare is not None:
            await self._pool.discard(spare)
        await stored(asyncio.to_thread(self._prepare, home), _NO_FOLDER)
        return Kernel(self._place(home.data))

    def _prepare(self, home: ThreadFolder) -> None:
        self._runner.prepare(home.data)
        home.note()


async def stored(work: Coroutine[Any, Any, T], problem: str) -> T:
    """The result of work on the disk.

    Raises:
        StorageFault: the disk refused; `problem` says what could not be done.
    """
    try:
        return await work
    except OSError as error:
        reason = error.strerror or "the server's log says why"
        raise StorageFault(f"{problem}: {reason}", detail=str(error), passing=True) from error


def _laid_out(home: ThreadFolder, spare: Spare | None) -> tuple[bool, bool]:
    """Make the thread's folder ready: was there a session before, and are its files before the spare's kernel now?"""
    known = home.prepare()
    if spare is None:
        return known, False
    try:
        home.adopt(spare.data)
    except OSError as error:
        _LOG.warning("%s gets no kernel of the pool, its files cannot move: %s", home, error)
        home.settle()
        return known, False
    home.note()
    return known, True
