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

from ..parsing.documents import Document, PageSpan
from .tokens import Tokenizer, cut

CHUNK_TOKENS = 240  # MiniLM cuts at 256; 240 leave room for the heading line
OVERLAP_TOKENS = 60
HEADING_TOKENS = 48  # no more of the window than this goes to the heading line
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
    """A chunk to be: its stretch of the document, its page and the heading line indexed with it."""

    start: int
    end: int
    page: int | None
    heading: str


# A border is an offset at which a chunk may begin, the best kind first. The text is hostile: each pattern must take
# linear time on anything.
_BORDERS = (
    re.compile(r"^(?=#{1,6} \S|\\(?:chapter|(?:sub)*section)\b)", re.MULTILINE),
    re.compile(r"\n[ \t\r]*\n(?=\S)"),
    re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9])|[。！？]"),
    re.compile(r"\n"),
    re.compile(r"\s+"),
)
_MARKDOWN = re.compile(r"(#{1,6}) +(\S.*)")
_FENCES = ("```", "~~~")


def chunk(document: Document, filename: str, tokenizer: Tokenizer, sizes: Sizes) -> list[Piece]:
    """The chunks of a document in order; `filename` opens each heading line."""
    marked = filename.lower().endswith((".md", ".html"))
    headings = deque(_headings(document.text) if marked else ())
    path: dict[int, str] = {}
    pieces: list[Piece] = []
    for start, end, page in _stretches(document, tokenizer, sizes):
        while headings and headings[0][0] <= start:
            _, level, title = headings.popleft()
            path = {above: name for above, name in path.items() if above < level} | {level: title}
        heading = cut(tokenizer, " > ".join([filename, *path.values()]), HEADING_TOKENS)
        pieces.append(Piece(start, end, page, heading))
    return pieces


def _stretches(
    document: Document, tokenizer: Tokenizer, sizes: Sizes
) -> Iterator[tuple[int, int, int | None]]:
    """(start, end, page) of each chunk."""
    for page in document.pages:
        for begin, stop in _sections(document.text, page):
            body = document.text[begin:stop]
            for start, end in _cut(body, tokenizer, sizes):
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


def _cut(body: str, tokenizer: Tokenizer, sizes: Sizes) -> Iterator[tuple[int, int]]:
    starts = _token_starts(tokenizer.spans(body), len(body))
    borders = [[match.end() for match in kind.finditer(body)] for kind in _BORDERS]
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
    if back >= end:
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


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    """(offset, level, title) of each markdown heading, those inside code fences left out."""
    offset, fence = 0, ""
    for line in text.split("\n"):
        mark = line[:3] if line.startswith(_FENCES) else ""
        if mark and fence in ("", mark):
            fence = "" if fence else mark
        elif not fence and (match := _MARKDOWN.match(line)):
            yield offset, len(match[1]), match[2].rstrip("# \r")
        offset += len(line) + 1
