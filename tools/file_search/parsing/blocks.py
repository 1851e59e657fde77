"""A page put together from blocks of text: paragraphs, list items, rows. Knows where its headings stand."""

from collections.abc import Iterable

from .documents import Heading, Page
from .plain_text import clean

CELL_BORDER = " | "


class Blocks:
    """Collects blocks in reading order."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []

    def add(self, text: str, *, close: bool = False, level: int | None = None) -> None:
        """Append a block after an empty line, or in the next line when `close`; with a level it is a heading."""
        text = clean(text).strip()
        if not text:
            return
        gap = "" if not self._parts else "\n" if close else "\n\n"
        self._length += len(gap)
        if level is not None:
            self._headings.append(Heading.at(self._length, level, text))
        self._parts += (gap, text)
        self._length += len(text)

    def add_rows(self, rows: Iterable[Iterable[str]]) -> None:
        """Append a table, a row a line; rows without a word are left out."""
        close = False
        for row in rows:
            cells = [" ".join(cell.split()) for cell in row]
            if any(cells):
                self.add(CELL_BORDER.join(cells), close=close)
                close = True

    def entitle(self, title: str) -> None:
        """Put all that follows under a title that is not part of the text."""
        self._headings.append(Heading.at(self._length, 0, clean(title)))

    def end_sections(self) -> None:
        """What follows stands under none of the headings before it, the document's title left aside."""
        self._headings.append(Heading(self._length, 1, ""))

    def page(self, number: int | None = None) -> Page:
        """What was collected."""
        return Page(number, "".join(self._parts), self._headings)
