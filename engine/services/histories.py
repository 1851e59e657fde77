"""What happened in a run, read in one snapshot: for people who study runs (an extension). Reads only."""

from ..events import Event
from ..histories import History
from ..journal import OwnedT
from ..objects import Message, Page, Run, RunStep
from ..ports import PageQuery, Store, Transaction
from .lookup import must

_PAGE = 100


class Histories:
    """The runs in a store, or in the part of it that one project sees."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def runs(self, query: PageQuery) -> Page:
        """A page of runs.

        Raises:
            InvalidRequest: a cursor names no run.
        """
        found, more = await self._store.read(lambda tx: tx.page(Run, query))
        return Page(data=tuple(found), has_more=more)

    async def history(self, run_id: str) -> History:
        """Everything that is kept of a run.

        Raises:
            NotFound: there is no such run.
        """

        def read(tx: Transaction) -> History:
            run = must(tx, Run, run_id)
            return History(
                run=run,
                steps=tuple(_all(tx, RunStep, {"run_id": run_id})),
                messages=tuple(_all(tx, Message, {"thread_id": run.thread_id, "run_id": run_id})),
                turns=tuple(tx.turns(run_id)),
                events=tuple(_events(tx, run_id)),
            )

        return await self._store.read(read)


def _all(tx: Transaction, kind: type[OwnedT], where: dict[str, str]) -> list[OwnedT]:
    found: list[OwnedT] = []
    more = True
    while more:
        page, more = tx.page(kind, PageQuery(where, _PAGE, "asc", found[-1].id if found else None))
        found += page
    return found


def _events(tx: Transaction, run_id: str) -> list[Event]:
    found: list[Event] = []
    while batch := tx.events(run_id, found[-1].seq if found else 0):
        found += batch
    return found
