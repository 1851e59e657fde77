"""Which sequence of the KV pool a prompt goes on from, and what becomes of those that are in the way.

A prompt takes over the idle sequence that it extends, or gets the beginning that it has in common with another one
shared into a sequence of its own, or its parked state brought back where that is sooner done than evaluating. So
conversations with the same instructions evaluate them once, and what had to leave the pool comes back.

Used by the context's thread only. Knows token ids and sessions; nothing of requests or text.
"""

import time
from collections.abc import Callable, Sequence

from ..context import NativeContext
from .answers import Answers
from .fetching import LEAST, Fetching
from .parking import Parking
from .pool import Pool, Resident
from .state_files import name_of
from .token_ids import common_prefix, packed, unpacked

__all__ = ["Resident", "Residents"]

_CLOSING = 10.0  # seconds that writing may take at the end


def _no_answers(session: str) -> Answers:
    return {}


class Residents:
    """All sequences of one context.

    Args:
        context: the pool.
        count: its sequences.
        can_rewind: whether the model can go back to an earlier token.
        parking: where sequences go that have to leave; None: nowhere.
        answers: the answers to keep with a session's state.
    """

    def __init__(
        self,
        context: NativeContext,
        count: int,
        *,
        can_rewind: bool,
        parking: Parking | None = None,
        answers: Callable[[str], Answers] = _no_answers,
    ) -> None:
        self._pool = Pool(context, count, can_rewind=can_rewind)
        self._parking = parking or Parking(0, 0, None, {})
        self._answers = answers
        self._fetching = Fetching()

    # --- room ------------------------------------------------------------------------------------

    def has_idle(self) -> bool:
        """Whether another prompt can be taken in."""
        return any(not resident.busy for resident in self._pool.all)

    def missing(self, ids: Sequence[int]) -> int:
        """Cells that a prompt would need besides those that turns at work hold already."""
        if not self._pool.can_rewind:
            return len(ids)
        wanted = packed(ids)
        shared = (common_prefix(self._pool.ids(each), wanted) for each in self._busy())
        return len(ids) - max(shared, default=0)

    def has_room(self, tokens: int) -> bool:
        """Whether so many more cells fit once all idle sequences have left."""
        return self._pool.fits_beside(self._busy(), tokens)

    # --- a turn's sequence -----------------------------------------------------------------------

    def take(self, ids: Sequence[int], session: str | None) -> Resident:
        """A sequence for a prompt, marked busy, holding as much of its beginning as is known.

        At least the last token is left to evaluate: its scores are what the answer starts from.
        """
        wanted = packed(ids[:-1])
        target = self._brought_back(wanted, session) or self._branch(wanted, session)
        target.busy, target.session = True, session
        self._pool.touch(target)
        return target

    def catch_up(self, resident: Resident, ids: Sequence[int]) -> int:
        """Give a turn's sequence what others have evaluated of its prompt by now; how many tokens it gained."""
        if not self._pool.can_rewind:
            return 0
        common, found = self._pool.longest(packed(ids[:-1]))
        gained = common - len(resident.tokens)
        source = next((each for each in found if each is not resident), None)
        if source is None or gained <= 0:
            return 0
        self._pool.rewind(resident, 0)
        self._pool.share(source, resident, common)
        return gained

    def extend(self, resident: Resident, ids: Sequence[int]) -> None:
        """Note that these tokens were evaluated after those that the sequence had."""
        self._pool.extend(resident, ids)

    def rewind(self, resident: Resident, length: int) -> None:
        """Keep the first `length` tokens, or none where the model cannot go back."""
        self._pool.rewind(resident, length)

    def release(self, resident: Resident) -> None:
        """The turn is over; its tokens stay until they are in the way."""
        resident.busy = False
        self._pool.touch(resident)

    @property
    def prefill_rate(self) -> float | None:
        """Prompt tokens evaluated per second, told by who measures it: what fetching is compared with."""
        return self._fetching.prefill_rate

    @prefill_rate.setter
    def prefill_rate(self, rate: float | None) -> None:
        self._fetching.prefill_rate = rate

    # --- leaving the pool ------------------------------------------------------------------------

    def evict(self) -> bool:
        """Park and empty the idle sequence that was used longest ago; False when there is none with tokens."""
        idle = [each for each in self._pool.all if not each.busy and each.tokens]
        if not idle:
            return False
        self._empty(min(idle, key=lambda each: each.last_used))
        return True

    def park_idle(self) -> bool:
        """Have one idle conversation written that the disk does not have yet; False when there is nothing left to do.

        Call it again until then: one state is copied at a time, so that a new turn never waits for more.
        """
        if self._parking.waits:
            return True
        resident = next(iter(self._unwritten(include_busy=False)), None)
        if resident is None:
            self._parking.write_memory()
        else:
            self._write(resident)
        return self._parking.waits

    def close(self) -> None:
        """Write what the disk does not have yet, within seconds; then let go of everything beside the pool."""
        end = time.monotonic() + _CLOSING
        for resident in self._unwritten(include_busy=True):
            if not self._parking.flush(max(0.0, end - time.monotonic())):
                break
            self._write(resident)
        self._parking.write_memory()
        self._parking.flush(max(0.0, end - time.monotonic()))
        self._parking.close()

    def forget(self, sessions: set[str]) -> set[str]:
        """Erase these sessions, parked states too; those of them that are not at work, so that nothing comes after."""
        at_work = {each.session for each in self._pool.all if each.busy}
        for resident in self._pool.all:
            if resident.session in sessions and not resident.busy:
                self._pool.rewind(resident, 0)
                resident.session = None
        for session in sessions:
            self._parking.forget(session)
        return {session for session in sessions if session not in at_work}

    # --- where a prompt goes on from -------------------------------------------------------------

    def _busy(self) -> list[Resident]:
        return [each for each in self._pool.all if each.busy]

    def _live(self, wanted: bytes, session: str | None) -> tuple[int, Resident | None]:
        """How much of a prompt the pool has, and the sequence to take it from."""
        if self._pool.can_rewind:
            common, found = self._pool.longest(wanted)
        else:
            common, found = self._pool.whole(wanted)
            found = [each for each in found if not each.busy]
        if not found or not common:
            return 0, None

        def fitness(each: Resident) -> tuple[bool, bool, int]:
            own = not each.busy and each.belongs_to(session)
            return own, not each.busy and len(each.tokens) == common, each.last_used

        return common, max(found, key=fitness)

    def _branch(self, wanted: bytes, session: str | None) -> Resident:
        """A sequence with what the pool has of a prompt: where it is, or shared into another."""
        common, source = self._live(wanted, session)
        if source is None:
            return self._empty(self._oldest_idle())
        own = source.belongs_to(session)
        target = self._oldest_idle(besides=source)
        ends_here = len(source.tokens) == common or (own and 2 * common >= len(source.tokens))
        if (ends_here and not source.busy) or target is source:
            if not own and (not self._pool.can_rewind or len(source.tokens) > common):
                self._park(source)
            self._pool.rewind(source, common)
            return source
        self._empty(target)
        self._pool.share(source, target, common)
        return target

    def _brought_back(self, wanted: bytes, session: str | None) -> Resident | None:
        """A sequence with a parked state that has more of a prompt than the pool has, if fetching it pays."""
        found = self._parking.find(wanted, whole=not self._pool.can_rewind)
        if found is None or not self._fetching.pays(
            found, found.common - self._live(wanted, session)[0]
        ):
            return None
        own = session is not None and found.name == name_of(session)
        # Nobody has to leave for a beginning that two have in common, nor for what will not fit all the same.
        if not (self.has_room(found.tokens) if own else found.tokens <= self._pool.free):
            return None
        began = time.perf_counter()
        state = self._parking.load(found)
        if state is None:
            return None
        target, ids = self._empty(self._oldest_idle()), unpacked(state.ids)
        while self._pool.free < len(ids):
            if not self.evict():
                return None
        if not self._pool.load(target, ids, state.data):
            self._parking.discard(found.name)
            return None
        self._fetching.observe(found, time.perf_counter() - began)
        self._pool.rewind(target, found.common)
        if own:
            self._parking.drop(found.name)
        return target

    def _oldest_idle(self, besides: Resident | None = None) -> Resident:
        """The idle sequence to be used next, `besides` one only if there is no other."""
        idle = [each for each in self._pool.all if not each.busy]
        return min(idle, key=lambda each: (each is besides, bool(each.tokens), each.last_used))

    # --- parking ---------------------------------------------------------------------------------

    def _empty(self, resident: Resident) -> Resident:
        self._park(resident)
        self._pool.rewind(resident, 0)
        return resident

    def _park(self, resident: Resident) -> None:
        """Keep a sequence's state, if it is worth it and to be had nowhere else."""
        if len(resident.tokens) < LEAST or self._is_elsewhere(resident):
            return
        if self._parking.takes(self._pool.state_size(resident)):
            ids, session = self._pool.ids(resident), resident.session
            answers: Answers = self._answers(session) if session is not None else {}
            data = self._pool.save(resident)
            if data:
                self._parking.park(session, ids, answers, data)

    def _is_elsewhere(self, resident: Resident) -> bool:
        """Whether a parked state or another sequence has all of it, or a newer one of its session is there."""
        ids, session = self._pool.ids(resident), resident.session
        others = [each for each in self._pool.all if each is not resident and each.tokens]
        if session is not None and self._parking.holds(session, ids):
            return True
        if any(each.belongs_to(session) and each.last_used > resident.last_used for each in others):
            return True
        return self._pool.can_rewind and any(
            each is not resident for each in self._pool.longest(ids)[1]
        )

    def _unwritten(self, *, include_busy: bool) -> list[Resident]:
        """Conversations that the disk does not have as they are, used lately first."""
        newest: dict[str, Resident] = {}
        for each in sorted(self._pool.all, key=lambda each: each.last_used):
            if each.session is not None and len(each.tokens) >= LEAST:
                newest[each.session] = each
        found = [
            each
            for session, each in newest.items()
            if self._parking.writes
            and (include_busy or not each.busy)
            and each.written != len(each.tokens)
            and not self._parking.holds(session, self._pool.ids(each), on_disk=True)
        ]
        return sorted(found, key=lambda each: -each.last_used)

    def _write(self, resident: Resident) -> None:
        session = resident.session
        resident.written = len(resident.tokens)
        if session is not None and (data := self._pool.save(resident)):
            ids = self._pool.ids(resident)
            self._parking.write_behind(session, ids, self._answers(session), data)
