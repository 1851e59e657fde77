"""Conversations that had to leave the KV pool: kept in host memory, then on disk, each under a budget in bytes.

A conversation's newest state takes the place of its older ones. What was used longest ago leaves memory for the disk,
and the disk for good. A thread of its own writes; nobody waits for it but `flush`, `close`, and `forget` for a moment.
All states in memory, those that wait to be written too, stay within the memory's budget, save for one that is bigger
than all of it while it is written.

States without a session are never written: nobody could have them erased. Safe to use from several threads.
"""

import contextlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Condition, Thread

from .answers import Answers
from .radix import RadixIndex
from .shelf import Shelf, erase_everywhere
from .state_files import Stamp, State, Unusable, encode_head, name_of, write
from .token_ids import BYTES

_log = logging.getLogger("local_assistants")
_ANONYMOUS = "without a session "
_AHEAD = 4  # what fills the last quarter of the memory is written before it has to leave


def forget(folder: Path, session: str) -> None:
    """Erase what is kept of a conversation below a `park_folder`, for all models, loaded or not."""
    erase_everywhere(folder, name_of(session))


@dataclass(frozen=True, slots=True)
class Found:
    """A parked state of `tokens` tokens that begins as a prompt does; `size` bytes have to be brought back.

    `beginning`: the ids, packed, that the two have in common.
    """

    name: str
    beginning: bytes
    tokens: int
    size: int
    on_disk: bool

    @property
    def common(self) -> int:
        """Tokens that the two have in common."""
        return len(self.beginning) // BYTES


@dataclass(slots=True, eq=False)
class _Kept:
    """A state in memory.

    `parked`: it stays there; `queued`: it is to be written; `tried`: it has been. The disk may have let go of it since
    for others; it is not written again then, or a full disk would be written to for ever.
    """

    state: State
    parked: bool
    queued: bool = False
    tried: bool = False


class Parking:
    """The parked states of one model.

    Args:
        memory: bytes of host memory.
        disk: bytes on disk.
        folder: where this model's files lie; None: nothing is written.
        stamp: what states depend on.
    """

    def __init__(self, memory: int, disk: int, folder: Path | None, stamp: Stamp) -> None:
        self._budget = memory
        self._stamp = stamp
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # used longest ago first
        self._index: RadixIndex[str] = RadixIndex()
        self._used = 0
        self._anonymous = count()
        self._writing: str | None = None
        self._closing = False
        self._changed = Condition()
        self._shelf = _shelf(folder, disk, stamp)
        self._thread = Thread(target=self._write_on, name="parking", daemon=True)
        if self._shelf is not None:
            self._thread.start()

    @property
    def memory_used(self) -> int:
        """Bytes in host memory."""
        return self._used

    @property
    def disk_used(self) -> int:
        """Bytes on disk."""
        return self._shelf.used if self._shelf else 0

    @property
    def writes(self) -> bool:
        """Whether anything is ever written."""
        return self._shelf is not None

    @property
    def waits(self) -> bool:
        """Whether something is still to be written."""
        with self._changed:
            return bool(self._waiting())

    def takes(self, size: int) -> bool:
        """Whether a state of so many bytes could be kept at all."""
        return size <= self._budget or (self._shelf is not None and size <= self._shelf.budget)

    # --- asking ----------------------------------------------------------------------------------

    def find(self, ids: bytes, *, whole: bool) -> Found | None:
        """The parked state that has the most of a prompt's beginning; `whole`: only those that are all beginning."""
        with self._changed:
            length, names = self._index.whole(ids) if whole else self._index.longest(ids)
            name = min(names, key=lambda each: len(self._kept[each].state.data), default=None)
            on_disk = self._shelf.find(ids, whole=whole) if self._shelf else None
            if self._shelf is not None and on_disk is not None and on_disk[0] > length:
                tokens, size = self._shelf.sizes(on_disk[1])
                beginning = ids[: on_disk[0] * BYTES]
                return Found(on_disk[1], beginning, tokens, size, on_disk=True)
            if name is None or not length:
                return None
            state = self._kept[name].state
            tokens, size = len(state.ids) // BYTES, len(state.data)
            return Found(name, ids[: length * BYTES], tokens, size, on_disk=False)

    def load(self, found: Found) -> State | None:
        """What was found; None when it is gone or turns out to be damaged, or another one has taken its place."""
        state = self._load(found)
        # The writer may have put the conversation's newer state there, which may have gone another way.
        return state if state is not None and state.ids.startswith(found.beginning) else None

    def _load(self, found: Found) -> State | None:
        with self._changed:
            kept = self._kept.get(found.name)
            if not found.on_disk:
                if kept is not None:
                    self._kept.move_to_end(found.name)
                return None if kept is None else kept.state
            if self._shelf is None:
                return None
            self._shelf.touch(found.name)
        try:
            return self._shelf.read(found.name)
        except Unusable as error:
            _log.warning("A parked conversation is evaluated again: %s, %s", found.name, error)
            with self._changed:
                self._shelf.erase(found.name)
            return None

    def holds(self, session: str, ids: bytes, *, on_disk: bool = False) -> bool:
        """Whether exactly these tokens are kept for a session; `on_disk`: there or on their way."""
        name = name_of(session)
        with self._changed:
            kept = self._kept.get(name)
            if kept is not None and (kept.queued or not on_disk) and kept.state.ids == ids:
                return True
            return self._shelf is not None and self._shelf.holds(name, ids)

    def answers(self, session: str) -> Answers:
        """The answers that are kept with a session's state."""
        name = name_of(session)
        with self._changed:
            kept = self._kept.get(name)
        if kept is not None:
            return kept.state.answers
        return self._shelf.answers(name) if self._shelf else {}

    # --- keeping ---------------------------------------------------------------------------------

    def park(self, session: str | None, ids: bytes, answers: Answers, data: bytearray) -> None:
        """Keep a state in memory; others that were used longer ago leave it."""
        name = f"{_ANONYMOUS}{next(self._anonymous)}" if session is None else name_of(session)
        self._keep(_Kept(State(name, ids, answers, data), parked=True))

    def write_behind(self, session: str, ids: bytes, answers: Answers, data: bytearray) -> None:
        """Have a state written that stays in the pool as well."""
        state = State(name_of(session), ids, answers, data)
        self._keep(_Kept(state, parked=False, queued=self.writes))

    def write_memory(self) -> None:
        """Have everything written that only memory holds."""
        with self._changed:
            for kept in self._kept.values():
                kept.queued = kept.queued or self._can_write(kept)
            self._changed.notify_all()

    def drop(self, name: str) -> None:
        """Let go of a state in memory that is in the pool again; what waits to be written stays until it is."""
        with self._changed:
            kept = self._kept.get(name)
            if kept is not None and kept.queued:
                kept.parked = False
            elif kept is not None:
                self._remove(name)

    def discard(self, name: str) -> None:
        """Drop a state that the library does not take."""
        _log.warning("A parked conversation does not fit the model's settings: %s", name)
        with self._changed:
            self._remove(name)
            if self._shelf is not None:
                self._shelf.erase(name)

    def forget(self, session: str) -> None:
        """Erase what is kept of a conversation; nothing of it is left when this returns."""
        name = name_of(session)
        with self._changed:
            self._remove(name)
            self._changed.wait_for(lambda: self._writing != name)  # it stops within a chunk
            if self._shelf is not None:
                self._shelf.erase(name)

    def flush(self, seconds: float) -> bool:
        """Wait until everything that waits is written; False when it was not by then."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting(), seconds)

    def close(self) -> None:
        """Let go of everything in memory; what is not written by now is lost."""
        with self._changed:
            self._closing = True
            for name in list(self._kept):
                self._remove(name)
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def _keep(self, kept: _Kept) -> None:
        name = kept.state.name
        with self._changed:
            if self._closing:
                return
            self._remove(name)
            self._kept[name] = kept
            self._index.insert(name, kept.state.ids)
            self._used += kept.state.size
            self._shrink()
            self._changed.notify_all()

    def _remove(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        self._index.remove(name)
        self._used -= kept.state.size if kept else 0

    def _shrink(self) -> None:
        """Come down to the budget: what is on disk goes first, then what was used longest ago."""
        for kept in list(self._kept.values()):
            if self._used > self._budget and self._written(kept):
                self._remove(kept.state.name)
        for name in list(self._kept):
            if self._used > self._budget and len(self._kept) > 1 and name != self._writing:
                self._remove(name)
        if self._used > self._budget:
            (alone,) = self._kept.values()
            alone.parked, alone.queued = False, self._can_write(alone)
            if not alone.queued:
                self._remove(alone.state.name)
        self._write_ahead()

    def _write_ahead(self) -> None:
        """Have what will have to leave next written, so that it can go when the room is needed."""
        ahead = self._used - self._budget + self._budget // _AHEAD
        for kept in self._kept.values():
            if ahead <= 0:
                return
            ahead -= kept.state.size
            kept.queued = kept.queued or self._can_write(kept)

    def _waiting(self) -> int:
        """Bytes that wait to be written."""
        return sum(kept.state.size for kept in self._kept.values() if kept.queued)

    def _can_write(self, kept: _Kept) -> bool:
        may = self._shelf is not None and not kept.state.name.startswith(_ANONYMOUS)
        return may and not kept.tried and not self._written(kept)

    def _written(self, kept: _Kept) -> bool:
        return self._shelf is not None and self._shelf.holds(kept.state.name, kept.state.ids)

    # --- the writer's thread ---------------------------------------------------------------------

    def _write_on(self) -> None:
        while (kept := self._next()) is not None:
            try:
                self._write(kept, encode_head(kept.state, self._stamp))
            except OSError as error:
                _log.warning("A conversation could not be written to disk: %s", error)
            except (
                Exception
            ):  # whoever forgets a conversation waits for this thread: it must not end
                _log.exception("A conversation could not be written to disk")
            finally:
                self._finish(kept)

    def _next(self) -> _Kept | None:
        """What is to be written next; None when there is nothing more to come."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting())
            if self._closing:
                return None
            kept = next(each for each in self._kept.values() if each.queued)
            self._writing = kept.state.name
            return kept

    def _write(self, kept: _Kept, head: bytes) -> None:
        state, shelf = kept.state, self._shelf
        if shelf is None:
            return
        size = len(head) + len(state.data)
        with self._changed:
            if not shelf.reserve(state.name, size):
                return
        path = shelf.temporary(state.name)
        try:
            if write(path, head, state.data, wanted=lambda: self._is_wanted(kept)):
                with self._changed:
                    if self._is_wanted(kept):
                        shelf.place(state.name, state.ids, size, len(state.data))
        finally:
            with contextlib.suppress(OSError):
                path.unlink()

    def _is_wanted(self, kept: _Kept) -> bool:
        """Whether a state was neither forgotten nor replaced since."""
        return self._kept.get(kept.state.name) is kept

    def _finish(self, kept: _Kept) -> None:
        with self._changed:
            kept.queued, kept.tried = False, True
            self._writing = None
            if self._is_wanted(kept) and not kept.parked:
                self._remove(kept.state.name)
            self._changed.notify_all()


def _shelf(folder: Path | None, budget: int, stamp: Stamp) -> Shelf | None:
    if folder is None:
        return None
    try:
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Shelf(folder, budget, stamp)
    except OSError as error:
        _log.warning("Conversations cannot be kept on disk: %s", error)
        return None
