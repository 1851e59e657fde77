"""How good a list of results is: nDCG and recall over files, and how much of an answer a stretch of context holds."""

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence

from local_assistants.tools.file_search.chunking.tokens import Tokenizer

from .corpora import Question, Span

_SECTION = 50_000  # code points tokenised at once


def ndcg(ranked: Sequence[str], right: Collection[str], depth: int = 10) -> float:
    """Discounted gain of the right ones among the first `depth`, as a share of the best possible; each is worth 1."""
    gain = sum(1 / math.log2(at + 2) for at, one in enumerate(ranked[:depth]) if one in right)
    return gain / sum(1 / math.log2(at + 2) for at in range(min(depth, len(right))))


def recall(ranked: Sequence[str], right: Collection[str], depth: int) -> float:
    """The share of the right ones that are among the first `depth`."""
    return len(set(ranked[:depth]) & set(right)) / len(right)


class Text:
    """A text whose tokens are counted by the embedding model's tokenizer, the same for every way of searching."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self.text = text
        self._starts = [
            begin + start
            for begin in range(0, len(text), _SECTION)
            for start, _ in tokenizer.spans(text[begin : begin + _SECTION])
        ]

    def first(self, span: Span, tokens: int) -> tuple[Span, int]:
        """The beginning of `span` that has at most `tokens` tokens, and how many it has."""
        begin, end = (bisect_left(self._starts, place) for place in span)
        if end - begin <= tokens:
            return span, end - begin
        return (span[0], self._starts[begin + tokens]), tokens


def within(
    found: Sequence[tuple[str, Span]], texts: dict[str, Text], tokens: int
) -> list[tuple[str, Span]]:
    """What of the results (file name and characters, best first) stands in the first `tokens` tokens of them."""
    read: list[tuple[str, Span]] = []
    for name, span in found:
        if tokens <= 0:
            break
        part, taken = texts[name].first(span, tokens)
        read.append((name, part))
        tokens -= taken
    return read


def answered(question: Question, read: Sequence[tuple[str, Span]]) -> float:
    """The share of the answer's characters that are in what was read."""
    spans = [span for name, span in read if name == question.source]
    inside = sum(_covered(part, spans) for part in question.spans)
    return inside / sum(end - start for start, end in question.spans)


def _covered(part: Span, spans: Sequence[Span]) -> int:
    start, end = part
    reached, covered = start, 0
    for begin, stop in sorted(spans):
        begin, stop = max(begin, reached), min(stop, end)
        if stop > begin:
            covered += stop - begin
            reached = stop
    return covered
