"""DOCX: paragraphs, tables and text boxes in reading order, headings by their styles, with python-docx.

python-docx opens the package; the text is taken from its XML here, since the library's own walk leaves out what stands
in content controls, tracked insertions and text boxes. Deleted text stays out. A document has no pages before it is
laid out, so the text has none; headers, footers and the numbers of numbered paragraphs are left out.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO

from ....engine.errors import AssistantsError
from .archive import check_archive
from .blocks import Blocks
from .documents import Document
from .limits import ParseLimits
from .office_xml import parsed, prepare
from .refusals import UNREADABLE, damaged

if TYPE_CHECKING:
    from docx.document import Document as WordDocument

Element = Any  # lxml's, which has no types

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_MATH = "{http://schemas.openxmlformats.org/officeDocument/2006/math}t"
_PARAGRAPH, _TABLE, _ROW, _CELL, _BOX = (
    f"{_W}{name}" for name in ("p", "tbl", "tr", "tc", "txbxContent")
)
_TEXTS = {f"{_W}t", _MATH}
_CHARACTERS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
# A shape is there twice, for old and for new programs; properties hold tab stops, which are no tabs.
_LEFT_OUT = {f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", f"{_MC}Fallback"}
_NOTES = {f"{_W}footnoteReference": "footnotes", f"{_W}endnoteReference": "endnotes"}
_HEADING = re.compile(r"heading ([1-9])\Z", re.IGNORECASE)
_BASES = 10  # styles that are based on one another
_STYLES = 10_000  # that are looked at
_BODY_TEXT = 9  # the level of outlines that is none


def word_document(file: BinaryIO, limits: ParseLimits) -> Document:
    """Read a DOCX.

    Raises:
        InvalidRequest: no Word document, encrypted, damaged or a bomb; the message says which.
    """
    check_archive(file, ".docx", limits)
    import docx

    try:
        source = docx.Document(file)
        prepare(source.part.package)
        blocks = _Reading(source).blocks()
    except (AssistantsError, MemoryError, RecursionError):
        raise
    except Exception:  # lxml and python-docx meet hostile input with whatever they raise
        raise damaged("the Word document", UNREADABLE) from None
    return Document.of_pages([blocks.page()])


class _Reading:
    """One reading of a document's body."""

    def __init__(self, source: "WordDocument") -> None:
        root: Element = source.element
        self._body = root.body
        self._levels = dict(_style_levels(source.styles.element))
        self._notes = dict(_notes(source))
        self._blocks = Blocks()

    def blocks(self) -> Blocks:
        for element in _found(self._body, {_PARAGRAPH, _TABLE}):
            if element.tag == _TABLE:
                self._blocks.add_rows(_rows(element))
            else:
                self._add(element)
        return self._blocks

    def _add(self, paragraph: Element) -> None:
        level = self._level(paragraph)
        listed = level is None and paragraph.find(f"{_W}pPr/{_W}numPr") is not None
        text = _text(paragraph)
        if text.strip():
            self._blocks.add(f"- {text}" if listed else text, close=listed, level=level)
        for reference in paragraph.iter(*_NOTES):
            note = self._notes.get((_NOTES[reference.tag], reference.get(f"{_W}id")), "")
            self._blocks.add(note, close=True)
        for box in _found(paragraph, {_BOX}):
            for inner in box.iter(_PARAGRAPH):
                self._blocks.add(_text(inner), level=self._level(inner))

    def _level(self, paragraph: Element) -> int | None:
        outline = _outline(paragraph)
        if outline is not None:
            return outline if outline <= _BODY_TEXT else None
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        return None if style is None else self._levels.get(style.get(f"{_W}val"))


def _found(element: Element, tags: set[str]) -> Iterator[Element]:
    """The outermost elements with one of the tags, wherever they stand in `element`. lxml bounds how deep that is."""
    for child in element:
        if child.tag in tags:
            yield child
        elif child.tag not in _LEFT_OUT:
            yield from _found(child, tags)


def _text(element: Element) -> str:
    return "".join(_words(element))


def _words(element: Element) -> Iterator[str]:
    for child in element:
        if child.tag in _TEXTS:
            yield child.text or ""
        elif child.tag in _CHARACTERS:
            yield _CHARACTERS[child.tag]
        elif child.tag not in _LEFT_OUT and child.tag != _BOX:
            yield from _words(child)


def _rows(table: Element) -> Iterator[Iterable[str]]:
    """The cells of each row; a table inside a cell is that cell's text."""
    for row in _found(table, {_ROW}):
        yield [
            " ".join(_text(each) for each in _found(cell, {_PARAGRAPH}))
            for cell in _found(row, {_CELL})
        ]


def _style_levels(styles: Element) -> Iterator[tuple[str, int]]:
    """(style id, level of its headings) for the styles that make headings."""
    levels: dict[str, int | None] = {}
    bases: dict[str, str | None] = {}
    for style in islice(styles.iter(f"{_W}style"), _STYLES):
        name, base = style.get(f"{_W}styleId"), style.find(f"{_W}basedOn")
        levels[name] = _own_level(style)
        bases[name] = None if base is None else base.get(f"{_W}val")
    for name in levels:
        level, above = levels[name], bases[name]
        for _ in range(_BASES):
            if level is not None or above not in levels:
                break
            level, above = levels[above], bases[above]
        if level is not None and level <= _BODY_TEXT:
            yield name, level


def _own_level(style: Element) -> int | None:
    # Word keeps the built-in styles' English names in documents of all languages.
    element = style.find(f"{_W}name")
    name = "" if element is None else element.get(f"{_W}val", "")
    if name.lower() == "title":
        return 0
    heading = _HEADING.match(name)
    return int(heading[1]) if heading else _outline(style)


def _outline(element: Element) -> int | None:
    """The level that properties name, one above `_BODY_TEXT` for body text; None when they name none."""
    outline = element.find(f"{_W}pPr/{_W}outlineLvl")
    return None if outline is None else int(outline.get(f"{_W}val")) + 1


def _notes(source: "WordDocument") -> Iterator[tuple[tuple[str, str], str]]:
    """((kind, id), text) of each footnote and endnote."""
    for relation in source.part.rels.values():
        kind = relation.reltype.rpartition("/")[2]
        if kind not in _NOTES.values() or relation.is_external:
            continue
        notes: Element = parsed(relation.target_part.blob)
        for note in notes:
            text = " ".join(_text(each) for each in _found(note, {_PARAGRAPH}))
            yield (kind, note.get(f"{_W}id")), text.strip()
