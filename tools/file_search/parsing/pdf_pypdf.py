"""PDF to text, page by page, with pypdf: pure Python, always there.

Pages whose tables come out one cell a line are read again in pypdf's layout mode, which keeps rows together: a row
is what a question asks for, and what a small model can read. Layout mode drops text on some pages (a whole cover page
was seen) and pulls kerned words apart, so it is taken only when no words are lost, and mended from the plain text.
"""

import re
from collections.abc import Container, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ....engine.errors import AssistantsError
from .limits import ParseLimits
from .pdf_text import (
    KIND,
    Entry,
    PdfText,
    check_length,
    is_scattered,
    keeps_words,
    tidy,
)
from .refusals import UNREADABLE, damaged, encrypted

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

NAME = "pypdf"
_WORD = re.compile(r"\w+")
_TORN = re.compile(r"\b(\w+) {1,2}(?=(\w+)\b)")


def read(file: BinaryIO, limits: ParseLimits, only: Container[int] | None = None) -> PdfText:
    """Read a PDF, or `only` some of its pages.

    Raises:
        InvalidRequest: encrypted, damaged or too long; the message says which.
    """
    from pypdf.errors import DependencyError, FileNotDecryptedError, PyPdfError

    try:
        reader = _open(file)
        check_length(len(reader.pages), limits)
        pages, unreadable = _read_pages(reader, only)
        return PdfText(pages, unreadable, list(_outline(reader)))
    except (AssistantsError, MemoryError):
        raise
    except (DependencyError, FileNotDecryptedError):
        raise encrypted(KIND) from None
    except PyPdfError:
        raise damaged(KIND, "it is cut off, or its pages cannot be found") from None
    except Exception:  # pypdf meets hostile input with whatever Python raises
        raise damaged(KIND, UNREADABLE) from None


def _open(file: BinaryIO) -> "PdfReader":
    from pypdf import PdfReader

    reader = PdfReader(file)
    # An owner's password alone does not lock the text.
    if reader.is_encrypted and not reader.decrypt(""):
        raise encrypted(KIND)
    return reader


def _read_pages(
    reader: "PdfReader", only: Container[int] | None
) -> tuple[list[tuple[int, str]], list[int]]:
    pages: list[tuple[int, str]] = []
    unreadable: list[int] = []
    for number, page in enumerate(reader.pages, start=1):
        if only is not None and number not in only:
            continue
        try:
            pages.append((number, page_text(page)))
        except MemoryError:
            raise
        except Exception:  # one odd page must not cost the report its other 200
            unreadable.append(number)
    return pages, unreadable


def _outline(reader: "PdfReader") -> Iterator[Entry]:
    try:
        outline: Any = reader.outline
        entries = list(_flattened(outline))
    except MemoryError:
        raise
    except Exception:  # the text does not depend on it
        return
    for level, destination in entries:
        page = reader.get_destination_page_number(destination)
        if page is not None and page >= 0:
            yield Entry(level, str(destination.title or ""), page + 1)


def _flattened(outline: Any, level: int = 1) -> Iterator[tuple[int, Any]]:
    """pypdf gives what stands under an entry as a list after it."""
    for entry in outline:
        if hasattr(entry, "title"):
            yield level, entry
        else:
            yield from _flattened(entry, level + 1)


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


def mend(layout: str, plain: str) -> str:
    """Join word pieces ("Five-Y  ear") that are one word in the plain text and no words there by themselves."""
    words = set(_WORD.findall(plain))

    def join(match: re.Match[str]) -> str:
        left, right = match[1], match[2]
        torn = left + right in words and not (left in words and right in words)
        return left if torn else match[0]

    return _TORN.sub(join, layout)
