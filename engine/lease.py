"""Keeps a worker that has lost a run from writing to it.

A lease lapses while its owner stalls (a suspended machine, a blocked process), and another worker takes the run over.
When the first one wakes up it goes on where it was: each of its commits asks, in the same transaction, whether the
run is still its own. It knows nothing of when leases are given; `worker` does that.
"""

from collections.abc import Callable
from typing import TypeVar

from .errors import ServerFault
from .journal import Journal, Unit
from .ports import Store

T = TypeVar("T")


class LeaseLost(ServerFault):
    """The run is another worker's now, or has been ended by somebody else; nothing was written."""


class FencedJournal(Journal):
    """A journal for the execution of one run: commits only as long as `owner` holds the run's lease."""

    def __init__(self, journal: Journal, run_id: str, owner: str) -> None:
        super().__init__(journal.store, journal.feed, journal.clock)
        self._journal = journal
        self._run_id = run_id
        self._owner = owner

    def over(self, store: Store) -> "FencedJournal":
        """A journal over a view of the store, behind the same fence."""
        return FencedJournal(self._journal.over(store), self._run_id, self._owner)

    async def commit(self, change: Callable[[Unit], T]) -> T:
        """Run `change` in one transaction.

        Raises:
            LeaseLost: the run is not `owner`'s any more.
        """

        def fenced(unit: Unit) -> T:
            if unit.tx.lease_owner(self._run_id) != self._owner:
                raise LeaseLost(f"Run {self._run_id} is not this worker's any more.")
            return change(unit)

        return await self._journal.commit(fenced)

    async def settle(self) -> None:
        """Wait for commits whose callers were cancelled."""
        await self._journal.settle()
