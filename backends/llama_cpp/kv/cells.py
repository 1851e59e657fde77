"""How many cells of the KV pool sequences take, those that they share counted once.

A cell is a token's place in the pool. Sharing gives the beginning of one sequence to another without a copy; cells are
free again when the last sequence lets go of them. The library tells nobody how many are taken, so they are counted
along here.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class _Run:
    """Cells that were filled one after the other; sequences hold beginnings of it. `length`: cells filled."""

    length: int = 0


@dataclass(slots=True)
class _Part:
    """What a sequence holds of a run: its first `length` cells."""

    run: _Run
    length: int


class Cells:
    """The cells of `count` sequences, all empty."""

    def __init__(self, count: int) -> None:
        self._parts: list[list[_Part]] = [[] for _ in range(count)]

    def grow(self, sequence: int, count: int) -> None:
        """A sequence got so many tokens more."""
        parts = self._parts[sequence]
        if count and not (parts and parts[-1].length == parts[-1].run.length):
            parts.append(_Part(_Run(), 0))
        if count:
            parts[-1].run.length += count
            parts[-1].length += count

    def share(self, source: int, target: int, length: int) -> None:
        """The first `length` tokens of `source` were given to the empty sequence `target`."""
        self._parts[target] = _first(self._parts[source], length)

    def cut(self, sequence: int, length: int) -> None:
        """Only the first `length` tokens of a sequence are left."""
        self._parts[sequence] = _first(self._parts[sequence], length)

    def taken(self, sequences: Iterable[int]) -> int:
        """Cells that these sequences hold together."""
        longest: dict[int, int] = {}
        for sequence in sequences:
            for part in self._parts[sequence]:
                held = longest.get(id(part.run), 0)
                longest[id(part.run)] = max(held, part.length)
        return sum(longest.values())


def _first(parts: list[_Part], length: int) -> list[_Part]:
    """The first `length` cells of what a sequence holds."""
    kept: list[_Part] = []
    for part in parts:
        if length <= 0:
            break
        kept.append(_Part(part.run, min(part.length, length)))
        length -= part.length
    return kept
