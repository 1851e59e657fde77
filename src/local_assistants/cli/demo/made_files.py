"""Files that the assistant made: saved under a name of ours, and looked at.

What comes from a sandbox is not trusted: only the bytes are taken, never a name or a path, and they are read with the
standard library within limits. It checks form and figures; it cannot see what a picture shows.
"""

import re
import struct
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

_PNG = b"\x89PNG\r\n\x1a\n"
_XLSX_PARTS = {"[Content_Types].xml", "xl/workbook.xml"}
_PART_BYTES = 8_000_000  # of one unpacked part; a report of this demo has some kilobytes
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")


def png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG picture; None when it is none."""
    if not content.startswith(_PNG) or len(content) < 24 or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return int(width), int(height)


def opens_as_xlsx(path: Path) -> bool:
    """Whether the file is a whole zip with the parts that make it a workbook."""
    try:
        with zipfile.ZipFile(path) as book:
            return set(book.namelist()) >= _XLSX_PARTS and book.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False


def xlsx_values(path: Path) -> set[str]:
    """Every value of every cell as text, numbers as 93 and not 93.0; empty when the file cannot be read."""
    try:
        with zipfile.ZipFile(path) as book:
            shared = _shared_strings(book)
            sheets = [name for name in book.namelist() if _SHEET.fullmatch(name)]
            return {value for name in sheets for value in _cells(_part(book, name), shared)}
    except (OSError, zipfile.BadZipFile, ET.ParseError, ValueError, IndexError):
        return set()


def _part(book: zipfile.ZipFile, name: str) -> ET.Element:
    with book.open(name) as file:
        content = file.read(_PART_BYTES + 1)
    if len(content) > _PART_BYTES or b"<!DOCTYPE" in content:  # no entities: none are in a workbook
        raise ValueError(f"{name} is no part of a small workbook")
    return ET.fromstring(content)


def _shared_strings(book: zipfile.ZipFile) -> list[str]:
    if "xl/sharedStrings.xml" not in book.namelist():
        return []
    root = _part(book, "xl/sharedStrings.xml")
    return ["".join(item.itertext()) for item in root.iterfind("{*}si")]


def _cells(sheet: ET.Element, shared: list[str]) -> set[str]:
    return {_value(cell, shared).strip() for cell in sheet.iter() if cell.tag.endswith("}c")}


def _value(cell: ET.Element, shared: list[str]) -> str:
    text = "".join(cell.itertext())
    if cell.get("t") == "s":
        return shared[int(text)]
    return text.removesuffix(".0")
