"""The sequences of the KV pool: which tokens each one holds, found by their beginnings, their cells counted.

Every change of a sequence goes through here, so that the library's pool and the books about it never differ.
Decides nothing. Used by the context's thread only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..context import NativeContext
from .cells import Cells
from .radix import RadixIndex
from .token_ids import packed


@dataclass(slots=True, eq=False)
class Resident:
    """One sequence: the tokens whose keys and values it holds.

    `indexed`: how many of them the index knows; `written`: how many were given to be written to disk.
    """

    number: int
    tokens: list[int] = field(default_factory=list[int])
    session: str | None = None
    busy: bool = False
    last_used: int = 0
    indexed: int = 0
    written: int = 0

    def belongs_to(self, session: str | None) -> bool:
        """Whether it was used for this session last."""
        return session is not None and self.session == session


class Pool:
    """The first `count` sequences of a context. `can_rewind`: whether the model can go back to an earlier token."""

    def __init__(self, context: NativeContext, count: int, *, can_rewind: bool) -> None:
        self._context = context
        self.can_rewind = can_rewind
        self.all = tuple(Resident(number) for number in range(count))
        self._index: RadixIndex[int] = RadixIndex()
        self._cells = Cells(count)
        self._time = 0

    @property
    def free(self) -> int:
        """Cells that no sequence holds."""
        return self._context.size - self._cells.taken(range(len(self.all)))

    def fits_beside(self, residents: Iterable[Resident], tokens: int) -> bool:
        """Whether so many cells are left if these sequences were the only ones."""
        return self._cells.taken(each.number for each in residents) + tokens <= self._context.size

    def touch(self, resident: Resident) -> None:
        """Note that a sequence is used now."""
        self._time += 1
        resident.last_used = self._time

    # --- looking up ------------------------------------------------------------------------------

    def ids(self, resident: Resident) -> bytes:
        """A sequence's tokens, packed."""
        self._note_growth()
        return self._index.sequence(resident.number) if resident.tokens else b""

    def longest(self, wanted: bytes) -> tuple[int, list[Resident]]:
        """How much of a prompt any sequence has, and those that have as much."""
        self._note_growth()
        length, numbers = self._index.longest(wanted)
        return length, [self.all[number] for number in numbers]

    def whole(self, wanted: bytes) -> tuple[int, list[Resident]]:
        """The longest sequences that a prompt begins with as they are."""
        self._note_growth()
        length, numbers = self._index.whole(wanted)
        return length, [self.all[number] for number in numbers]

    # --- changing --------------------------------------------------------------------------------

    def extend(self, resident: Resident, ids: Sequence[int]) -> None:
        """Note that these tokens were evaluated after those that the sequence had."""
        resident.tokens += ids
        self._cells.grow(resident.number, len(ids))

    def rewind(self, resident: Resident, length: int) -> None:
        """Keep the first `length` tokens, or none where the model cannot go back."""
        if length == len(resident.tokens) and length > 0:
            return
        keeps = self.can_rewind and self._context.rewind(resident.number, length)
        if not keeps:
            self._context.rewind(resident.number, 0)
        length = length if keeps else 0
        self._cells.cut(resident.number, length)
        self._hold(resident, resident.tokens[:length])

    def share(self, source: Resident, target: Resident, length: int) -> None:
        """Give the empty sequence `target` the first `length` tokens of another; nothing where that cannot be."""
        if length > 0 and self.can_rewind:
            self._context.share(source.number, target.number, length)
            self._cells.share(source.number, target.number, length)
            self._hold(target, source.tokens[:length])

    def save(self, resident: Resident) -> bytearray:
        """A sequence's state, empty when the library cannot give it."""
        return self._context.save_state(resident.number)

    def state_size(self, resident: Resident) -> int:
        """Bytes of a sequence's state."""
        return self._context.state_size(resident.number)

    def load(self, target: Resident, ids: Sequence[int], data: bytearray) -> bool:
        """Fill an empty sequence with a saved state; False and still empty when it does not fit."""
        if not self._context.load_state(target.number, data, len(ids)):
            return False
        self._cells.grow(target.number, len(ids))
        self._hold(target, list(ids))
        return True

    def _hold(self, resident: Resident, tokens: list[int]) -> None:
        resident.tokens, resident.indexed, resident.written = tokens, len(tokens), 0
        self._index.remove(resident.number)
        if tokens:
            self._index.insert(resident.number, packed(tokens))

    def _note_growth(self) -> None:
        """Let the index know the tokens that were evaluated since it was asked last."""
        for resident in self.all:
            known, length = resident.indexed, len(resident.tokens)
            if length > known:
                more = packed(resident.tokens[known:])
                if known:
                    self._index.extend(resident.number, more)
                else:
                    self._index.insert(resident.number, more)
                resident.indexed = length
