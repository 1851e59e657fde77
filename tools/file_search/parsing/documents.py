"""The parsed form of a file: one text, and where its pages lie in it.

Offsets count code points of `Document.text`. It knows no file format and makes no promise about what the text says.
"""

from dataclasses import dataclass, field

PAGE_BREAK = "\n\n"  # stands between pages and belongs to none; chunks never cross it


@dataclass(frozen=True, slots=True)
class PageSpan:
    """A page's stretch of the document's text; `number` is 1-based, None in files without pages."""

    number: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Document:
    """The text of a file. `unreadable` lists pages that could not be read while others could."""

    text: str
    pages: tuple[PageSpan, ...]
    unreadable: tuple[int, ...] = field(default=())

    @classmethod
    def of_pages(
        cls, pages: list[tuple[int | None, str]], unreadable: tuple[int, ...] = ()
    ) -> "Document":
        """Join the pages that have text; the others leave no trace but the gap in the numbers."""
        spans: list[PageSpan] = []
        texts: list[str] = []
        start = 0
        for number, text in pages:
            if not text.strip():
                continue
            spans.append(PageSpan(number, start, start + len(text)))
            texts.append(text)
            start += len(text) + len(PAGE_BREAK)
        return cls(PAGE_BREAK.join(texts), tuple(spans), unreadable)
