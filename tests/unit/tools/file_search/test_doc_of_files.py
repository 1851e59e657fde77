"""What docs/file-search.md says of endings, statuses and reasons, held against the parsers."""

import json
import re
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import pytest

from local_assistants.engine.errors import AssistantsError, UnsupportedFile
from local_assistants.engine.states import StoreFileStatus
from local_assistants.tools.file_search.chunking.tokens import missing_model
from local_assistants.tools.file_search.parsing import refusals
from local_assistants.tools.file_search.parsing.documents import Document
from local_assistants.tools.file_search.parsing.limits import ParseLimits
from local_assistants.tools.file_search.parsing.reading import EXTENSIONS
from local_assistants.tools.file_search.parsing.supervisor import Parser
from tests.unit.tools.file_search import office, pdfs
from tests.unit.tools.file_search.reading import read

PAGE = (Path(__file__).parents[4] / "docs" / "file-search.md").read_text()
SECTION = re.findall(r"^## What is read\n(.*?)^## ", PAGE, re.DOTALL | re.MULTILINE)[0]
ROWS = [
    [cell.strip() for cell in row.strip("|").split("|")]
    for row in re.findall(r"^\| `\.\w.*$", SECTION, re.MULTILINE)
]
READ, REFUSED = ROWS[:-1], ROWS[-1]
CODES = ("unsupported_file", "invalid_file", "server_error")
REASONS = re.findall(r"^\| `(\w+)` \| ([TU].*) \|$", SECTION, re.MULTILINE)
LIMITS = ParseLimits(file_bytes=100_000, pages=2, characters=1000)
TWO_PAGES = pdfs.written(pdfs.with_texts(["one", "two"]))
SAMPLES: dict[str, bytes] = {
    ".pdf": TWO_PAGES,
    ".docx": office.word("Some words."),
    ".doc": office.word("Some words."),
    ".pptx": office.slides("One", "Two"),
    ".html": b"<h1>One</h1><p>Two</p>",
    ".md": b"# One\n\nTwo",
    ".json": json.dumps({"one": {"two": "three " * 100}}).encode(),
    ".tex": rb"\section{One} Two",
    ".go": b"func one() {\n}",
    ".java": b"public class One {\n}",
    ".cs": b"public class One {\n}",
    ".c": b"struct one {\n}",
    ".cpp": b"class One {\n}",
    ".php": b"<?php\nfunction one() {\n}",
    ".js": b"function one() {\n}",
    ".ts": b"function one() {\n}",
    ".py": b"def one():\n    pass",
    ".rb": b"def one\nend",
    ".sh": b"one() {\n}",
    ".css": b"a { color: red }",
    ".txt": b"# One",
}


def endings(row: list[str]) -> list[str]:
    """Those that a row is about."""
    return re.findall(r"`(\.\w+)`", row[0])


def bomb() -> bytes:
    """A few bytes that unpack to many."""
    buffer = BytesIO(office.word("Some words."))
    with ZipFile(buffer, "a", ZIP_DEFLATED) as archive:
        archive.writestr("word/more.xml", bytes(30_000_000))
    return buffer.getvalue()


BROKEN: dict[str, bytes] = {
    "a.csv": b"a,b",
    "a.doc": office.OLD_WORD,
    "a.txt": b"",
    "locked.pdf": pdfs.encrypted("secret"),
    "scan.pdf": pdfs.scanned(),
    "none.pptx": office.slides(),
    "half.docx": office.word("Some words.")[:500],
    "picture.pdf": b"\x89PNG\r\n\x1a\n",
    "latin.txt": "größer".encode("latin-1"),
    "long.txt": b"word " * 300,
    "pages.pdf": pdfs.written(pdfs.with_texts(["one", "two", "three"])),
    "bomb.docx": bomb(),
}
"""A file for each reason that a parser finds by itself."""


def test_the_page_names_every_ending_once() -> None:
    """Those that are read, and no other."""
    named = [ending for row in READ for ending in endings(row)]
    assert sorted(EXTENSIONS) == sorted(named) == sorted(SAMPLES)
    assert 21 == len(named)


@pytest.mark.parametrize("row", READ, ids=lambda row: row[0])
def test_headings_and_pages_are_where_the_page_says(row: list[str]) -> None:
    """For every ending of the row; Word documents have headings in `test_office`."""
    for ending in endings(row):
        document: Document = read(f"A{ending.upper()}", SAMPLES[ending])
        numbers = [page.number for page in document.pages]
        assert ([None] if row[3] == "none" else [1, 2]) == numbers
        if "styles" not in row[2]:
            assert bool(document.headings) == (row[2] != "none"), ending


@pytest.mark.parametrize("name", [*(f"a{ending}" for ending in endings(REFUSED)), "a", "a.foo"])
def test_what_the_page_calls_refused_is(name: str) -> None:
    """Whatever is in it."""
    with pytest.raises(UnsupportedFile):
        read(name, b"some words")


def test_the_page_names_every_status() -> None:
    """In the sentence on what becomes of a file."""
    told = re.findall(r"`(\w+)`", SECTION.split("A file of a vector store is ")[1].split(".")[0])
    assert sorted(StoreFileStatus) == sorted(told)


def told(code: str, message: str) -> list[str]:
    """The reasons of the page that say this."""
    return [text for key, text in REASONS if key == code and _pattern(text).fullmatch(message)]


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, text.split("…"))))


async def test_the_reasons_of_the_page_are_those_that_are_given(tmp_path: Path) -> None:
    """Each file that cannot be read finds one of them, and all of them are found."""
    met: list[str] = []
    for name, data in BROKEN.items():
        with pytest.raises(AssistantsError) as caught:
            read(name, data, LIMITS)
        met += told(caught.value.code or "", caught.value.message) or [f"{name}: {caught.value}"]
    met += told("server_error", missing_model(tmp_path).message)
    met += told("invalid_file", refusals.too_hungry(1 << 30).message)
    met += told("invalid_file", await slowly(tmp_path / "slow.pdf"))

    assert sorted(text for _, text in REASONS) == sorted(met)
    assert set(CODES) == {code for code, _ in REASONS}


async def slowly(path: Path) -> str:
    """What is said of a file for which there was no time."""
    path.write_bytes(TWO_PAGES)
    parser = Parser(ParseLimits(seconds=0.0001))
    with pytest.raises(AssistantsError) as caught:
        await parser.parse(path, path.name)
    await parser.close()
    return caught.value.message
