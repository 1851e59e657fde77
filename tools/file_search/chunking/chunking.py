"""Cutting a document into chunks that fit the embedder and that a reader can be pointed to.

A chunk never crosses a page, so that its page is right for every sentence in it. Inside a page the chunks cover the
text without gaps; each ends where the text itself pauses (before a heading, after a paragraph, a sentence, a line) if
that can be had in its last third, and begins a little before the end of the one before it.

Sizes are tokens of the embedder. Offsets are code points: document.text[chunk.start:chunk.end] is the chunk.
It knows neither vectors nor stores.
"""

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from ..parsing.documents import Document, Heading, PageSpan
from .tokens import Tokenizer

VERSION = 2  # raise it when the same text gives other chunks
CHUNK_TOKENS = 240  # MiniLM cuts at 256; 240 leave room for the heading line
OVERLAP_TOKENS = 60
_SEARCHED = 3  # a better border is looked for in the last third
_SECTION = 100_000  # code points tokenised at once; a text file is one page, however long
_LONG = 40  # code points that count as one token at least: a blob without blanks is a single unknown token


@dataclass(frozen=True, slots=True)
class Sizes:
    """Most tokens in a chunk and how many of them may repeat the chunk before."""

    tokens: int = CHUNK_TOKENS
    overlap: int = OVERLAP_TOKENS


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk to be: its stretch of the document, its page and the path of the headings above it ("" without any)."""

    start: int
    end: int
    page: int | None
    heading: str


# A border is an offset at which a chunk may begin; before all of these go the headings, then the best kind first. The
# text is hostile: each pattern must take linear time on anything.
_BORDERS = (
    re.compile(r"\n[ \t\r]*\n(?=\S)"),
    re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|[。！？]"),
    re.compile(r"\n"),
    re.compile(r"\s+"),
)
_PATH_BORDER = " > "
_DEEPEST = 6  # titles of a path; of a deeper one the innermost


def chunk(document: Document, tokenizer: Tokenizer, sizes: Sizes) -> list[Piece]:
    """The chunks of a document in order."""
    headings = deque(document.headings)
    path: list[Heading] = []
    pieces: list[Piece] = []
    read = 0  # what comes before was in an earlier chunk
    for start, end, page in _stretches(document, tokenizer, sizes):
        while headings and headings[0].start <= max(start, min(read, end - 1)):
            heading = headings.popleft()
            path = [above for above in path if above.level < heading.level] + [heading]
        pieces.append(Piece(start, end, page, _line(path)))
        read = end
    return pieces


def _line(path: list[Heading]) -> str:
    """The titles of a path, each once: many a page's title is its first heading too."""
    titles = [heading.title for heading in path if heading.title]
    return _PATH_BORDER.join(dict.fromkeys(titles[-_DEEPEST:]))


def _stretches(
    document: Document, tokenizer: Tokenizer, sizes: Sizes
) -> Iterator[tuple[int, int, int | None]]:
    """(start, end, page) of each chunk."""
    headings = [heading.start for heading in document.headings]
    for page in document.pages:
        for begin, stop in _sections(document.text, page):
            body = document.text[begin:stop]
            inside = headings[bisect_right(headings, begin) : bisect_left(headings, stop)]
            for start, end in _cut(body, [at - begin for at in inside], tokenizer, sizes):
                yield begin + start, begin + end, page.number


def _sections(text: str, page: PageSpan) -> Iterator[tuple[int, int]]:
    """A page in stretches short enough to tokenise at once, ending at a line where possible."""
    begin = page.start
    while page.end - begin > _SECTION:
        line = text.rfind("\n", begin + _SECTION // 2, begin + _SECTION)
        stop = line + 1 if line >= 0 else begin + _SECTION
        yield begin, stop
        begin = stop
    yield begin, page.end


def _cut(
    body: str, headings: list[int], tokenizer: Tokenizer, sizes: Sizes
) -> Iterator[tuple[int, int]]:
    starts = _token_starts(tokenizer.spans(body), len(body))
    borders = [headings, *([match.end() for match in kind.finditer(body)] for kind in _BORDERS)]
    begin = 0
    while True:
        first = bisect_left(starts, begin)
        if len(starts) - first <= sizes.tokens:
            yield begin, len(body)
            return
        limit = starts[first + sizes.tokens]
        least = starts[first + sizes.tokens - sizes.tokens // _SEARCHED]
        end = _best(borders, least, limit)
        yield begin, end
        begin = _next_begin(starts, borders, sizes.overlap, begin, end)


def _token_starts(spans: list[tuple[int, int]], length: int) -> list[int]:
    """Where tokens begin, with further starts inside very long ones and inside long stretches without any."""
    starts: list[int] = []
    begins = [0, *(start for start, _ in spans if start > 0), length]
    for start, following in pairwise(begins):
        starts.extend(range(start, following, _LONG) or (start,))
    return starts


def _next_begin(
    starts: list[int], borders: list[list[int]], overlap: int, begin: int, end: int
) -> int:
    """Where the chunk after [begin, end) begins: at most `overlap` tokens before its end, and always further on."""
    last = bisect_left(starts, end)
    back = starts[max(0, last - overlap)] if overlap else end
    # A new section needs nothing of the one before it.
    if back >= end or end in borders[0]:
        return end
    return _earliest(borders, max(back, begin + 1), end)


def _best(borders: list[list[int]], least: int, limit: int) -> int:
    """The last border of the best kind in [least, limit]; `limit` itself when there is none."""
    for offsets in borders:
        at = bisect_right(offsets, limit) - 1
        if at >= 0 and offsets[at] >= least:
            return offsets[at]
    return limit


def _earliest(borders: list[list[int]], least: int, end: int) -> int:
    """The first border of the best kind in [least, end); `end`, meaning no overlap, when there is none."""
    for offsets in borders[1:]:
        at = bisect_left(offsets, least)
        if at < len(offsets) and offsets[at] < end:
            return offsets[at]
    return end
