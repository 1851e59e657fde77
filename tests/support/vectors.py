"""Vectors written as numbers, packed as the store keeps them."""

import struct
from collections.abc import Sequence


def packed(numbers: Sequence[float]) -> bytes:
    """float32, little endian."""
    return struct.pack(f"<{len(numbers)}f", *numbers)


def paired(ids: Sequence[str], vectors: Sequence[Sequence[float]]) -> list[tuple[str, bytes]]:
    """Ids with their packed vectors."""
    return [(id_, packed(vector)) for id_, vector in zip(ids, vectors, strict=True)]
