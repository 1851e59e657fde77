"""Which files are read, and what is said of those that are not."""

from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import pytest

from local_assistants.engine.errors import InvalidRequest, UnsupportedFile
from local_assistants.tools.file_search.parsing import reading
from tests.unit.tools.file_search import office, pdfs
from tests.unit.tools.file_search.reading import LIMITS, read

CONTRACT = ".c .cpp .cs .css .doc .docx .go .html .java .js .json .md .pdf .php .pptx .py .rb .sh .tex .ts .txt"
TEXTS = sorted(set(CONTRACT.split()) - {".doc", ".docx", ".pptx", ".pdf"})


def test_every_ending_of_the_contract_is_known() -> None:
    """No more and no fewer."""
    assert sorted(reading.EXTENSIONS) == CONTRACT.split()


@pytest.mark.parametrize("suffix", TEXTS)
def test_every_kind_of_text_is_read(suffix: str) -> None:
    """Whatever a text file is called, its words are found, in any case of its name."""
    assert "wörds" in read(f"Some File{suffix.upper()}", "some wörds".encode()).text


@pytest.mark.parametrize("name", ["a.csv", "a.exe", "a", ".pdf", "a.pdf.zip"])
def test_unknown_kinds_are_unsupported(name: str) -> None:
    """A name with another ending than the contract's is refused with the list of those it has."""
    with pytest.raises(UnsupportedFile, match=r"\.md \.pdf") as caught:
        read(name, b"data")

    assert caught.value.code == "unsupported_file"


def test_old_word_files_are_unsupported_with_advice() -> None:
    """The binary format is not read; the message says what to do."""
    with pytest.raises(UnsupportedFile, match=r"Save it as \.docx or PDF"):
        read("a.doc", office.OLD_WORD)


def test_a_new_word_file_under_the_old_name_is_read() -> None:
    """What is a DOCX inside needs no conversion."""
    assert read("a.doc", office.word("Hello.")).text == "Hello."


def zipped(name: str) -> bytes:
    """A zip archive with one member."""
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"data")
    return buffer.getvalue()


PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        pytest.param("a.pdf", PNG, "named .pdf but holds a PNG picture", id="picture as PDF"),
        pytest.param("a.pdf", office.word("x"), "holds a zip archive", id="DOCX as PDF"),
        pytest.param("a.pdf", b"Hello.", "is no PDF", id="text as PDF"),
        pytest.param("a.docx", PNG, "named .docx but holds a PNG picture", id="picture as DOCX"),
        pytest.param("a.docx", zipped("a.txt"), "holds a zip archive", id="zip as DOCX"),
        pytest.param("a.docx", zipped("xl/a.xml"), "an Excel workbook", id="XLSX as DOCX"),
        pytest.param("a.docx", office.slides("x"), "a PowerPoint presentation", id="PPTX as DOCX"),
        pytest.param("a.pptx", office.word("x"), "a Word document", id="DOCX as PPTX"),
        pytest.param("a.docx", office.OLD_WORD, "an old Office document", id="DOC as DOCX"),
        pytest.param("a.docx", office.ENCRYPTED, "is encrypted; remove", id="encrypted DOCX"),
        pytest.param("a.pptx", office.ENCRYPTED, "is encrypted; remove", id="encrypted PPTX"),
        pytest.param("a.docx", b"words", "no such document", id="text as DOCX"),
        pytest.param("a.docx", b"", "empty", id="empty DOCX"),
        pytest.param("a.docx", office.word("x" * 999)[:900], "cut off", id="truncated DOCX"),
        pytest.param("a.pptx", office.slides("x")[:9000], "cut off", id="truncated PPTX"),
        pytest.param("a.docx", zipped("word/a.xml"), "is damaged", id="DOCX without its parts"),
        pytest.param("a.txt", PNG, "named .txt but holds a PNG picture", id="picture as text"),
        pytest.param("a.txt", pdfs.encrypted("x"), "holds a PDF", id="PDF as text"),
        pytest.param("a.md", rb"{\rtf1\ansi Hello.}", "an RTF document", id="RTF as text"),
        pytest.param("a.html", b"\x1f\x8b\x08" + bytes(90), "a gzip archive", id="gzip as HTML"),
        pytest.param("a.txt", "Grüße".encode("latin-1"), "save it as UTF-8", id="Latin-1"),
        pytest.param("a.txt", "日本".encode("utf-16-le") * 9, "neither UTF-8", id="no mark"),
        pytest.param("a.txt", b"", "empty", id="no bytes"),
        pytest.param("a.txt", b" \n\t ", "empty", id="blanks"),
        pytest.param("a.txt", b"\x00\x00", "empty", id="zeros"),
        pytest.param("a.html", b"<script>x</script>", "empty", id="HTML without words"),
        pytest.param("a.docx", office.word(""), "empty", id="DOCX without words"),
        pytest.param(
            "a.pptx", office.slides(""), "no text, only pictures", id="PPTX without words"
        ),
    ],
)
def test_a_bad_file_says_what_is_wrong(name: str, data: bytes, reason: str) -> None:
    """A file that gives no text is an invalid file, with the reason in words."""
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read(name, data)

    assert caught.value.code == "invalid_file"
    assert not isinstance(caught.value, UnsupportedFile)


@pytest.mark.parametrize("text", ["BZh is no word.", "GIF89a is a format.", "ID3 tags", "RIFF"])
def test_words_that_begin_like_a_picture_are_words(text: str) -> None:
    """A text about formats is a text."""
    assert read("a.txt", text.encode()).text == text


@pytest.mark.parametrize(
    "limits", [replace(LIMITS, file_bytes=1 << 20), replace(LIMITS, characters=1000)]
)
def test_too_large(limits: reading.ParseLimits) -> None:
    """Too many bytes or too much text is refused."""
    with pytest.raises(InvalidRequest, match="too large"):
        read("a.txt", b"word " * 400_000, limits)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pdf", pdfs.written(pdfs.with_texts(["a", "b", "c"])), "3 pages, more than the 2"),
        ("a.pptx", office.slides("a", "b", "c"), "3 slides, more than the 2"),
    ],
)
def test_too_many_pages(name: str, data: bytes, reason: str) -> None:
    """A file over the page limit is refused before it is read."""
    with pytest.raises(InvalidRequest, match=reason):
        read(name, data, replace(LIMITS, pages=2))


def test_the_recipe_names_what_the_text_depends_on() -> None:
    """Another version of a parser or of its library gives another text."""
    assert all(f"{name} " in reading.recipe() for name in ("parsing", "python-docx", "selectolax"))
    assert "pdf" in reading.recipe()
