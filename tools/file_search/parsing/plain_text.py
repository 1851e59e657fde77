"""Text files: which ones are read, how their bytes become text, what is dropped from it.

Source code, JSON, TeX and markdown are taken as they stand; of HTML only what a reader would see, headings marked
as in markdown. It does not guess encodings: the contract knows UTF-8, UTF-16 (by its mark) and ASCII.
"""

import codecs
import re
from html.parser import HTMLParser

from ....engine.errors import InvalidRequest

TEXT_EXTENSIONS = frozenset(
    {".c", ".cpp", ".cs", ".css", ".go", ".html", ".java", ".js", ".json", ".md", ".php", ".py"}
    | {".rb", ".sh", ".tex", ".ts", ".txt"}
)

# NULs break C strings further down, a lone surrogate breaks every UTF-8 encoder.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """`text` without what neither SQLite nor JSON can carry."""
    return _UNSTORABLE.sub("", text)


def decode(data: bytes) -> str:
    """The text of a file's bytes.

    Raises:
        InvalidRequest: neither UTF-8 (ASCII with it) nor UTF-16 with a byte order mark.
    """
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return clean(data.decode("utf-16" if marked else "utf-8-sig"))
    except UnicodeDecodeError:
        raise InvalidRequest(
            "The file could not be parsed: its text is neither UTF-8, UTF-16 nor ASCII. Save it as UTF-8.",
            code="invalid_file",
        ) from None


_UNSEEN = frozenset({"script", "style", "nav", "noscript", "template", "head"})
_BLOCKS = frozenset(
    {"address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer"}
    | {"form", "header", "hr", "li", "main", "ol", "p", "pre", "section", "table", "tr", "ul"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
)
_HEADING = re.compile(r"h([1-6])\Z")


class _Reader(HTMLParser):
    """Collects the visible text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNSEEN:
            self._hidden.append(tag)
        elif tag in {"td", "th"}:
            self.parts.append("  ")
        elif tag in _BLOCKS:
            heading = _HEADING.match(tag)
            self.parts.append("\n\n" + "#" * int(heading[1]) + " " if heading else "\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            while self._hidden.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.parts.append("\n\n" if _HEADING.match(tag) else "\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(re.sub(r"\s+", " ", data))


def html_text(page: str) -> str:
    """What a reader sees of an HTML page, one block a line. An unclosed script hides the rest, as in a browser."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    lines = "".join(reader.parts).split("\n")
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.strip() for line in lines)).strip()
