"""Whether the parts of this installation can do their work, for whoever watches the process."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol, runtime_checkable

from ..core import Core
from ..errors import AssistantsError

_REMEMBERED = 10.0  # seconds that a part's answer holds: establishing a sandbox that fails takes a while each time
_PATIENCE = 5.0
_ALWAYS_ASKED = frozenset({"models"})  # they only look at what they know


@runtime_checkable
class Checkable(Protocol):
    """What models and tools may be besides: able to say that they cannot work, before anybody needs them."""

    async def check(self) -> object:
        """Return if all is well; quick once it was.

        Raises:
            AssistantsError: it cannot work; the message says why and what mends it.
        """
        ...


class Health:
    """Asks the store, and the models, the library and every tool that is `Checkable`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._answers: dict[str, tuple[float, str]] = {}

    async def problems(self, excluded: Collection[str] = ()) -> dict[str, str]:
        """Why not, by part: "store", "models", "file_search" (the library) or a tool's type.

        Parts that work or are `excluded` are left out.
        """
        core = self._core
        checks: dict[str, Callable[[], Awaitable[object]]] = {"store": self._read}
        parts = (
            ("store", core.store),
            ("models", core.models),
            *core.tools.items(),
            ("file_search", core.library),
        )
        for name, part in parts:
            if isinstance(part, Checkable):
                checks[name] = part.check
        found = {
            name: await self._answer(name, check)
            for name, check in checks.items()
            if name not in excluded
        }
        return {name: problem for name, problem in found.items() if problem}

    def loading(self) -> dict[str, float]:
        """Models that are being loaded, each with how far it is, from 0 to 1."""
        statuses = self._core.models.status()
        return {each.name: each.progress for each in statuses if each.state == "loading"}

    async def _answer(self, name: str, check: Callable[[], Awaitable[object]]) -> str:
        now = self._core.clock.now()
        at, problem = self._answers.get(name, (-_REMEMBERED, ""))
        if not 0 <= now - at < _REMEMBERED or name in _ALWAYS_ASKED:
            problem = await _problem(check)
            self._answers[name] = (now, problem)
        return problem

    async def _read(self) -> None:
        await self._core.store.read(lambda tx: tx.count_queued())


async def _problem(check: Callable[[], Awaitable[object]]) -> str:
    try:
        async with asyncio.timeout(_PATIENCE):
            await check()
    except AssistantsError as error:
        return error.message
    except TimeoutError:
        return f"It did not answer within {_PATIENCE:g} seconds."
    return ""
