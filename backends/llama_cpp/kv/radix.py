"""Which of many token sequences begins most like a given one.

A radix tree over packed token ids: what sequences have in common is stored once, a look-up takes one comparison in C
per branching on its way, however many sequences there are. Knows ids and opaque holders of sequences, nothing of what
they stand for. Not safe to use from several threads at once.
"""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from .token_ids import BYTES, common_prefix

Holder = TypeVar("Holder", bound=Hashable)


class _Node(Generic[Holder]):
    """A place in the tree: `edge` are the ids between it and its parent."""

    __slots__ = ("children", "edge", "holders", "parent")

    def __init__(self, edge: bytes, parent: "_Node[Holder] | None") -> None:
        self.edge = edge
        self.parent = parent
        self.children: dict[bytes, _Node[Holder]] = {}
        self.holders: set[Holder] = set()


class RadixIndex(Generic[Holder]):
    """Holders by the ids of their sequences; each holder has one sequence, several may have the same."""

    def __init__(self) -> None:
        self._root: _Node[Holder] = _Node(b"", None)
        self._places: dict[Holder, _Node[Holder]] = {}

    def __contains__(self, holder: Holder) -> bool:
        return holder in self._places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def stored(self) -> int:
        """Ids in the tree: those of all sequences, common beginnings counted once."""
        return sum(len(node.edge) for node in _below(self._root)) // BYTES

    def insert(self, holder: Holder, ids: bytes) -> None:
        """Give a holder a sequence, in place of the one it had."""
        self.remove(holder)
        self._put(self._root, holder, ids)

    def extend(self, holder: Holder, more: bytes) -> None:
        """Let the sequence of a holder go on."""
        node = self._places[holder]
        if not more:
            return
        if node is not self._root and not node.children and len(node.holders) == 1:
            node.edge += more
            return
        node.holders.discard(holder)
        self._put(node, holder, more)
        self._tidy(node)

    def remove(self, holder: Holder) -> None:
        """Take a holder out, if it is in."""
        node = self._places.pop(holder, None)
        if node is not None:
            node.holders.discard(holder)
            self._tidy(node)

    def longest(self, ids: bytes) -> tuple[int, Iterator[Holder]]:
        """The length of the longest beginning that `ids` shares with any sequence, and all who share as much."""
        node, length, rest = self._descend(ids)
        if rest:
            child = node.children.get(rest[:BYTES])
            if child is not None:
                return length + common_prefix(child.edge, rest), _holders(child)
        return length, _holders(node) if length else iter(())

    def whole(self, ids: bytes) -> tuple[int, frozenset[Holder]]:
        """The length of the longest sequence that `ids` begins with as a whole, and its holders."""
        node, length, _ = self._descend(ids)
        while not node.holders and node.parent is not None:
            length -= len(node.edge) // BYTES
            node = node.parent
        return length, frozenset(node.holders)

    def sequence(self, holder: Holder) -> bytes:
        """The ids of a holder's sequence."""
        edges: list[bytes] = []
        node: _Node[Holder] | None = self._places[holder]
        while node is not None:
            edges.append(node.edge)
            node = node.parent
        return b"".join(reversed(edges))

    def _descend(self, ids: bytes) -> tuple[_Node[Holder], int, bytes]:
        """The deepest node that lies on `ids`, its depth, and the ids after it."""
        node, at = self._root, 0
        while at < len(ids):
            child = node.children.get(ids[at : at + BYTES])
            if child is None or not ids.startswith(child.edge, at):
                break
            node, at = child, at + len(child.edge)
        return node, at // BYTES, ids[at:]

    def _put(self, node: _Node[Holder], holder: Holder, ids: bytes) -> None:
        """Add a sequence that goes on from `node` with `ids`."""
        while ids:
            child = node.children.get(ids[:BYTES])
            if child is None:
                child = node.children[ids[:BYTES]] = _Node(ids, node)
            elif not ids.startswith(child.edge):
                child = _split(child, common_prefix(child.edge, ids))
            node, ids = child, ids[len(child.edge) :]
        node.holders.add(holder)
        self._places[holder] = node

    def _tidy(self, node: _Node[Holder]) -> None:
        """Remove nodes that nobody needs any more, from `node` upwards."""
        while node.parent is not None and not node.holders and not node.children:
            del node.parent.children[node.edge[:BYTES]]
            node = node.parent
        if node.parent is not None and not node.holders and len(node.children) == 1:
            self._join(node)

    def _join(self, node: _Node[Holder]) -> None:
        """Let the only child of a node take its place."""
        (child,) = node.children.values()
        child.edge, child.parent = node.edge + child.edge, node.parent
        if node.parent is not None:
            node.parent.children[child.edge[:BYTES]] = child


def _split(node: _Node[Holder], length: int) -> _Node[Holder]:
    """Put a new node into the edge above `node`, `length` ids after its parent."""
    at = length * BYTES
    upper: _Node[Holder] = _Node(node.edge[:at], node.parent)
    if node.parent is not None:
        node.parent.children[upper.edge[:BYTES]] = upper
    node.edge, node.parent = node.edge[at:], upper
    upper.children[node.edge[:BYTES]] = node
    return upper


def _below(node: _Node[Holder]) -> Iterator[_Node[Holder]]:
    """A node and all nodes below it."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(current.children.values())


def _holders(node: _Node[Holder]) -> Iterator[Holder]:
    for each in _below(node):
        yield from each.holders
