"""Which conversation's tokens lie in which sequence of the KV pool, and which sequence a prompt goes on from.

Bookkeeping only; the pool itself is the context's. A prompt takes over the idle sequence that it extends, or gets the
common part of another one shared into a free sequence, so that conversations with the same instructions evaluate
them once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .context import NativeContext


@dataclass(slots=True)
class Resident:
    """One sequence: the tokens whose keys and values it holds."""

    number: int
    tokens: list[int] = field(default_factory=list[int])
    session: str | None = None
    busy: bool = False
    last_used: int = 0


class Residents:
    """All sequences of one context. Used by the context's thread only."""

    def __init__(self, context: NativeContext, count: int, *, can_rewind: bool) -> None:
        self._context = context
        self._can_rewind = can_rewind
        self._all = [Resident(number) for number in range(count)]
        self._time = 0

    def has_idle(self) -> bool:
        """Whether another prompt can be taken in."""
        return any(not resident.busy for resident in self._all)

    def take(self, ids: Sequence[int], session: str | None) -> Resident:
        """A sequence for a prompt, marked busy, holding as much of its beginning as is known.

        At least the last token is left to evaluate: its scores are what the answer starts from.
        """
        wanted = list(ids[:-1])
        source = max(
            self._all, key=lambda each: (self._useful(each, wanted), each.session == session)
        )
        common = self._useful(source, wanted)
        takes_over = not source.busy and (
            common == len(source.tokens) or (source.session == session and session is not None)
        )
        target = source if takes_over and common else self._oldest_idle()
        if target is source:
            self.rewind(target, common)
        else:
            self.rewind(target, 0)
            self._share(source, target, common)
        target.busy, target.session = True, session
        self._touch(target)
        return target

    def extend(self, resident: Resident, ids: Sequence[int]) -> None:
        """Note that these tokens were evaluated after those that the sequence had."""
        resident.tokens += ids

    def missing(self, ids: Sequence[int]) -> int:
        """Cells that a prompt would need besides those that turns at work hold already."""
        shared = [common_prefix(each.tokens, ids) for each in self._all if each.busy]
        return len(ids) - (max(shared, default=0) if self._can_rewind else 0)

    def has_room(self, tokens: int) -> bool:
        """Whether so many more cells fit once all idle sequences have left."""
        taken = sum(len(each.tokens) for each in self._all if each.busy)
        return taken + tokens <= self._context.size

    def park_idle(self) -> None:
        """Write what is worth keeping of idle sequences to where a restart finds it."""

    def close(self) -> None:
        """Let go of everything beside the pool."""

    def release(self, resident: Resident) -> None:
        """The turn is over; its tokens stay until they are in the way."""
        resident.busy = False
        self._touch(resident)

    def rewind(self, resident: Resident, length: int) -> None:
        """Keep the first `length` tokens, or none where the model cannot go back."""
        if length == len(resident.tokens) and length > 0:
            return
        keeps = self._can_rewind and self._context.rewind(resident.number, length)
        if not keeps:
            self._context.rewind(resident.number, 0)
        resident.tokens = resident.tokens[: length if keeps else 0]

    def evict(self) -> bool:
        """Empty the idle sequence that was used longest ago; False when there is none with tokens."""
        idle = [each for each in self._all if not each.busy and each.tokens]
        if not idle:
            return False
        self.rewind(min(idle, key=lambda each: each.last_used), 0)
        return True

    def forget(self, sessions: set[str]) -> set[str]:
        """Empty the idle sequences of these sessions; those sessions that have none at work."""
        at_work = {each.session for each in self._all if each.busy}
        for resident in self._all:
            if resident.session in sessions and not resident.busy:
                self.rewind(resident, 0)
                resident.session = None
        return {session for session in sessions if session not in at_work}

    def _useful(self, resident: Resident, ids: list[int]) -> int:
        """How many tokens of a sequence a prompt could use."""
        common = common_prefix(resident.tokens, ids)
        return common if self._can_rewind or common == len(resident.tokens) else 0

    def _share(self, source: Resident, target: Resident, length: int) -> None:
        if length > 0 and self._can_rewind:
            self._context.share(source.number, target.number, length)
            target.tokens = source.tokens[:length]

    def _oldest_idle(self) -> Resident:
        idle = [each for each in self._all if not each.busy]
        return min(idle, key=lambda each: (bool(each.tokens), each.last_used))

    def _touch(self, resident: Resident) -> None:
        self._time += 1
        resident.last_used = self._time


def common_prefix(left: Sequence[int], right: Sequence[int]) -> int:
    """Length of the longest common beginning."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
