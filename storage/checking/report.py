"""What a check found: some findings of each invariant, all of them counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .look import Found

MOST = 20
"""Findings kept of one invariant; a broken table would fill the memory with them."""


@dataclass
class Report:
    """The outcome.

    Attributes:
        kept: findings, at most `MOST` of an invariant and kind.
        counts: how many there were of each invariant, notes left out.
        notes: how many notes.
        rows: objects, events and texts read.
        files: files looked at.
        bytes: size of the database and of what was read of files.
        seconds: how long it took.
        served: whether a server was at work.
    """

    kept: list[Found] = field(default_factory=list[Found])
    counts: "Counter[str]" = field(default_factory=Counter[str])
    notes: "Counter[str]" = field(default_factory=Counter[str])
    rows: int = 0
    files: int = 0
    bytes: int = 0
    seconds: float = 0.0
    served: bool = False

    @property
    def ok(self) -> bool:
        """Whether nothing is broken."""
        return not self.counts

    def add(self, found: Iterable[Found]) -> None:
        """Count them, keep some."""
        for one in found:
            counter = self.notes if one.note else self.counts
            counter[one.invariant.name] += 1
            if counter[one.invariant.name] <= MOST:
                self.kept.append(one)

    def to_wire(self) -> dict[str, Any]:
        """For programs; names and keys stay."""
        return {
            "ok": self.ok,
            "broken": dict(self.counts),
            "notes": dict(self.notes),
            "findings": [
                {
                    "invariant": one.invariant.name,
                    "subject": one.subject,
                    "seen": one.seen,
                    "note": one.note,
                    "holds": one.invariant.holds,
                    "mend": one.invariant.mend,
                }
                for one in self.kept
            ],
            "rows": self.rows,
            "files": self.files,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "server_at_work": self.served,
        }
