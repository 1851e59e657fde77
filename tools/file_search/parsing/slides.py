"""PPTX, with python-pptx: a slide is a page, its title a heading; texts, tables, charts, diagrams, speaker's notes.

Shapes are read from top to bottom, as people look at a slide, not in the order in which they were drawn.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from ....engine.errors import AssistantsError
from .archive import check_archive
from .blocks import Blocks
from .documents import Document, Page
from .limits import ParseLimits
from .office_xml import parsed, prepare
from .refusals import UNREADABLE, damaged, invalid

if TYPE_CHECKING:
    from pptx.slide import Slide

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_DIAGRAM = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"
_DATA = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}dm"
_BAND = 360_000  # EMU, a centimetre: shapes whose tops differ by less stand side by side
_NOTES = "Notes: "


def slides_document(file: BinaryIO, limits: ParseLimits) -> Document:
    """Read a PPTX.

    Raises:
        InvalidRequest: no presentation, encrypted, damaged, a bomb or without text; the message says which.
    """
    check_archive(file, ".pptx", limits)
    from pptx import Presentation

    try:
        source = Presentation(file)
        prepare(source.part.package)
        slides = list(source.slides)
        if len(slides) > limits.pages:
            raise invalid(f"it has {len(slides)} slides, more than the {limits.pages} allowed")
        pages, unreadable = _read(slides)
    except (AssistantsError, MemoryError, RecursionError):
        raise
    except Exception:  # hostile input is met with whatever zipfile, lxml and python-pptx raise
        raise damaged("the presentation", UNREADABLE) from None
    document = Document.of_pages(pages, tuple(unreadable))
    if unreadable and not document.text:
        raise damaged("the presentation", "none of its slides can be read")
    if not document.text:
        raise invalid("its slides hold no text, only pictures perhaps; run OCR over it first")
    return document


def _read(slides: Iterable["Slide"]) -> tuple[list[Page], list[int]]:
    pages: list[Page] = []
    unreadable: list[int] = []
    for number, slide in enumerate(slides, start=1):
        try:
            pages.append(_page(number, slide))
        except MemoryError:
            raise
        except Exception:  # one odd slide must not cost the others
            unreadable.append(number)
    return pages, unreadable


def _page(number: int, slide: "Slide") -> Page:
    blocks = Blocks()
    blocks.end_sections()
    title: Any = slide.shapes.title
    if title is not None:
        blocks.add(" ".join(title.text_frame.text.split()), level=1)
    identity = None if title is None else title.shape_id
    for shape in _in_order(slide.shapes):
        if shape.shape_id != identity:
            _add(blocks, shape)
    if slide.has_notes_slide:
        frame = slide.notes_slide.notes_text_frame
        if frame is not None and frame.text.strip():
            blocks.add(_NOTES + _lines(frame))
    return blocks.page(number)


def _in_order(shapes: Iterable[Any]) -> list[Any]:
    return sorted(shapes, key=lambda shape: ((shape.top or 0) // _BAND, shape.left or 0))


def _add(blocks: Blocks, shape: Any) -> None:
    from pptx.shapes.group import GroupShape

    if isinstance(shape, GroupShape):
        for inner in _in_order(shape.shapes):
            _add(blocks, inner)
    elif shape.has_text_frame:
        blocks.add(_lines(shape.text_frame))
    elif getattr(shape, "has_table", False):
        blocks.add_rows([cell.text for cell in row.cells] for row in shape.table.rows)
    elif getattr(shape, "has_chart", False):
        _add_chart(blocks, shape.chart)
    else:
        _add_diagram(blocks, shape)


def _lines(frame: Any) -> str:
    paragraphs = [paragraph.text.replace("\v", "\n").strip() for paragraph in frame.paragraphs]
    return "\n".join(text for text in paragraphs if text)


def _add_chart(blocks: Blocks, chart: Any) -> None:
    """A chart as the table that it was drawn from."""
    if chart.has_title:
        blocks.add(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        names = ["", *(series.name for series in plot.series)]
        columns = [[_figure(v) for v in series.values] for series in plot.series]
        categories = [str(category) for category in plot.categories]
        rows = zip(categories, *columns, strict=False)
        blocks.add_rows([names, *rows])


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def _add_diagram(blocks: Blocks, shape: Any) -> None:
    """The words of a SmartArt diagram, which are in a part of their own."""
    for ids in shape.element.iter(_DIAGRAM):
        data = parsed(shape.part.related_part(ids.get(_DATA)).blob)
        for paragraph in data.iter(f"{_A}p"):
            blocks.add("".join(_texts(paragraph)), close=True)


def _texts(paragraph: Any) -> Iterator[str]:
    for run in paragraph.iter(f"{_A}t"):
        yield run.text or ""
