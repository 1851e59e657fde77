"""The one thread that writes: it takes the changes that wait, and commits them together.

Each change runs in a SAVEPOINT of its own, so an exception rolls back that change only; the promise of a change
is kept after the COMMIT that holds it. While one COMMIT waits for the disk the next group gathers, so durability costs
one flush a group, not one a caller. When nobody waits it lets the eraser do a step.

What it does not know: objects, SQL beyond the frame of a transaction. What it does not promise: that a change
whose caller was cancelled is dropped; it is when it had not begun, else it is finished and stays.
"""

import asyncio
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..engine.errors import StorageFault
from .erasing import Eraser, empty_log
from .faults import database_fault
from .handover import Outcome, hand_over
from .transaction import SQLiteTransaction

T = TypeVar("T")

MOST_AT_ONCE = 128
"""Changes of one group; bounds how long the first one waits for the last."""


@dataclass(frozen=True, slots=True)
class _Job:
    change: Callable[[SQLiteTransaction], Any]
    future: "asyncio.Future[Any]"


class Writer:
    """Owns `connection` (autocommit, usable from any thread) until `close`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, eraser: Eraser) -> None:
        self._connection = connection
        self._eraser = eraser
        self._path = path
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._closed = False
        # A daemon, so that a store that nobody closed does not keep the program alive.
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, change: Callable[[SQLiteTransaction], T]) -> "asyncio.Future[T]":
        """Queue a change; the result comes to the running event loop once it is on disk.

        Raises:
            StorageFault: the writer is closed.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._ready:
            if self._closed:
                raise StorageFault("The store is closed; open it again to use it.")
            self._jobs.append(_Job(change, future))
            self._ready.notify()
        return future

    def close(self) -> None:
        """Finish what is queued, then end the thread and close the connection. Blocks; may be called twice."""
        with self._ready:
            self._closed = True
            self._ready.notify()
        self._thread.join()

    def _work(self) -> None:
        while (group := self._next_group()) is not None:
            if group:
                self._commit(group)
                self._eraser.look()
            else:
                self._eraser.step()
        with suppress(sqlite3.Error):  # it is no worse in the log
            empty_log(
                self._connection
            )  # closing does so only where no other process has the file open
        self._connection.close()

    def _next_group(self) -> list[_Job] | None:
        """What waits; nothing when there is time to erase; None when closed and drained."""
        with self._ready:
            while not self._jobs and not self._closed:
                if not self._ready.wait(self._eraser.wait()):
                    return []
            some = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_AT_ONCE))]
            return some or None

    def _commit(self, group: Sequence[_Job]) -> None:
        jobs = [job for job in group if not job.future.cancelled()]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._attempt(job) for job in jobs]
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            outcomes = [
                Outcome(job.future, error=database_fault(error, self._path)) for job in jobs
            ]
        hand_over(outcomes)

    def _attempt(self, job: _Job) -> Outcome:
        """Run one change in its savepoint.

        Raises:
            sqlite3.Error: the whole transaction is lost (a full disk does that), so the group fails.
        """
        self._connection.execute("SAVEPOINT change")
        try:
            result = job.change(SQLiteTransaction(self._connection))
        except BaseException as error:  # also SystemExit: it is the caller's, not this thread's
            if isinstance(error, sqlite3.Error) and not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO change")
            self._connection.execute("RELEASE change")
            return Outcome(job.future, error=as_raised(error, self._path))
        self._connection.execute("RELEASE change")
        return Outcome(job.future, result)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def as_raised(error: BaseException, path: Path) -> BaseException:
    """What the awaiting side gets for `error`."""
    if isinstance(error, sqlite3.Error):
        fault = database_fault(error, path)
        fault.__cause__ = error
        return fault
    if isinstance(
        error, StopIteration
    ):  # a future cannot carry one: its awaiter would wait for ever
        substitute = RuntimeError("A change of the store raised StopIteration.")
        substitute.__cause__ = error
        return substitute
    return error
