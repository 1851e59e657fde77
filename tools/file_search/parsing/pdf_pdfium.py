"""PDF to text, page by page, with pypdfium2, the optional extra `pdf-fast`: PDFium keeps rows of tables together."""

import importlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from .limits import ParseLimits
from .pdf_text import KIND, Entry, PdfText, check_length, tidy
from .refusals import damaged, encrypted

NAME = "pypdfium2"
_PASSWORD = 4  # fpdfview.h: FPDF_ERR_PASSWORD


def read(file: BinaryIO, limits: ParseLimits) -> PdfText:
    """Read a PDF.

    Raises:
        InvalidRequest: encrypted, damaged or too long; the message says which.
    """
    pdfium = _library()
    try:
        document = pdfium.PdfDocument(file)
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD:
            raise encrypted(KIND) from None
        raise damaged(KIND, "PDFium cannot open it") from None
    with document:
        check_length(len(document), limits)
        pages, unreadable = _read_pages(document)
        return PdfText(pages, unreadable, list(_outline(document)))


def _library() -> Any:
    """The package, which has no types."""
    return importlib.import_module(NAME)


def _read_pages(document: Any) -> tuple[list[tuple[int, str]], list[int]]:
    pages: list[tuple[int, str]] = []
    unreadable: list[int] = []
    for index in range(len(document)):
        try:
            pages.append((index + 1, _text(document, index)))
        except _library().PdfiumError:
            unreadable.append(index + 1)
    return pages, unreadable


def _text(document: Any, index: int) -> str:
    page = document[index]
    try:
        # Not what lies outside the paper: nobody sees it, and it has been used to talk to models.
        text: str = page.get_textpage().get_text_bounded(errors="replace")
    finally:
        page.close()
    return tidy(text)


def _outline(document: Any) -> Iterator[Entry]:
    try:
        bookmarks = list(document.get_toc())
    except (_library().PdfiumError, RecursionError):  # the text does not depend on it
        return
    for bookmark in bookmarks:
        destination = bookmark.get_dest()
        page = destination.get_index() if destination else None
        if page is not None:
            yield Entry(bookmark.level + 1, bookmark.get_title(), page + 1)
