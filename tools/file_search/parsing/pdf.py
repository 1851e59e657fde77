"""PDF to text, page by page, with pypdf.

Pages whose tables come out one cell a line are read again in pypdf's layout mode, which keeps rows together: a row
is what a question asks for, and what a small model can read. Layout mode drops text on some pages (a whole cover page
was seen) and pulls kerned words apart, so it is taken only when no words are lost, and mended from the plain text.

It runs inside the parsing child (`worker`); time and memory are limited there, not here.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

from ....engine.errors import InvalidRequest
from .documents import Document, Page
from .plain_text import clean

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

# A line that holds a figure and nothing else.
_CELL = re.compile(r"[\s\d.,$€£%()\u2010-\u2015-]+\Z")
# Two short lines with nothing but an empty one between them: cells of a row, whatever is in them.
_GAP = re.compile(r"^.{1,40}\n\n(?=.{1,40}$)", re.MULTILINE)
_SCATTERED = 0.2  # share of such lines from which on a page is taken for a scattered table
_KEPT = 0.95  # share of the plain text's words that the layout text must still have
_WORD = re.compile(r"\w+")
_TORN = re.compile(r"\b(\w+) {1,2}(?=(\w+)\b)")


def pdf_document(file: BinaryIO, max_pages: int) -> Document:
    """Read a PDF.

    Raises:
        InvalidRequest: encrypted, damaged, too many pages, or without any text; the message says which.
    """
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        reader = _open(file)
        if len(reader.pages) > max_pages:
            raise _invalid(f"it has {len(reader.pages)} pages, more than the {max_pages} allowed")
        pages, unreadable = _read_pages(reader)
    except InvalidRequest:
        raise
    except (DependencyError, FileNotDecryptedError):
        raise _encrypted() from None
    except MemoryError:
        raise
    except PyPdfError as error:
        raise _invalid(f"the PDF is damaged or empty ({type(error).__name__})") from None
    except Exception as error:  # pypdf meets hostile input with whatever Python raises
        raise _invalid(f"the PDF is damaged ({type(error).__name__})") from None
    if unreadable and not any(page.text.strip() for page in pages):
        raise _invalid("none of the PDF's pages can be read; it is damaged")
    document = Document.of_pages(pages, tuple(unreadable))
    if not document.text:
        raise _invalid("the PDF has no text, only images perhaps; run OCR over it first")
    return document


def _invalid(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The file could not be parsed: {reason}.", code="invalid_file")


def _encrypted() -> InvalidRequest:
    return _invalid("the PDF is encrypted; remove its password and upload it again")


def _open(file: BinaryIO) -> "PdfReader":
    from pypdf import PdfReader

    reader = PdfReader(file)
    # An owner's password alone does not lock the text.
    if reader.is_encrypted and not reader.decrypt(""):
        raise _encrypted()
    return reader


def _read_pages(reader: "PdfReader") -> tuple[list[Page], list[int]]:
    pages: list[Page] = []
    unreadable: list[int] = []
    for number, page in enumerate(reader.pages, start=1):
        try:
            pages.append(Page(number, page_text(page)))
        except MemoryError:
            raise
        except Exception:  # one odd page must not cost the report its other 200
            unreadable.append(number)
    return pages, unreadable


def page_text(page: "PageObject") -> str:
    """The text of one page, tables with a row a line where that can be had without losing words."""
    plain = tidy(page.extract_text())
    if not is_scattered(plain):
        return plain
    try:
        layout = page.extract_text(
            extraction_mode="layout",
            layout_mode_space_vertically=False,
            layout_mode_strip_rotated=False,
        )
    except MemoryError:
        raise
    except Exception:  # the plain text is good enough
        return plain
    layout = mend(tidy(layout), plain)
    return layout if keeps_words(layout, plain) else plain


def tidy(text: str) -> str:
    """Without trailing blanks, runs of blanks as two (a column border), runs of empty lines as one."""
    text = clean(text).replace("\r\n", "\n").replace("\u00a0", " ")
    lines = [re.sub(r"[ \t]{2,}", "  ", line.strip()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def is_scattered(text: str) -> bool:
    """Whether many lines hold a lone figure or a lone cell: a table whose cells lost their row."""
    lines = [line for line in text.split("\n") if line.strip()]
    figures = sum(1 for line in lines if _CELL.match(line))
    gaps = sum(1 for _ in _GAP.finditer(text))
    return len(lines) > 10 and max(figures, gaps) / len(lines) >= _SCATTERED


def mend(layout: str, plain: str) -> str:
    """Join word pieces ("Five-Y  ear") that are one word in the plain text and no words there by themselves."""
    words = set(_WORD.findall(plain))

    def join(match: re.Match[str]) -> str:
        left, right = match[1], match[2]
        torn = left + right in words and not (left in words and right in words)
        return left if torn else match[0]

    return _TORN.sub(join, layout)


def keeps_words(layout: str, plain: str) -> bool:
    """Whether the layout text still has nearly all words of the plain text."""
    wanted, got = Counter(_WORD.findall(plain)), Counter(_WORD.findall(layout))
    return sum((wanted & got).values()) >= _KEPT * sum(wanted.values())
