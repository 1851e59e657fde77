"""The parsed form of a file: one text, where its pages lie in it, and which headings stand over what.

Offsets count code points of `Document.text`. It knows no file format and makes no promise about what the text says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

PAGE_BREAK = "\n\n"  # stands between pages and belongs to none; chunks never cross it
LONGEST_TITLE = 100  # code points; more is a paragraph that calls itself a heading
MOST_HEADINGS = 50_000  # of one document; the rest are text only


@dataclass(frozen=True, slots=True)
class PageSpan:
    """A page's stretch of the document's text; `number` is 1-based, None in files without pages."""

    number: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Heading:
    """From `start` on the text stands under `title`, until a heading of the same `level` or a lower one follows.

    Level 0 is the title of the whole document. A heading need not be part of the text; one without a title ends the
    sections before it.
    """

    start: int
    level: int
    title: str

    @classmethod
    def at(cls, start: int, level: int, text: str) -> "Heading":
        """The heading that `text` makes: on one line, of bounded length."""
        title = " ".join(text[: 4 * LONGEST_TITLE].split())
        if len(title) > LONGEST_TITLE:
            title = title[: LONGEST_TITLE - 1].rstrip() + "…"
        return cls(start, level, title)


@dataclass(frozen=True, slots=True)
class Page:
    """A page as a parser gives it; its headings count from its own beginning."""

    number: int | None
    text: str
    headings: Sequence[Heading] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a file. `unreadable` lists pages that could not be read while others could."""

    text: str
    pages: tuple[PageSpan, ...]
    unreadable: tuple[int, ...] = field(default=())
    headings: tuple[Heading, ...] = field(default=())

    @classmethod
    def of_pages(cls, pages: Iterable[Page], unreadable: tuple[int, ...] = ()) -> "Document":
        """Join the pages that have text; of the others their headings stay, and the gap in the numbers."""
        spans: list[PageSpan] = []
        texts: list[str] = []
        headings: list[Heading] = []
        start = 0
        for page in pages:
            headings += [Heading(start + h.start, h.level, h.title) for h in page.headings]
            if not page.text.strip():
                continue
            spans.append(PageSpan(page.number, start, start + len(page.text)))
            texts.append(page.text)
            start += len(page.text) + len(PAGE_BREAK)
        text = PAGE_BREAK.join(texts)
        kept = [each for each in headings[:MOST_HEADINGS] if each.start <= len(text)]
        return cls(text, tuple(spans), unreadable, tuple(sorted(kept, key=lambda h: h.start)))
