"""Word documents and presentations: all that a reader sees, in order, with headings; and archives that harm."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import docx
import pptx
import pytest
from docx.enum.style import WD_STYLE_TYPE
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Cm

from local_assistants.engine.errors import InvalidRequest
from tests.unit.tools.file_search import office
from tests.unit.tools.file_search.reading import headings, read


def report() -> Any:
    """A document with most of what documents have."""
    document: Any = docx.Document()
    document.add_heading("Annual report", level=0)
    document.add_paragraph("First words.")
    document.add_heading("Sales", level=1)
    table = document.add_table(rows=3, cols=3)
    for row, texts in enumerate((("Year", "Sales", "Note"), ("2022", "5", ""), ("", "", ""))):
        for column, text in enumerate(texts):
            table.cell(row, column).text = text
    document.add_heading("By region", level=2)
    document.add_paragraph("North\tgrew.")
    own = document.styles.add_style("Unterkapitel", WD_STYLE_TYPE.PARAGRAPH)
    own.base_style = document.styles["Heading 2"]
    document.add_paragraph("By product", style="Unterkapitel")
    document.add_paragraph("one", style="List Bullet")
    return document


def test_a_document_in_reading_order() -> None:
    """Paragraphs and tables come in order, a row a line; a document has no pages."""
    document = read("a.docx", office.saved(report()))

    assert document.text.split("\n") == [
        "Annual report",
        "",
        "First words.",
        "",
        "Sales",
        "",
        "Year | Sales | Note",
        "2022 | 5 |",
        "",
        "By region",
        "",
        "North\tgrew.",
        "",
        "By product",
        "",
        "one",
    ]
    assert [page.number for page in document.pages] == [None]


def test_headings_of_a_document() -> None:
    """Headings are known by their styles, also by styles that are based on those."""
    document = read("a.docx", office.saved(report()))

    assert headings(document) == [
        (0, "Annual report"),
        (1, "Sales"),
        (2, "By region"),
        (2, "By product"),
    ]
    assert [document.text[h.start :].startswith(h.title) for h in document.headings] == [True] * 4


MC = b' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def with_body(xml: str) -> bytes:
    """A document whose body is `xml`."""

    def change(data: bytes) -> bytes:
        names = b"" if b"xmlns:mc=" in data else MC
        data = re.sub(rb"(<w:document)", rb"\1" + names + b' xmlns:x="urn:x"', data, count=1)
        return re.sub(
            rb"<w:body>.*</w:body>",
            b"<w:body>" + xml.encode() + b"</w:body>",
            data,
            flags=re.DOTALL,
        )

    return office.changed(office.word("x"), "word/document.xml", change)


def p(text: str) -> str:
    """A paragraph."""
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


@pytest.mark.parametrize(
    ("xml", "text"),
    [
        pytest.param(
            f"<w:sdt><w:sdtPr/><w:sdtContent>{p('inside')}</w:sdtContent></w:sdt>{p('after')}",
            "inside\n\nafter",
            id="content control",
        ),
        pytest.param(
            "<w:p><w:r><w:t>a</w:t></w:r><w:ins><w:r><w:t>b</w:t></w:r></w:ins>"
            "<w:del><w:r><w:delText>c</w:delText></w:r></w:del></w:p>",
            "ab",
            id="tracked changes",
        ),
        pytest.param(
            "<w:p><w:hyperlink><w:r><w:t>link</w:t></w:r></w:hyperlink><w:r><w:br/><w:t>x</w:t></w:r></w:p>",
            "link\nx",
            id="hyperlink and break",
        ),
        pytest.param(
            "<w:p><w:r><w:t>before</w:t></w:r><w:r><mc:AlternateContent><mc:Choice Requires='wps'>"
            f"<w:drawing><x:shape><w:txbxContent>{p('box')}</w:txbxContent></x:shape></w:drawing></mc:Choice>"
            f"<mc:Fallback><w:pict><w:txbxContent>{p('box')}</w:txbxContent></w:pict></mc:Fallback>"
            "</mc:AlternateContent></w:r></w:p>",
            "before\n\nbox",
            id="text box",
        ),
        pytest.param(
            "<w:tbl><w:tr><w:tc><w:p/><w:tbl><w:tr><w:tc>"
            f"{p('in')}</w:tc><w:tc>{p('ner')}</w:tc></w:tr></w:tbl></w:tc><w:tc>{p('b')}</w:tc></w:tr></w:tbl>",
            "in ner | b",
            id="table in a table",
        ),
        pytest.param(
            "<w:p><w:pPr><w:numPr><w:numId w:val='1'/></w:numPr></w:pPr><w:r><w:t>item</w:t></w:r></w:p>",
            "- item",
            id="list item",
        ),
    ],
)
def test_what_libraries_leave_out(xml: str, text: str) -> None:
    """Content controls, tracked insertions and text boxes are text that a reader sees; deletions are not."""
    assert read("a.docx", with_body(xml)).text == text


def test_an_outline_level_makes_a_heading() -> None:
    """Also without a style for it."""
    xml = f"<w:p><w:pPr><w:outlineLvl w:val='1'/></w:pPr><w:r><w:t>Title</w:t></w:r></w:p>{p('x')}"

    assert headings(read("a.docx", with_body(xml))) == [(2, "Title")]


def deck() -> bytes:
    """A presentation with most of what presentations have."""
    presentation = pptx.Presentation()
    blank, titled = presentation.slide_layouts[6], presentation.slide_layouts[5]
    first: Any = presentation.slides.add_slide(titled)
    first.shapes.title.text = "Results"
    lower = first.shapes.add_textbox(Cm(1), Cm(12), Cm(5), Cm(2))
    lower.text_frame.text = "below"
    upper = first.shapes.add_textbox(Cm(9), Cm(6), Cm(5), Cm(2))
    upper.text_frame.text = "right\nsecond line"
    group = first.shapes.add_group_shape()
    inner = group.shapes.add_textbox(Cm(1), Cm(6), Cm(5), Cm(2))
    inner.text_frame.text = "left"
    first.notes_slide.notes_text_frame.text = "Say this."
    presentation.slides.add_slide(blank)
    third: Any = presentation.slides.add_slide(blank)
    table = third.shapes.add_table(2, 2, Cm(1), Cm(1), Cm(9), Cm(3)).table
    for at, text in enumerate(("Year", "Sales", "2023", "7")):
        table.cell(at // 2, at % 2).text = text
    made: Any = CategoryChartData
    data = made()
    data.categories = ["North", "South"]
    data.add_series("Sales", (1.5, None))
    data.add_series("Costs", (1.0, 12345678.0))
    third.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Cm(1), Cm(8), Cm(9), Cm(9), data)
    return office.saved(presentation)


def test_a_slide_is_a_page() -> None:
    """Shapes are read from top to bottom, tables and charts as rows, notes last; slide 3 stays number 3."""
    document = read("a.pptx", deck())
    pages = {page.number: document.text[page.start : page.end] for page in document.pages}

    assert pages == {
        1: "Results\n\nleft\n\nright\nsecond line\n\nbelow\n\nNotes: Say this.",
        3: "Year | Sales\n2023 | 7\n\n| Sales | Costs\nNorth | 1.5 | 1\nSouth |  | 12345678",
    }
    assert headings(document) == [(1, ""), (1, "Results"), (1, ""), (1, "")]


def expanding(document: bytes, member: str) -> bytes:
    """`document` with a member that unpacks to a thousand times its size."""
    return office.added(document, member, b" " * (20 << 20))


ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
LAUGHS = f'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e0 "ha">{ENTITIES}]>'
SECRET = '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY e11 SYSTEM "file:///etc/passwd">]>'


def with_prologue(document: bytes, member: str, prologue: str, tag: bytes) -> bytes:
    """`document` with entities declared in one member, and used in its first text."""

    def change(data: bytes) -> bytes:
        root = data[data.index(b"<", data.index(b"?>")) :]
        return prologue.encode() + re.sub(tag + rb"[^<]*<", tag + rb"word &e11;<", root, count=1)

    return office.changed(document, member, change)


def nested(data: bytes) -> bytes:
    """Word XML with a million levels."""
    return data.replace(b"<w:body>", b"<w:body>" + b"<w:sdt>" * 1_000_000)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.docx", expanding(office.word("x"), "word/media/a"), "more than 200 times its size"),
        ("a.pptx", expanding(office.slides("x"), "ppt/media/a"), "more than 200 times its size"),
        ("a.docx", office.changed(office.word("x"), "word/document.xml", nested), "damaged"),
        (
            "a.docx",
            office.changed(office.word("x"), "word/document.xml", lambda _: b"<a"),
            "damaged",
        ),
        (
            "a.pptx",
            office.changed(office.slides("x"), "ppt/presentation.xml", lambda _: b""),
            "damaged",
        ),
        (
            "a.pptx",
            office.changed(office.slides("x"), "ppt/slides/slide1.xml", lambda _: b"<a"),
            "damaged",
        ),
    ],
    ids=["zip bomb", "zip bomb in slides", "deep XML", "broken XML", "no slides", "broken slide"],
)
def test_a_harmful_archive_says_what_is_wrong(name: str, data: bytes, reason: str) -> None:
    """Bombs are refused before they are opened, broken parts when they are."""
    with pytest.raises(InvalidRequest, match=reason) as caught:
        read(name, data)

    assert caught.value.code == "invalid_file"


@pytest.mark.parametrize("prologue", [LAUGHS, SECRET], ids=["billion laughs", "file of the host"])
@pytest.mark.parametrize(
    ("name", "made", "member", "tag"),
    [
        ("a.docx", office.word, "word/document.xml", rb"<w:t>"),
        ("a.pptx", office.slides, "ppt/slides/slide1.xml", rb"<a:t>"),
    ],
)
def test_entities_are_not_expanded(
    name: str, made: Callable[[str], bytes], member: str, tag: bytes, prologue: str
) -> None:
    """Neither a billion laughs nor a file of the host gets into the text."""
    try:
        text = read(name, with_prologue(made("x"), member, prologue, tag)).text
    except InvalidRequest as refused:
        text = refused.message

    assert "haha" not in text
    assert "root:" not in text
    assert len(text) < 1000


def test_a_broken_slide_costs_itself_only() -> None:
    """The others are read, and the broken one's number is told."""

    def without_tree(data: bytes) -> bytes:
        return data.replace(b"p:spTree>", b"p:other>")

    data = office.changed(office.slides("one", "two"), "ppt/slides/slide2.xml", without_tree)
    document = read("a.pptx", data)

    assert (document.text, document.unreadable) == ("one", (2,))


def test_many_parts_are_refused() -> None:
    """An archive of a hundred thousand empty members costs time and holds no words."""
    buffer = BytesIO(office.word("x"))
    with ZipFile(buffer, "a", ZIP_DEFLATED) as archive:
        for number in range(20_001):
            archive.writestr(f"word/{number}", b"")

    with pytest.raises(InvalidRequest, match="more than 20,000 parts"):
        read("a.docx", buffer.getvalue())


TEXTS = [
    ("a.docx", office.word, "word/document.xml"),
    ("a.pptx", office.slides, "ppt/slides/slide1.xml"),
]


@pytest.mark.parametrize(("name", "made", "member"), TEXTS)
@pytest.mark.parametrize(
    ("xml", "text"),
    [
        (b"R&amp;D &lt;b&gt;", "R&D <b>"),
        (b"5&#176; &#x20AC; &#128512;", "5\u00b0 \u20ac \U0001f600"),
        (b"a<!-- aside -->b<!---->c", "abc"),
        (b"a<?mark x?>b", "ab"),
        (b"a<![CDATA[ & b]]>c", "a & bc"),
    ],
)
def test_no_text_is_lost_at_what_is_no_letter(
    name: str, made: Callable[[str], bytes], member: str, xml: bytes, text: str
) -> None:
    """References are the characters they stand for; comments and the like leave what follows them."""
    data = office.changed(made("WORDS"), member, lambda old: old.replace(b"WORDS", xml))

    assert read(name, data).text == text


@pytest.mark.parametrize(("name", "made", "member"), TEXTS)
@pytest.mark.parametrize("entity", ['"b"', 'SYSTEM "file:///etc/passwd"'])
def test_a_document_with_entities_of_its_own_is_refused(
    name: str, made: Callable[[str], bytes], member: str, entity: str
) -> None:
    """No part of its text is taken for the whole, and the sentence says what to do."""
    declared = f"<!DOCTYPE d [<!ENTITY e {entity}>]>"

    def change(old: bytes) -> bytes:
        head, end, rest = old.replace(b"WORDS", b"a &e; c").partition(b"?>")
        return head + end + declared.encode() + rest

    with pytest.raises(InvalidRequest, match=r"XML entities.*save it anew"):
        read(name, office.changed(made("WORDS"), member, change))
