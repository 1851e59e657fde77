"""Erases what was deleted, little by little, while nobody waits to write.

SQLite deletes a row at once, but not every trace of it: the words stay in old segments of a word index until these are
merged, and former pages stay in the write-ahead log until it is emptied. And the text of a vector store or file takes
longer to delete than others may wait. So this does it in steps of some hundredths of a second. What is to be done is in
the database itself (text_stores, files_to_erase, words_to_erase): a process that was killed is followed by one that
goes on.

What it does not promise: that the disk keeps no copy (a solid-state disk may), nor anything about backups. While a
reader holds an old snapshot the log stays; it is tried again.
"""

import logging
import sqlite3
from time import monotonic

from . import statements

_log = logging.getLogger(__name__)

_SLICE = 100  # texts deleted in one step
_PAGES = 64  # of a word index merged in one step, each some 4 KB
_RETRY = 1.0  # seconds
_INDEXES = ("chunk_words", "file_words")


class Eraser:
    """Works on the connection of the one who writes, between two groups of changes; `every`: seconds between rounds.

    A round merges a whole word index, however little was deleted, so rounds are not begun one right after the other.
    """

    def __init__(self, connection: sqlite3.Connection, every: float) -> None:
        self._connection = connection
        self._every = every
        self._statements = statements.named()
        self._due: float | None = (
            monotonic()
        )  # when the next step is; None: nothing is to be erased
        self._last_round = -every
        self._deletions: int | None = None  # what the round that goes on will have erased
        self._merging: list[tuple[str, int]] = []  # (index, pages), those still to be merged

    def wait(self) -> float | None:
        """Seconds until the next step wants to be made; None: as long as nothing is deleted."""
        return None if self._due is None else max(0.0, self._due - monotonic())

    def look(self) -> None:
        """Find out whether there is something to erase; cheap, to be called after every change."""
        if self._due is not None:
            return
        try:
            if self._pending():
                self._due = max(monotonic(), self._last_round + self._every)
        except sqlite3.Error:
            self._put_off()

    def step(self) -> None:
        """Do a little. A fault is logged and the step tried again later: what was deleted is deleted anyway."""
        try:
            pause = self._next()
        except sqlite3.Error:
            self._put_off()
            return
        self._due = None if pause is None else monotonic() + pause
        self.look()

    def _put_off(self) -> None:
        _log.warning("Deleted text could not be erased yet.", exc_info=True)
        self._roll_back()
        self._due = monotonic() + _RETRY

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _pending(self) -> bool:
        return any(
            self._connection.execute(self._statements[name]).fetchone() is not None
            for name in ("deleted_text_store", "deleted_file", "deletions_to_erase")
        )

    def _next(self) -> float | None:
        """One step; seconds until the next one should follow, None when all is done."""
        if (number := self._one("deleted_text_store")) is not None:
            self._delete_slice(number)
            return 0.0
        if (
            file := self._connection.execute(self._statements["deleted_file"]).fetchone()
        ) is not None:
            self._delete_slice_of_file(*file)
            return 0.0
        if self._deletions is None:
            self._deletions = self._one("deletions_to_erase")
            return None if self._deletions is None else self._begin_round()
        if self._merging:
            self._merge()
            return 0.0
        return self._end_round(self._deletions)

    def _delete_slice(self, number: int) -> None:
        """Delete some of a vector store's texts, or the store's own row when there is none left."""
        values = {"number": number, "limit": _SLICE}
        self._connection.execute("BEGIN IMMEDIATE")
        deleted = [
            self._connection.execute(self._statements[name], values).rowcount
            for name in ("erase_chunks", "erase_extracts")
        ]
        if not any(deleted):
            self._connection.execute(self._statements["forget_text_store"], {"number": number})
        self._connection.execute("COMMIT")

    def _delete_slice_of_file(self, vector_store_id: str, file_id: str) -> None:
        """The same of a file, whose mark goes at the end."""
        values = {"vector_store_id": vector_store_id, "file_id": file_id}
        self._connection.execute("BEGIN IMMEDIATE")
        erase = self._statements["erase_file_chunks"]
        if not self._connection.execute(erase, values | {"limit": _SLICE}).rowcount:
            self._connection.execute(self._statements["file_is_erased"], values)
        self._connection.execute("COMMIT")

    def _begin_round(self) -> float:
        self._last_round = monotonic()
        # A negative number of pages begins a merge of all segments, a positive one goes on with it.
        self._merging = [(index, -_PAGES) for index in _INDEXES]
        return 0.0

    def _merge(self) -> None:
        index, pages = self._merging.pop()
        before = self._connection.total_changes
        self._connection.execute(
            f"INSERT INTO {index} ({index}, rank) VALUES ('merge', ?)", (pages,)
        )
        if self._connection.total_changes - before >= 2:  # FTS5's own way to say that it goes on
            self._merging.append((index, _PAGES))

    def _end_round(self, deletions: int) -> float | None:
        """Empty the log and note what is erased; seconds until that has to be tried again, None when it is done."""
        if not empty_log(self._connection):
            return _RETRY
        self._connection.execute(self._statements["words_are_erased"], {"deletions": deletions})
        self._deletions = None
        return None

    def _one(self, statement: str) -> int | None:
        row = self._connection.execute(self._statements[statement]).fetchone()
        return None if row is None else int(row[0])


def empty_log(connection: sqlite3.Connection) -> bool:
    """Write SQLite's log into the file and empty it, if nobody stands in the way now; whether that was so.

    Raises:
        sqlite3.Error: the disk or the database refused.
    """
    (timeout,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 0")
    try:
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {timeout}")
    return not busy
