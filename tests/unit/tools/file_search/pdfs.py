"""PDFs for tests, written with pypdf: harmless ones, and the kinds that harm."""

from collections.abc import Sequence
from io import BytesIO

from pypdf import PdfWriter
from pypdf.generic import (
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    PdfObject,
)


def written(writer: PdfWriter) -> bytes:
    """The file that a writer makes."""
    buffer = BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def _added(writer: PdfWriter, part: PdfObject) -> PdfObject:
    return writer._add_object(part)  # pyright: ignore[reportPrivateUsage]  # pypdf offers no other way


def with_contents(pages: Sequence[bytes]) -> PdfWriter:
    """A PDF with one page for each content stream, compressed, in Helvetica."""
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
        }
    )
    fonts = DictionaryObject({NameObject("/F1"): _added(writer, font)})
    for contents in pages:
        page = writer.add_blank_page(width=595, height=842)
        stream = DecodedStreamObject()
        stream.set_data(contents)
        page[NameObject("/Contents")] = _added(writer, stream.flate_encode())
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    return writer


def with_texts(pages: Sequence[str]) -> PdfWriter:
    """A PDF with one page for each text, a line a line."""
    return with_contents([_shown(text) for text in pages])


def _shown(text: str) -> bytes:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    lines = " T* ".join(f"({line}) Tj" for line in escaped.split("\n"))
    return f"BT /F1 11 Tf 14 TL 50 800 Td {lines} ET".encode("latin-1")


def encrypted(password: str) -> bytes:
    """A PDF that opens with a password only."""
    writer = with_texts(["a secret"])
    writer.encrypt(password, algorithm="RC4-128")
    return written(writer)


def owner_locked() -> bytes:
    """A PDF that anybody may read and only its owner may change."""
    writer = with_texts(["readable by all"])
    writer.encrypt("", owner_password="boss", algorithm="RC4-128")
    return written(writer)


def stream_bomb() -> bytes:
    """A file of some kilobytes that unpacks to 70 MB."""
    return written(with_contents([b" " * (70 << 20)]))


def operator_bomb() -> bytes:
    """A small file whose one page takes a parser many seconds and hundreds of megabytes."""
    return written(with_contents([b"BT /F1 9 Tf " + b"(x) Tj " * 2_000_000 + b" ET"]))


def table_by_columns() -> bytes:
    """Contents that draw a table of three columns, one column after another."""
    columns = [(50, "Item {}"), (200, "{}0"), (300, "{}00")]
    shown = [
        f"1 0 0 1 {x} {800 - 14 * row} Tm ({text.format(row)}) Tj"
        for x, text in columns
        for row in range(1, 21)
    ]
    return f"BT /F1 11 Tf {' '.join(shown)} ET".encode("latin-1")


def scanned() -> bytes:
    """A page that is one grey picture, as scanners make them."""
    writer = with_contents([b"q 500 0 0 700 50 50 cm /Im0 Do Q"])
    picture = DecodedStreamObject()
    picture.set_data(bytes(64))
    picture.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Image"),
            NameObject("/Width"): NumberObject(8),
            NameObject("/Height"): NumberObject(8),
            NameObject("/BitsPerComponent"): NumberObject(8),
            NameObject("/ColorSpace"): NameObject("/DeviceGray"),
        }
    )
    images = DictionaryObject({NameObject("/Im0"): _added(writer, picture)})
    resources = DictionaryObject({NameObject("/XObject"): images})
    writer.pages[0][NameObject("/Resources")] = resources
    return written(writer)
