"""Texts longer than the embedding model reads: cut into windows, each under the heading line, and put together again.

It decides what the model gets to read of a passage. It knows no model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ..chunking.tokens import Tokenizer, cut, pieces
from .vectors import pooled

Passage = tuple[str, str]
"""Heading line (may be empty) and text."""

HEADING_TOKENS = 48  # no more of a window than this goes to the heading line
_LEAST = 16  # tokens of text in a window, whatever the heading takes
_MARGIN = 8  # a word that is cut in two may take some tokens more than before


@dataclass(frozen=True, slots=True)
class Windows:
    """What the model reads for each passage, one or several texts, and their tokens."""

    texts: list[str]
    tokens: list[int]
    shares: list[int]  # windows of each passage

    def pooled(self, vectors: Sequence[bytes]) -> list[bytes]:
        """The vectors of the passages from those of the windows: the mean, longer windows with more say."""
        found: list[bytes] = []
        start = 0
        for share in self.shares:
            end = start + share
            found.append(pooled(vectors[start:end], self.tokens[start:end]))
            start = end
        return found


def windows(passages: Sequence[Passage], tokenizer: Tokenizer, limit: int) -> Windows:
    """The windows of passages; none has more than `limit` tokens, and nothing of a text is left out."""
    made = Windows([], [], [])
    headings: dict[str, tuple[str, int]] = {}
    for heading, text in passages:
        if heading not in headings:
            line = cut(tokenizer, heading, min(HEADING_TOKENS, limit // 2))
            headings[heading] = (line, tokenizer.count(line))
        line, taken = headings[heading]
        parts = _parts(text, tokenizer, max(_LEAST, limit - taken))
        for part, count in parts:
            made.texts.append(f"{line}\n{part}" if line else part)
            made.tokens.append(count + taken)
        made.shares.append(len(parts))
    return made


def _parts(text: str, tokenizer: Tokenizer, room: int) -> list[tuple[str, int]]:
    count = tokenizer.count(text)
    if count <= room:
        return [(text, max(1, count))]
    parts = pieces(tokenizer, text, max(_LEAST // 2, room - _MARGIN))
    return [(part, max(1, count // len(parts))) for part in parts]
