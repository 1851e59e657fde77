"""A thread with everything that happened in it, written out for other programs (an extension).

The export is one snapshot: what changes while it is written is not in it. Records are written as they are read, a page
at a time, so a thread of any size takes little memory. It keeps one of the store's few readers busy, so write to a file
and not to a client; exports take turns, or a handful would leave no reader for anybody else.

The format has a name and a version (docs/streams.md); a change that readers could stumble over gets a new version.
What is not in it: the bytes of files, and vector stores.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import Any, BinaryIO, TypeVar

from pydantic_core import to_json

from ..errors import StorageFault
from ..journal import public_step
from ..objects import File, Message, Run, RunStep, Thread, Wire
from ..ports import Clock, PageQuery, Store, Transaction
from ..requests.base import as_array, as_object
from .lookup import must

FORMAT = "local-assistants.thread"
VERSION = 1
_PAGE = 100  # a message may have a megabyte

ObjectT = TypeVar("ObjectT", bound=Wire)
Record = Mapping[str, Any]


class ExportFormat(StrEnum):
    """How records are laid out."""

    JSONL = "jsonl"  # a record a line
    JSON = "json"  # one object


class Export:
    """Exports of the threads in a store, or in the part of it that one project sees.

    Those with the same `turn` are written one after the other.
    """

    def __init__(self, store: Store, clock: Clock, turn: asyncio.Lock | None = None) -> None:
        self._store = store
        self._clock = clock
        self.turn = turn or asyncio.Lock()

    async def write(
        self,
        thread_id: str,
        target: BinaryIO,
        form: ExportFormat,
        *,
        gone: asyncio.Event | None = None,
    ) -> None:
        """Write a thread to `target`, which may block; nothing when `gone` is set before its turn comes.

        Raises:
            NotFound: no such thread; nothing was written.
            StorageFault: `target` does not take it.
        """
        header = {"format": FORMAT, "version": VERSION, "exported_at": int(self._clock.now())}
        layout = _LAYOUTS[form]

        def export(tx: Transaction) -> None:
            thread = must(tx, Thread, thread_id)
            for chunk in layout(header, _Sections(tx, thread)):
                target.write(chunk)

        try:
            async with self.turn:
                if gone is None or not gone.is_set():
                    await self._store.read(export)
        except OSError as error:
            reason = error.strerror or str(error)
            raise StorageFault(f"The export could not be written: {reason}.") from error


class _Sections:
    """The records of a thread by kind, each kind in the order of its making; the files last, once all is seen."""

    def __init__(self, tx: Transaction, thread: Thread) -> None:
        self._tx = tx
        self._here = {"thread_id": thread.id}
        self._file_ids: dict[str, None] = {}
        self.thread = self._seen(thread.to_wire())

    def __iter__(self) -> Iterator[tuple[str, Iterator[Record]]]:
        yield "message", (self._seen(message.to_wire()) for message in self._all(Message))
        yield "run", (self._seen(run.to_wire()) for run in self._all(Run))
        yield "step", (self._seen(public_step(step, True)) for step in self._all(RunStep))
        yield "event", self._events()
        yield "code_session", self._code_sessions()
        yield "file", self._files()

    def _all(self, kind: type[ObjectT]) -> Iterator[ObjectT]:
        after, more = None, True
        while more:
            page, more = self._tx.page(kind, PageQuery(self._here, _PAGE, "asc", after))
            yield from page
            after = str(getattr(page[-1], "id")) if page else None  # noqa: B009 - every listed kind has an id

    def _events(self) -> Iterator[Record]:
        for run in self._all(Run):
            after = 0
            while batch := self._tx.events(run.id, after, _PAGE):
                after = batch[-1].seq
                for event in batch:
                    yield {
                        "run_id": run.id,
                        "seq": event.seq,
                        "event": event.name.value,
                        "data": event.data,
                    }

    def _code_sessions(self) -> Iterator[Record]:
        for session in self._tx.code_sessions_of_thread(self._here["thread_id"]):
            yield {"run_id": session.run_id, "started_at": session.started_at}

    def _files(self) -> Iterator[Record]:
        for file_id in self._file_ids:
            file = self._tx.get(File, file_id)
            if file is not None:  # else it was deleted
                yield file.to_wire()

    def _seen(self, record: dict[str, Any]) -> dict[str, Any]:
        """The record, with the files that it names noted."""
        self._file_ids |= dict.fromkeys(_file_ids(record))
        return record


def _file_ids(value: Any, key: str = "") -> Iterator[str]:
    """Every file id in a record, wherever it stands; metadata is the client's and not looked into."""
    if isinstance(value, str):
        if key in ("file_id", "file_ids"):
            yield value
    elif (entries := as_object(value)) is not None:
        for name, item in entries.items():
            if name != "metadata":
                yield from _file_ids(item, name)
    else:
        for item in as_array(value) or ():
            yield from _file_ids(item, key)


def _jsonl(header: Record, sections: _Sections) -> Iterator[bytes]:
    """Header, thread, records, and at the end their numbers: a file without them was cut off."""
    yield _line("export", header)
    yield _line("thread", sections.thread)
    counts: dict[str, int] = {}
    for kind, records in sections:
        counts[f"{kind}s"] = 0
        for record in records:
            counts[f"{kind}s"] += 1
            yield _line(kind, record)
    yield _line("end", counts)


def _line(kind: str, data: Record) -> bytes:
    return _json({"type": kind, "data": data}) + b"\n"


def _json_object(header: Record, sections: _Sections) -> Iterator[bytes]:
    """One object: the header's keys, `thread`, and a list for each kind of record."""
    yield _json(header)[:-1] + b',\n"thread":' + _json(sections.thread)
    for kind, records in sections:
        yield b',\n"%ss":[' % kind.encode()
        separator = b"\n"
        for record in records:
            yield separator + _json(record)
            separator = b",\n"
        yield b"]"
    yield b"}\n"


def _json(data: Record) -> bytes:
    return to_json(data, inf_nan_mode="null")


_LAYOUTS: Mapping[ExportFormat, Callable[[Record, _Sections], Iterator[bytes]]] = {
    ExportFormat.JSONL: _jsonl,
    ExportFormat.JSON: _json_object,
}
