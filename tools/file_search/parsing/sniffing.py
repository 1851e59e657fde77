"""What a file holds, by its first bytes, where that is not what its name says.

It knows the kinds that people upload under a wrong name. It decides nothing about files whose bytes it does not know.
"""

import re
from typing import BinaryIO

from ....engine.errors import InvalidRequest
from .refusals import encrypted, invalid

ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"%PDF-", "a PDF"),
    (ZIP, "a zip archive or an Office document"),
    (OLE, "an old or encrypted Office document"),
    (b"{\\rtf1", "an RTF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\x00", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\x00", "a SQLite database"),
    (b"OggS", "a sound or a film"),
    (b"ID3", "a sound"),
    (b"RIFF", "a sound or a film"),
)
_BINARY = re.compile(rb"[\x00\x01\x02\x80-\xff]")
_ENCRYPTED_PACKAGE = "EncryptedPackage".encode("utf-16-le")
_PDF_WITHIN = 1024  # bytes; readers accept that much before the mark


def kind_of(head: bytes) -> str | None:
    """What the first bytes of a file say that it is, with its article; None when they say nothing."""
    return next((kind for mark, kind in _KINDS if head.startswith(mark)), None)


def check_text(data: bytes, suffix: str) -> None:
    """Be sure that bytes may be text.

    Raises:
        InvalidRequest: they are something else.
    """
    kind = kind_of(data[:16])
    # Short marks are words too ("BZh is ..."): what follows them in a text is text.
    if kind and (kind in ("a PDF", "an RTF document") or _BINARY.search(data[:512])):
        raise misnamed(suffix, kind)


def check_pdf(file: BinaryIO) -> None:
    """Be sure that an open file may be a PDF.

    Raises:
        InvalidRequest: it is empty or something else.
    """
    head = _head(file, _PDF_WITHIN)
    if not head.strip():
        raise invalid("it is empty")
    if b"%PDF-" in head:
        return
    kind = kind_of(head)
    if kind:
        raise misnamed(".pdf", kind)
    raise invalid("it is named .pdf but is no PDF, or the PDF is damaged; save it as PDF anew")


def check_office(file: BinaryIO, suffix: str) -> None:
    """Be sure that an open file is a zip archive, as new Office documents are.

    Raises:
        InvalidRequest: it is encrypted, empty or something else.
    """
    head = _head(file, 64)
    if not head:
        raise invalid("it is empty")
    if head.startswith(OLE):
        if _ENCRYPTED_PACKAGE in file.read():
            raise encrypted(f"the {suffix} file")
        raise invalid(
            f"it is named {suffix} but holds an old Office document; open it and save it as {suffix}"
        )
    if not head.startswith(ZIP):
        kind = kind_of(head)
        if kind:
            raise misnamed(suffix, kind)
        raise invalid(f"it is named {suffix} but is no such document, or is damaged; save it anew")


def is_new_office(file: BinaryIO) -> bool:
    """Whether an open file is a zip archive."""
    return _head(file, len(ZIP)) == ZIP


def misnamed(suffix: str, kind: str) -> InvalidRequest:
    """The error for a file that holds another kind than its name's ending says."""
    return invalid(
        f"it is named {suffix} but holds {kind}; upload it under the ending of what it is"
    )


def _head(file: BinaryIO, size: int) -> bytes:
    file.seek(0)
    head = file.read(size)
    file.seek(0)
    return head
