"""Texts longer than the embedding model reads: cut into windows, each under the heading line, and put together again.

It decides what the model gets to read of a passage. It knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..chunking.tokens import Tokenizer, cut, pieces
from .vectors import pooled

Passage = tuple[str, str]
"""Heading line (may be empty) and text."""

_MOST_HEADING = 48  # tokens; the line helps the text, it must not take its place
_LEAST_HEADING = 12  # tokens; less is left to it only where the model reads hardly anything
_LEAST = 16  # tokens of text in a window, whatever stands in front of it
_MARGIN = 8  # a word that is cut in two may take some tokens more than before


@dataclass(frozen=True, slots=True)
class Windows:
    """What the model reads for each passage, one or several texts, and their tokens."""

    texts: list[str] = field(default_factory=list[str])
    tokens: list[int] = field(default_factory=list[int])
    shares: list[int] = field(default_factory=list[int])  # windows of each passage

    def pooled(self, vectors: Sequence[bytes]) -> list[bytes]:
        """The vectors of the passages from those of the windows: the mean, longer windows with more say."""
        found: list[bytes] = []
        start = 0
        for share in self.shares:
            end = start + share
            found.append(pooled(vectors[start:end], self.tokens[start:end]))
            start = end
        return found


def windows(
    passages: Sequence[Passage], tokenizer: Tokenizer, limit: int, prompt: str = ""
) -> Windows:
    """The windows of passages; nothing of a text is left out, of a heading line what finds no room beside its text.

    Args:
        passages: heading lines and texts.
        tokenizer: the model's.
        limit: tokens that the model reads.
        prompt: stands in front of each window.
    """
    limit = max(_LEAST, limit - tokenizer.count(prompt))
    headings = _Headings(tokenizer)
    made = Windows()
    for heading, text in passages:
        count = tokenizer.count(text)
        left = max(limit - count, min(_LEAST_HEADING, limit // 2))
        line, taken = headings.fitting(heading, min(_MOST_HEADING, left))
        parts = [text]
        if count > limit - taken:
            parts = pieces(tokenizer, text, max(_LEAST // 2, limit - taken - _MARGIN))
        start = f"{prompt}{line}\n" if line else prompt
        made.texts.extend([start + part for part in parts])
        made.tokens.extend([max(1, count // len(parts)) + taken] * len(parts))
        made.shares.append(len(parts))
    return made


class _Headings:
    """Heading lines cut to what there is room for; a file's chunks have few different ones."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[str, int], tuple[str, int]] = {}

    def fitting(self, heading: str, room: int) -> tuple[str, int]:
        """The line's beginning that has at most `room` tokens, and how many it has."""
        key = (heading, room)
        if key not in self._known:
            line = cut(self._tokenizer, heading, room) if heading else ""
            self._known[key] = (line, self._tokenizer.count(line))
        return self._known[key]
