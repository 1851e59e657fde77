"""PDF to a `Document`: with pypdfium2 where it is installed, else with pypdf; both are held to the same tests.

pypdfium2 reads about twenty times as many pages a second. Pages of which it scatters a table, one in thirty, pypdf
reads again; what it cannot open pypdf tries, for each mends damage that the other does not. It is native code, so a
file can crash it; that ends a fork of the parsing child.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import BinaryIO

from ....engine.errors import InvalidRequest
from . import pdf_pdfium, pdf_pypdf
from .documents import Document
from .limits import ParseLimits
from .pdf_text import KIND, PdfText, is_scattered, keeps_words
from .refusals import damaged, invalid
from .sniffing import check_pdf

Reader = Callable[[BinaryIO, ParseLimits], PdfText]


def readers() -> list[Reader]:
    """The ways into a PDF that there are here, the preferred one first."""
    return [fast, pdf_pypdf.read] if find_spec(pdf_pdfium.NAME) else [pdf_pypdf.read]


def fast(file: BinaryIO, limits: ParseLimits) -> PdfText:
    """Read with pypdfium2, and pages that it scatters with pypdf."""
    read = pdf_pdfium.read(file, limits)
    scattered = {number for number, text in read.pages if is_scattered(text)}
    if not scattered:
        return read
    try:
        file.seek(0)
        careful = dict(pdf_pypdf.read(file, limits, scattered).pages)
    except InvalidRequest:  # what there is is good enough
        return read
    pages = [(number, _better(text, careful.get(number))) for number, text in read.pages]
    return replace(read, pages=pages)


def _better(text: str, other: str | None) -> str:
    return other if other and not is_scattered(other) and keeps_words(other, text) else text


def reader_name() -> str:
    """Name and version of the preferred way: another one gives another text."""
    name = pdf_pdfium.NAME if find_spec(pdf_pdfium.NAME) else pdf_pypdf.NAME
    return f"{name} {version(name)}"


def pdf_document(
    file: BinaryIO, limits: ParseLimits, ways: Sequence[Reader] | None = None
) -> Document:
    """Read a PDF.

    Raises:
        InvalidRequest: encrypted, damaged, too long, or without any text; the message says which.
    """
    check_pdf(file)
    read = _read(file, limits, list(ways or readers()))
    if read.unreadable and not any(text.strip() for _, text in read.pages):
        raise damaged(KIND, "none of its pages can be read")
    document = Document.of_pages(read.with_headings(), tuple(read.unreadable))
    if not document.text:
        raise invalid("the PDF has no text, only images perhaps; run OCR over it first")
    return document


def _read(file: BinaryIO, limits: ParseLimits, ways: list[Reader]) -> PdfText:
    """What the first way that can says; the last one's error when none can."""
    for way in ways[:-1]:
        try:
            return way(file, limits)
        except InvalidRequest:
            file.seek(0)
    return ways[-1](file, limits)
