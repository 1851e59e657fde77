"""From an open file to a `Document`: choose the parser by the file's name, keep the limits.

Blocking, and without bounds on time and memory: those hold in the child that calls it (`child.py`). It promises no OCR.
"""

import importlib
import sys
from pathlib import Path
from typing import BinaryIO

from ....engine.errors import UnsupportedFile
from .documents import Document, Page
from .limits import ParseLimits
from .pdf import pdf_document
from .plain_text import TEXT_EXTENSIONS, decode, html_text
from .refusals import invalid

__all__ = [
    "EXTENSIONS",
    "Document",
    "ParseLimits",
    "extension",
    "is_plain",
    "read_document",
    "recipe",
]

EXTENSIONS = TEXT_EXTENSIONS | {".pdf"}
VERSION = 1  # of all parsers together: raise it when the same bytes give another text
_OFFICE = frozenset({".doc", ".docx", ".pptx"})


def extension(filename: str) -> str:
    """The lower-case ending of a supported file name.

    Raises:
        UnsupportedFile: no parser for it.
    """
    suffix = Path(filename).suffix.lower()
    if suffix in EXTENSIONS:
        return suffix
    if suffix in _OFFICE:
        raise UnsupportedFile(
            f"The file type is not supported: {suffix} files cannot be read yet. Save '{filename}' as PDF."
        )
    known = " ".join(sorted(EXTENSIONS))
    raise UnsupportedFile(
        f"The file type is not supported: file search cannot read '{filename}'. It reads {known}."
    )


def recipe() -> str:
    """Names what the text of a file depends on beside its bytes and its name's ending."""
    return f"parsing {VERSION}"


def is_plain(filename: str) -> bool:
    """Whether a file of this name is read by code of ours alone, in time that its length bounds."""
    return Path(filename).suffix.lower() in TEXT_EXTENSIONS - {".html"}


def get_ready(filename: str) -> bool:
    """Import what reading a file of this name needs; whether there was anything to do."""
    before = len(sys.modules)
    if filename.lower().endswith(".pdf"):
        importlib.import_module("pypdf")
    return len(sys.modules) > before


def read_document(file: BinaryIO, filename: str, limits: ParseLimits) -> Document:
    """Parse an open file.

    Raises:
        UnsupportedFile: no parser for the ending of `filename`.
        InvalidRequest: unreadable, empty or over a limit; the message says why.
    """
    suffix = extension(filename)
    if file.seek(0, 2) > limits.file_bytes:
        raise invalid(f"it is too large (over {limits.file_bytes >> 20} MB)")
    file.seek(0)
    if suffix == ".pdf":
        document = pdf_document(file, limits.pages)
    else:
        text = decode(file.read())
        document = Document.of_pages([Page(None, html_text(text) if suffix == ".html" else text)])
    if not document.text:
        raise invalid("it is empty")
    if len(document.text) > limits.characters:
        raise invalid(f"it is too large (over {limits.characters:,} characters of text)")
    return document


async def parse(path: Path, filename: str, limits: ParseLimits) -> Document:
    """Parse one file in a child that ends with it."""
    from .supervisor import Parser

    parser = Parser(limits, children=1)
    try:
        return await parser.parse(path, filename)
    finally:
        await parser.close()
