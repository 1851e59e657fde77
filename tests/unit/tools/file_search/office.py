"""Office documents for tests: harmless ones, written with the libraries, and the kinds that harm."""

from collections.abc import Callable
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import docx
import pptx

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
OLD_WORD = OLE + bytes(600) + "WordDocument".encode("utf-16-le") + bytes(600)
ENCRYPTED = OLE + bytes(600) + "EncryptedPackage".encode("utf-16-le") + bytes(600)


def saved(document: Any) -> bytes:
    """The file that a document of either library makes."""
    buffer = BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def word(*paragraphs: str) -> bytes:
    """A Word document with one paragraph for each text."""
    document = docx.Document()
    for text in paragraphs:
        document.add_paragraph(text)
    return saved(document)


def slides(*titles: str) -> bytes:
    """A presentation with one slide for each title."""
    presentation = pptx.Presentation()
    for title in titles:
        slide: Any = presentation.slides.add_slide(presentation.slide_layouts[5])
        slide.shapes.title.text = title
    return saved(presentation)


def changed(document: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """`document` with one member of its archive replaced by what `change` makes of it."""
    buffer = BytesIO()
    with ZipFile(BytesIO(document)) as old, ZipFile(buffer, "w", ZIP_DEFLATED) as new:
        for info in old.infolist():
            data = old.read(info)
            new.writestr(info.filename, change(data) if info.filename == member else data)
    return buffer.getvalue()


def added(document: bytes, member: str, data: bytes) -> bytes:
    """`document` with one more member in its archive."""
    buffer = BytesIO(document)
    with ZipFile(buffer, "a", ZIP_DEFLATED) as archive:
        archive.writestr(member, data)
    return buffer.getvalue()
