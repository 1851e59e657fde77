"""From an open file to a `Document`: choose the parser by the file's name, keep the limits.

Blocking, and without bounds on time and memory: those hold in the child that calls it (`child.py`). It promises no OCR.
"""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ....engine.errors import UnsupportedFile
from ..chunking import chunking
from . import code, html_page, json_text, markdown, pdf, pdf_pdfium, pdf_pypdf, tex
from .documents import MOST_HEADINGS, Document, Heading, Page
from .limits import ParseLimits
from .plain_text import decode
from .refusals import invalid
from .slides import slides_document
from .sniffing import is_new_office
from .word import word_document

__all__ = [
    "EXTENSIONS",
    "Document",
    "ParseLimits",
    "extension",
    "is_plain",
    "read_document",
    "recipe",
]

VERSION = 3  # of all parsers together: raise it when the same bytes give another text

_CODE = frozenset(
    {".c", ".cpp", ".cs", ".css", ".go", ".java", ".js", ".php", ".py", ".rb", ".sh", ".ts"}
)
_PLAIN = _CODE | {".json", ".md", ".tex", ".txt"}
_OTHERS: dict[str, Callable[[BinaryIO, ParseLimits], Document]] = {
    ".docx": word_document,
    ".pptx": slides_document,
    ".pdf": pdf.pdf_document,
}
_LIBRARIES = {
    ".docx": ("docx",),
    ".pptx": ("pptx",),
    ".html": ("selectolax.lexbor",),
    ".pdf": (pdf_pypdf.NAME, pdf_pdfium.NAME),
}
_OLD_WORD = ".doc"
EXTENSIONS = _PLAIN | {".html", _OLD_WORD} | set(_OTHERS)
"""Endings of the names of files that can be attached: the contract's."""


def extension(filename: str) -> str:
    """The lower-case ending of a supported file name.

    Raises:
        UnsupportedFile: no parser for it.
    """
    suffix = Path(filename).suffix.lower()
    if suffix in EXTENSIONS:
        return suffix
    known = " ".join(
        sorted(EXTENSIONS - {_OLD_WORD})
    )  # which is read only where it is a .docx by another name
    raise UnsupportedFile(
        f"The file type is not supported: file search cannot read '{filename}'. It reads {known}."
    )


def recipe() -> str:
    """Names what the text and the chunks of a file depend on beside its bytes and its name's ending."""
    libraries = (f"{name} {version(name)}" for name in ("python-docx", "python-pptx", "selectolax"))
    own = (f"parsing {VERSION}", f"chunking {chunking.VERSION}")
    return ", ".join((*own, pdf.reader_name(), *libraries))


def is_plain(filename: str) -> bool:
    """Whether a file of this name is read by code of ours alone, in time that its length bounds."""
    return Path(filename).suffix.lower() in _PLAIN


def get_ready(filename: str) -> bool:
    """Import what reading a file of this name needs; whether there was anything to do."""
    before = len(sys.modules)
    for name in _LIBRARIES.get(Path(filename).suffix.lower(), ()):
        if find_spec(name):
            import_module(name)
    return len(sys.modules) > before


def read_document(file: BinaryIO, filename: str, limits: ParseLimits) -> Document:
    """Parse an open file.

    Raises:
        UnsupportedFile: no parser for the ending of `filename`.
        InvalidRequest: unreadable, empty or over a limit; the message says why.
    """
    suffix = extension(filename)
    if file.seek(0, 2) > limits.file_bytes:
        raise invalid(f"it is too large (over {limits.file_bytes >> 20} MB); split it")
    file.seek(0)
    if suffix == _OLD_WORD:
        suffix = _new_word(file, filename)
    document = _OTHERS[suffix](file, limits) if suffix in _OTHERS else _text(file, suffix)
    if not document.text:
        raise invalid("it is empty")
    if len(document.text) > limits.characters:
        raise invalid(f"it is too large (over {limits.characters:,} characters of text); split it")
    return document


def _new_word(file: BinaryIO, filename: str) -> str:
    """Many a .doc is a DOCX inside; of the binary format there is no parser worth having."""
    if is_new_office(file):
        return ".docx"
    raise UnsupportedFile(
        f"The file type is not supported: '{filename}' is in the old Word format. Save it as .docx or PDF."
    )


def _text(file: BinaryIO, suffix: str) -> Document:
    text = decode(file.read(), suffix)
    if suffix == ".html":
        return Document.of_pages([html_page.page(text)])
    if suffix == ".json":
        return Document.of_pages([json_text.page(text)])
    headings = islice(_headings(suffix)(text), MOST_HEADINGS)
    return Document.of_pages([Page(None, text, list(headings))])


def _headings(suffix: str) -> Callable[[str], Iterator[Heading]]:
    if suffix == ".md":
        return markdown.headings
    return tex.headings if suffix == ".tex" else code.headings_for(suffix)
