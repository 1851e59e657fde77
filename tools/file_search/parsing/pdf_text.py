"""What a way into a PDF gives, whichever it is: pages of text, and the outline that readers show beside them."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from .documents import Heading, Page
from .limits import ParseLimits
from .plain_text import clean
from .refusals import invalid

KIND = "the PDF"
_LIGATURES = str.maketrans(
    {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
    | {"\u00a0": " ", "\u00ad": None, "\u200b": None}
)
_SPLIT_WORD = re.compile(
    "[\x02\ufffe]\r?\n?"
)  # PDFium's mark for a hyphen that only the end of the line needs
_CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A line that holds a figure and nothing else.
_CELL = re.compile(r"[\s\d.,$€£%()\u2010-\u2015-]+\Z")
# Two short lines with nothing but an empty one between them: cells of a row, whatever is in them.
_GAP = re.compile(r"^.{1,40}\n\n(?=.{1,40}$)", re.MULTILINE)
_SCATTERED = 0.2  # share of such lines from which on a page is taken for a scattered table
_KEPT = 0.95  # share of the plain text's words that the layout text must still have
_WORD = re.compile(r"\w+")
_MOST_ENTRIES = 5_000
_WORDS = 12  # of an outline's title that are looked for in the page


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the outline; `page` is 1-based, `level` 1 for the outermost."""

    level: int
    title: str
    page: int


@dataclass(frozen=True, slots=True)
class PdfText:
    """The pages that could be read, by number, those that could not, and the outline in reading order."""

    pages: list[tuple[int, str]]
    unreadable: list[int]
    outline: list[Entry] = field(default_factory=list[Entry])

    def with_headings(self) -> Iterator[Page]:
        """The pages, each with the outline's entries that point to it."""
        entries: defaultdict[int, list[Entry]] = defaultdict(list)
        for entry in self.outline[:_MOST_ENTRIES]:
            entries[entry.page].append(entry)
        for number, text in self.pages:
            yield Page(number, text, list(_headings(text, entries[number])))


def _headings(text: str, entries: list[Entry]) -> Iterator[Heading]:
    """Each entry where its title stands in the page, in order; where it does not, at the page's beginning."""
    after = 0
    for entry in entries:
        words = clean(entry.title).split()[:_WORDS]
        pattern = r"\s+".join(re.escape(word) for word in words)
        match = re.compile(pattern, re.IGNORECASE).search(text, after) if words else None
        after = match.start() if match else after
        yield Heading.at(after, entry.level, " ".join(clean(entry.title).split()))


def check_length(pages: int, limits: ParseLimits) -> None:
    """Refuse a PDF with too many pages before they are read."""
    if pages > limits.pages:
        raise invalid(f"it has {pages} pages, more than the {limits.pages} allowed; split it")


def tidy(text: str) -> str:
    """Without trailing blanks, runs of blanks as two (a column border), runs of empty lines as one."""
    text = _SPLIT_WORD.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    text = _CONTROLS.sub("", clean(text).translate(_LIGATURES))
    lines = [re.sub(r"[ \t]{2,}", "  ", line.strip()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def is_scattered(text: str) -> bool:
    """Whether many lines hold a lone figure or a lone cell: a table whose cells lost their row."""
    lines = [line for line in text.split("\n") if line.strip()]
    figures = sum(1 for line in lines if _CELL.match(line))
    gaps = sum(1 for _ in _GAP.finditer(text))
    return len(lines) > 10 and max(figures, gaps) / len(lines) >= _SCATTERED


def keeps_words(layout: str, plain: str) -> bool:
    """Whether the layout text still has nearly all words of the plain text."""
    wanted, got = Counter(_WORD.findall(plain)), Counter(_WORD.findall(layout))
    return sum((wanted & got).values()) >= _KEPT * sum(wanted.values())
