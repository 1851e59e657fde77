"""All threads at a glance: what the API itself never lists (an extension).

Reads only, in one snapshot. The figures of a page cost a few look-ups by index for each thread, but a count reads one
index entry for each message of the thread.
"""

from ..objects import Message, Page, Run, Thread, ThreadSummary
from ..ports import PageQuery, Store, Transaction


class Overview:
    """The threads in a store, or in the part of it that one project sees."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def threads(self, query: PageQuery) -> Page:
        """A page of threads, each with what is going on in it.

        Raises:
            InvalidRequest: a cursor names no thread.
        """

        def read(tx: Transaction) -> tuple[list[ThreadSummary], bool]:
            threads, more = tx.page(Thread, query)
            return [_summary(tx, thread) for thread in threads], more

        found, more = await self._store.read(read)
        return Page(
            data=tuple(found),
            first_id=found[0].id if found else None,
            last_id=found[-1].id if found else None,
            has_more=more,
        )


def _summary(tx: Transaction, thread: Thread) -> ThreadSummary:
    here = {"thread_id": thread.id}
    newest = PageQuery(here, limit=1)
    messages, runs = tx.page(Message, newest)[0], tx.page(Run, newest)[0]
    active = tx.active_run(thread.id)
    times = [thread.created_at]
    times += [message.created_at for message in messages]
    times += [max(_times(run)) for run in runs]
    return ThreadSummary(
        **dict(thread),
        message_count=tx.count(Message, here),
        last_activity_at=max(times),
        active_run_id=active.id if active else None,
        active_run_status=active.status if active else None,
    )


def _times(run: Run) -> list[int]:
    ends = (run.started_at, run.completed_at, run.failed_at, run.cancelled_at)
    return [run.created_at, *(time for time in ends if time is not None)]
