"""Token ids as bytes: four of them each, so that they are kept small and compared by one call of C."""

import sys
from array import array
from collections.abc import Iterable, Sequence

BYTES = 4  # of one id
_TYPE = "i"


def packed(ids: Iterable[int]) -> bytes:
    """Ids as bytes, little-endian."""
    values = array(_TYPE, ids)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def unpacked(data: bytes) -> Sequence[int]:
    """The ids in `data`, whose length is a multiple of `BYTES`."""
    values = array(_TYPE)
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def common_prefix(left: bytes, right: bytes) -> int:
    """How many ids two packed sequences begin with in common."""
    low, high = 0, min(len(left), len(right)) // BYTES
    if left[: high * BYTES] == right[: high * BYTES]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if left[low * BYTES : middle * BYTES] == right[low * BYTES : middle * BYTES]:
            low = middle
        else:
            high = middle - 1
    return low
