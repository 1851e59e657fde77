"""What parsing one file may take."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ParseLimits:
    """What parsing one file may take: seconds of wall clock, bytes of memory and file, pages, code points of text."""

    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {
        "seconds": (5, float("inf")),  # in less a busy machine may not read a short PDF
        "memory_bytes": (256 << 20, float("inf")),  # what ordinary documents take
        "file_bytes": (1, float("inf")),
        "pages": (1, float("inf")),
        "characters": (1, float("inf")),
    }

    seconds: float = 120.0
    memory_bytes: int = 1 << 30
    file_bytes: int = 512 << 20
    pages: int = 5_000
    characters: int = 20_000_000  # about the contract's 5,000,000 tokens
