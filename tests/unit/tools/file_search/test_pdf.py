"""PDFs: the same from both ways into them, and how tables that lost their rows are mended."""

from io import BytesIO
from pathlib import Path

import pytest
from pypdf import PdfWriter

from local_assistants.engine.errors import InvalidRequest, UnsupportedFile
from local_assistants.tools.file_search.parsing import pdf, pdf_pdfium, pdf_pypdf
from local_assistants.tools.file_search.parsing.documents import Document, PageSpan
from local_assistants.tools.file_search.parsing.pdf import pdf_document
from local_assistants.tools.file_search.parsing.pdf_pypdf import mend
from local_assistants.tools.file_search.parsing.pdf_text import (
    PdfText,
    is_scattered,
    keeps_words,
    tidy,
)
from tests.unit.tools.file_search import pdfs
from tests.unit.tools.file_search.reading import LIMITS, headings

both = pytest.mark.parametrize("way", [pdf.fast, pdf_pypdf.read], ids=["pypdfium2", "pypdf"])


def document_of(data: bytes, way: pdf.Reader) -> Document:
    """The PDF read in one way."""
    return pdf_document(BytesIO(data), LIMITS, [way])


def test_the_fast_way_is_taken_where_it_is_installed() -> None:
    """With the extra pdf-fast, pypdfium2 goes first and pypdf reads what it cannot."""
    assert pdf.readers() == [pdf.fast, pdf_pypdf.read]
    assert pdf.reader_name().startswith("pypdfium2 ")


@both
def test_a_filing_keeps_its_pages(filing: Path, way: pdf.Reader) -> None:
    """Each page of a real PDF is found under its number, the rows of its tables on a line each."""
    document = document_of(filing.read_bytes(), way)
    third, seventh = document.pages[2], document.pages[6]
    lines = [
        " ".join(line.split()) for line in document.text[seventh.start : seventh.end].split("\n")
    ]

    assert [page.number for page in document.pages] == list(range(1, 10))
    assert "repurchased 722,457 shares" in document.text[third.start : third.end]
    assert "Goodwill 10,870 10,870" in lines
    assert "Total assets $ 5,370,411 $ 4,764,379" in lines
    assert document.unreadable == ()


def test_both_ways_find_the_same_words(filing: Path) -> None:
    """On no page does one way lose more than a twentieth of the other's words."""
    fast, slow = (way(BytesIO(filing.read_bytes()), LIMITS) for way in (pdf.fast, pdf_pypdf.read))

    for (number, text), (other, same) in zip(fast.pages, slow.pages, strict=True):
        assert number == other
        assert keeps_words(text, same)
        assert keeps_words(same, text)


@both
def test_empty_pages_keep_the_numbers_of_the_others(way: pdf.Reader) -> None:
    """Page 3 is page 3, though page 2 has no text."""
    document = document_of(pdfs.written(pdfs.with_texts(["one", "", "three"])), way)

    assert document.text == "one\n\nthree"
    assert document.pages == (PageSpan(1, 0, 3), PageSpan(3, 5, 10))


@both
def test_an_outline_gives_headings(way: pdf.Reader) -> None:
    """A chapter begins where its title stands in the page; one whose title is not there begins with the page."""
    writer = pdfs.with_texts(["Words.\nRisk Factors\nRates may rise.", "More.\nSales"])
    risk = writer.add_outline_item(title="Risk  factors", page_number=0)
    writer.add_outline_item(title="Currency", page_number=1, parent=risk)
    writer.add_outline_item(title="Sales", page_number=1)
    document = document_of(pdfs.written(writer), way)

    assert headings(document) == [(1, "Risk factors"), (2, "Currency"), (1, "Sales")]
    starts = [document.text[heading.start :] for heading in document.headings]
    assert [text.split("\n")[0] for text in starts] == ["Risk Factors", "More.", "Sales"]


@both
def test_an_owners_password_does_not_lock_the_text(way: pdf.Reader) -> None:
    """A PDF that may be read by all is read, whatever else it forbids."""
    assert document_of(pdfs.owner_locked(), way).text == "readable by all"


@both
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(pdfs.encrypted("x"), "encrypted", id="encrypted"),
        pytest.param(b"", "empty", id="no bytes"),
        pytest.param(b"not a PDF at all", "damaged", id="garbage"),
        pytest.param(pdfs.written(pdfs.with_texts(["text"]))[:200], "damaged", id="truncated"),
        pytest.param(pdfs.written(pdfs.with_texts(["", ""])), "run OCR", id="no text"),
        pytest.param(pdfs.scanned(), "run OCR", id="scanned"),
        pytest.param(pdfs.written(PdfWriter()), "no text|damaged", id="no pages"),
    ],
)
def test_a_bad_pdf_says_what_is_wrong(data: bytes, reason: str, way: pdf.Reader) -> None:
    """A PDF that gives no text is an invalid file, with the reason in words."""
    with pytest.raises(InvalidRequest, match=reason) as caught:
        document_of(data, way)

    assert caught.value.code == "invalid_file"
    assert not isinstance(caught.value, UnsupportedFile)


def test_what_the_fast_way_cannot_open_the_other_one_tries(filing: Path) -> None:
    """A file is given up when both gave it up, and then with the careful one's reason."""
    tried: list[str] = []

    def failing(*_: object) -> PdfText:
        tried.append("fast")
        raise InvalidRequest("no")

    document = pdf_document(BytesIO(filing.read_bytes()), LIMITS, [failing, pdf_pypdf.read])

    assert tried == ["fast"]
    assert len(document.pages) == 9


def test_rows_that_the_fast_way_scatters_are_read_again() -> None:
    """A table whose cells were drawn column after column has its rows, as the careful way finds them."""
    data = pdfs.written(pdfs.with_contents([pdfs.table_by_columns()]))
    document = document_of(data, pdf.fast)

    assert is_scattered(pdf_pdfium.read(BytesIO(data), LIMITS).pages[0][1])
    assert [" ".join(line.split()) for line in document.text.split("\n")][:2] == [
        "Item 1 10 100",
        "Item 2 20 200",
    ]


def test_torn_words_are_joined() -> None:
    """Pieces that make a word of the plain text, and are none there by themselves, become that word."""
    plain = "We have a Five-Year Facility of 5 offices and a Total"

    assert mend("W  e have a Five-Y  ear Facility of 5 of fices a nd a T otal", plain) == (
        "We have a Five-Year Facility of 5 offices and a Total"
    )


def test_whole_words_are_not_joined() -> None:
    """Two words of the plain text stay two, also when together they are a third one."""
    assert mend("in to the store", "in to into the store") == "in to the store"


@pytest.mark.parametrize(
    ("text", "scattered"),
    [
        ("Net sales\n" + "$\n3,226.8\n2,729.4\n" * 5, True),
        ("Net sales  3,226.8  2,729.4\n" * 15, False),
        ("A sentence that goes on.\n" * 15 + "12\n", False),
        ("Net sales\n\n$10.95 billion to $11.05 billion\nNew stores\n\n25-30\n" * 4, True),
        ("A heading\n\nA paragraph that is longer than any cell of a table is.\n\n" * 8, False),
        ("1\n2\n3", False),
    ],
)
def test_scattered_tables_are_recognised(text: str, scattered: bool) -> None:
    """Many lines with a lone figure are a table that lost its rows; one page number is not."""
    assert is_scattered(text) is scattered


def test_lost_words_are_noticed() -> None:
    """A layout that drops a part of the page is not taken."""
    plain = " ".join(f"word{number}" for number in range(100))

    assert keeps_words(plain.replace(" ", "   "), plain)
    assert not keeps_words(plain.partition("word90")[0], plain)
    assert not keeps_words("", plain)


def test_tidying_keeps_columns_apart() -> None:
    """Runs of blanks become two, runs of empty lines one; the rest stays."""
    assert tidy("of\ufb01ce infor\ufffe\r\nmation\x02\nal") == "office informational"
    assert tidy("  Net sales      3.2   \r\n \n\n \n b\u00a0c\x00 ") == "Net sales  3.2\n\nb c"
