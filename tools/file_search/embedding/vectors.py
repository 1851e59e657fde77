"""Arithmetic on stored vectors: float32, little endian, L2-normalised bytes. numpy is imported at first use."""

from array import array
from collections.abc import Sequence


def unpacked(vector: bytes) -> "array[float]":
    """The numbers of a stored vector."""
    return array("f", vector)


def pooled(vectors: Sequence[bytes], weights: Sequence[float]) -> bytes:
    """The weighted mean of `vectors`, normalised again."""
    if len(vectors) == 1:
        return vectors[0]
    import numpy as np

    rows = np.stack([np.frombuffer(vector, "<f4") for vector in vectors])
    mean = np.average(rows, axis=0, weights=weights)
    norm = float(np.linalg.norm(mean))
    return (mean / norm if norm else mean).astype("<f4").tobytes()


def cosines(query: bytes, vectors: Sequence[bytes]) -> list[float]:
    """Cosine similarity of `query` to each of `vectors`, exact."""
    if not vectors:
        return []
    import numpy as np

    rows = np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)
    found: list[float] = (rows @ np.frombuffer(query, "<f4")).tolist()
    return found
