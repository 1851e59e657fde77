"""The arrays of one step, filled from spans of tokens.

Memory of our own in place of the library's: it allocates a row's sequence list apart from every other's, so that only
ctypes could fill it, one number at a time; that costs more than a step of a small model's Python may.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive tokens of a sequence to evaluate, the first of them at position `start`.

    `wants_logits`: whether the scores after the last of them are asked for. `rows`: of a picture's tokens their rows of
    the embedding (numpy, float32, one for each), which are evaluated in their place.
    """

    tokens: Sequence[int]
    start: int
    sequence: int
    wants_logits: bool
    rows: Any = None


class Batch:
    """A `llama_batch` of at most `size` rows, at positions below `positions`."""

    def __init__(self, native: Any, size: int, positions: int) -> None:
        import numpy as np

        self.struct: Any = native.llama_batch()
        self._tokens: Any = np.zeros(size, dtype=np.int32)
        self._places: Any = np.zeros(size, dtype=np.int32)
        self._sequences: Any = np.zeros(size, dtype=np.int32)
        self._wanted: Any = np.zeros(size, dtype=np.int8)
        self._counts: Any = np.ones(size, dtype=np.int32)  # every row is in one sequence
        starts = self._sequences.ctypes.data + np.arange(size, dtype=np.uintp) * 4
        self._pointers: Any = starts.astype(np.uintp)
        self._count_up: Any = np.arange(positions, dtype=np.int32)
        self._point(native)

    def _point(self, native: Any) -> None:
        import ctypes

        def pointer(array: Any, kind: Any) -> Any:
            return ctypes.cast(array.ctypes.data, kind)

        types = dict(native.llama_batch._fields_)
        self.struct.token = pointer(self._tokens, types["token"])
        self.struct.pos = pointer(self._places, types["pos"])
        self.struct.n_seq_id = pointer(self._counts, types["n_seq_id"])
        self.struct.seq_id = pointer(self._pointers, types["seq_id"])
        self.struct.logits = pointer(self._wanted, types["logits"])

    def fill(self, spans: Sequence[Span]) -> list[int]:
        """Take these spans and nothing else; the rows whose scores are wanted. Sizes are the caller's to check."""
        outputs: list[int] = []
        row = 0
        for span in spans:
            end = row + len(span.tokens)
            if end == row + 1:  # far quicker than a slice
                self._tokens[row], self._places[row] = span.tokens[0], span.start
                self._sequences[row], self._wanted[row] = span.sequence, span.wants_logits
                if span.wants_logits:
                    outputs.append(row)
                row = end
                continue
            self._tokens[row:end] = span.tokens
            self._places[row:end] = self._count_up[span.start : span.start + len(span.tokens)]
            self._sequences[row:end] = span.sequence
            self._wanted[row:end] = 0
            if span.wants_logits:
                self._wanted[end - 1] = 1
                outputs.append(end - 1)
            row = end
        self.struct.n_tokens = row
        return outputs
