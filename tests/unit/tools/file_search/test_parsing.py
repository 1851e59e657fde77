"""Parsing: what each kind of file becomes, and that no file can do more harm than fail."""

import asyncio
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfWriter

from local_assistants.engine.errors import InvalidRequest, UnsupportedFile
from local_assistants.tools.file_search.parsing.documents import Document, PageSpan
from local_assistants.tools.file_search.parsing.reading import ParseLimits, parse, read_document
from tests.unit.tools.file_search import pdfs

LIMITS = ParseLimits()


async def parsed(folder: Path, name: str, data: bytes, limits: ParseLimits = LIMITS) -> Document:
    """What `data` becomes when it was uploaded as `name`; on the disk it has no such name."""
    path = folder / "file-abc"
    path.write_bytes(data)
    return await parse(path, name, limits)


async def test_a_filing_keeps_its_pages(filing: Path) -> None:
    """Each page of a real PDF is found under its number, a table's rows as lines, though the PDF holds cells apart."""
    document = await parse(filing, "filing.pdf", LIMITS)
    third = document.pages[2]

    assert [page.number for page in document.pages] == list(range(1, 10))
    assert third.number == 3
    assert "repurchased 722,457 shares" in document.text[third.start : third.end]
    assert "Goodwill  10,870  10,870" in document.text.split("\n")
    assert document.unreadable == ()


async def test_empty_pages_keep_the_numbers_of_the_others(tmp_path: Path) -> None:
    """Page 3 is page 3, though page 2 has no text."""
    document = await parsed(tmp_path, "a.pdf", pdfs.written(pdfs.with_texts(["one", "", "three"])))

    assert document.text == "one\n\nthree"
    assert document.pages == (PageSpan(1, 0, 3), PageSpan(3, 5, 10))


async def test_the_child_says_what_is_wrong(tmp_path: Path) -> None:
    """The reason comes through when parsing happens in a child."""
    with pytest.raises(InvalidRequest, match="encrypted") as caught:
        await parsed(tmp_path, "a.pdf", pdfs.encrypted("x"))

    assert caught.value.code == "invalid_file"


async def test_an_owners_password_does_not_lock_the_text(tmp_path: Path) -> None:
    """A PDF that may be read by all is read, whatever else it forbids."""
    assert (await parsed(tmp_path, "a.pdf", pdfs.owner_locked())).text == "readable by all"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(pdfs.encrypted("x"), "encrypted", id="encrypted"),
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(b"not a PDF at all", "damaged", id="garbage"),
        pytest.param(pdfs.written(pdfs.with_texts(["text"]))[:200], "damaged", id="truncated"),
        pytest.param(pdfs.written(pdfs.with_texts(["", ""])), "no text", id="no text"),
        pytest.param(pdfs.written(PdfWriter()), "no text", id="no pages"),
    ],
)
def test_a_bad_pdf_says_what_is_wrong(tmp_path: Path, data: bytes, reason: str) -> None:
    """A PDF that gives no text is an invalid file, with the reason in words."""
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read(tmp_path, "a.pdf", data)

    assert caught.value.code == "invalid_file"
    assert not isinstance(caught.value, UnsupportedFile)


async def test_a_bomb_is_stopped_by_the_clock(tmp_path: Path) -> None:
    """A page that would keep a parser busy for half a minute ends after the time allowed."""
    limits = replace(LIMITS, seconds=1.5)
    started = asyncio.get_running_loop().time()

    with pytest.raises(InvalidRequest, match=r"more than 1\.5 seconds"):
        await parsed(tmp_path, "a.pdf", pdfs.operator_bomb(), limits)
    assert asyncio.get_running_loop().time() - started < 10


async def test_a_bomb_is_stopped_by_its_hunger(tmp_path: Path) -> None:
    """A page that takes too much memory is refused, and the engine's own process is not asked for it."""
    with pytest.raises(InvalidRequest, match="memory"):
        await parsed(tmp_path, "a.pdf", pdfs.stream_bomb(), replace(LIMITS, memory=128 << 20))


async def test_too_many_pages(tmp_path: Path) -> None:
    """A PDF over the page limit is refused before it is read."""
    data = pdfs.written(pdfs.with_texts(["a", "b", "c"]))

    with pytest.raises(InvalidRequest, match="3 pages, more than the 2 allowed"):
        await parsed(tmp_path, "a.pdf", data, replace(LIMITS, pages=2))


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, file_bytes=1 << 20), replace(LIMITS, characters=1000)]
)
async def test_too_large(tmp_path: Path, limits: ParseLimits) -> None:
    """Too many bytes or too much text is refused."""
    with pytest.raises(InvalidRequest, match="too large"):
        await parsed(tmp_path, "a.txt", b"word " * 400_000, limits)


async def test_cancelling_ends_the_child(tmp_path: Path) -> None:
    """Nobody parses on for a caller who has gone."""
    task = asyncio.create_task(parsed(tmp_path, "a.pdf", pdfs.operator_bomb()))
    while not (children := child_processes()):  # noqa: ASYNC110  # the kernel sends no event for this
        await asyncio.sleep(0.01)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children & child_processes()


def child_processes() -> set[int]:
    """Ids of this process's children that parse."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue
        if parent == os.getpid() and b"file_search.parsing.child" in command:
            found.add(int(entry.name))
    return found


def read(folder: Path, name: str, data: bytes) -> Document:
    """As `parsed`, in this process."""
    return read_document(BytesIO(data), name, LIMITS)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param("Grüße 😀".encode(), "Grüße 😀", id="utf-8"),
        pytest.param(b"\xef\xbb\xbfmarked", "marked", id="utf-8 with mark"),
        pytest.param("Grüße 😀".encode("utf-16"), "Grüße 😀", id="utf-16"),
        pytest.param("big".encode("utf-16-be").join([b"\xfe\xff", b""]), "big", id="utf-16-be"),
        pytest.param(b"a\x00b", "ab", id="NUL"),
        pytest.param(b"line\r\nline\n", "line\r\nline\n", id="line ends"),
    ],
)
def test_text_is_decoded(tmp_path: Path, data: bytes, text: str) -> None:
    """UTF-8, UTF-16 by its mark and ASCII become text; what no store can hold is dropped."""
    assert (read(tmp_path, "a.txt", data)).text == text


def test_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    """Latin-1 is not guessed at."""
    with pytest.raises(InvalidRequest, match="neither UTF-8"):
        read(tmp_path, "a.txt", "Grüße".encode("latin-1"))


@pytest.mark.parametrize("data", [b"", b" \n\t ", b"\x00\x00"])
def test_an_empty_text_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file without a word cannot be searched."""
    with pytest.raises(InvalidRequest, match="empty"):
        read(tmp_path, "a.txt", data)


def test_source_code_stays_as_it_is(tmp_path: Path) -> None:
    """Indentation is part of the text, and a file without pages has none."""
    code = "def f():\n    return {'a': 1}\n"

    document = read(tmp_path, "a.PY", code.encode())

    assert document == Document(code, (PageSpan(None, 0, len(code)),))


def test_html_is_what_a_reader_sees(tmp_path: Path) -> None:
    """Scripts and navigation go, headings are marked, entities become characters, cells stay in their row."""
    page = (
        "<html><head><title>T</title><style>p{}</style></head><body><nav>Menu</nav><h2>Rate &amp; risk</h2>"
        "<p>The <b>rate</b>\n is 5&nbsp;%.</p><script>alert(1)</script>"
        "<table><tr><td>a</td><td>b</td></tr></table></body></html>"
    )

    document = read(tmp_path, "a.html", page.encode())

    assert document.text.split("\n") == ["## Rate & risk", "", "The rate is 5 %.", "", "a  b"]


@pytest.mark.parametrize("name", ["a.csv", "a.exe", "a", ".pdf", "a.pdf.zip"])
def test_unknown_kinds_are_unsupported(tmp_path: Path, name: str) -> None:
    """A name with another ending than the contract's is refused with the list of those it has."""
    with pytest.raises(UnsupportedFile, match=r"\.md \.pdf") as caught:
        read(tmp_path, name, b"data")

    assert caught.value.code == "unsupported_file"


async def test_the_child_says_what_is_unsupported(tmp_path: Path) -> None:
    """An unknown kind is refused the same way when parsing happens in a child."""
    with pytest.raises(UnsupportedFile):
        await parsed(tmp_path, "a.csv", b"a,b")


@pytest.mark.parametrize("name", ["a.doc", "a.docx", "a.pptx"])
def test_office_files_are_refused_with_advice(tmp_path: Path, name: str) -> None:
    """Formats that are not read yet say what to do instead."""
    with pytest.raises(UnsupportedFile, match="as PDF"):
        read(tmp_path, name, b"data")
