"""The steps of runs, to be read."""

from typing import Any

from ..core import Core
from ..journal import public_step
from ..objects import Page, Run, RunStep
from ..ports import PageQuery
from .lookup import list_page, must


class Steps:
    """The steps of runs."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def list(
        self, thread_id: str, run_id: str, query: PageQuery, include_content: bool = False
    ) -> Page:
        """A page of a run's steps in wire form; search results show their text with `include_content`."""
        page = await list_page(
            self._core,
            RunStep,
            query,
            before_reading=lambda tx: must(tx, Run, run_id, thread_id=thread_id),
            where={"run_id": run_id},
        )
        shown = tuple(public_step(step, include_content) for step in page.data)
        return page.model_copy(update={"data": shown})

    async def get(
        self, thread_id: str, run_id: str, step_id: str, include_content: bool = False
    ) -> dict[str, Any]:
        """One step in wire form."""
        step = await self._core.store.read(
            lambda tx: must(tx, RunStep, step_id, thread_id=thread_id, run_id=run_id)
        )
        return public_step(step, include_content)
