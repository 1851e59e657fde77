"""HTML: what a reader would see of it, as selectolax's lexbor reads it, with its headings and its title.

Scripts, styles, navigation and what the page itself hides are left out. Rows of tables become lines. The walk is a
loop: pages nest as deeply as their makers like.
"""

import re
from collections import Counter
from typing import TYPE_CHECKING

from .blocks import CELL_BORDER, Blocks
from .documents import Page
from .refusals import invalid
from .visibility import is_hidden

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_UNSEEN = frozenset(
    {"script", "style", "nav", "noscript", "template", "head", "svg", "iframe", "object", "canvas"}
    | {"audio", "video", "datalist"}
)
_LOOSE = frozenset(
    {"p", "ul", "ol", "dl", "table", "pre", "blockquote", "section", "article", "main", "header"}
    | {"footer", "aside", "figure", "form", "fieldset", "details", "hr", "address"}
    | {"h1", "h2", "h3", "h4", "h5", "h6"}
)
_CLOSE = frozenset(
    {"div", "li", "tr", "br", "dt", "dd", "caption", "figcaption", "summary", "option", "legend"}
)
_CELLS = frozenset({"td", "th"})
_HEADING = re.compile(r"h([1-6])\Z")
_SPACES = re.compile(" {2,}")
_ITEM = "- "
_NO_WORDS = " -|\n\t"
_BLANKS = re.compile(r"\s+")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")


# A tag's name; what it may not stand in does not matter for a count that only has to tell pages from traps.
_TAG = re.compile(r"<(/?)([a-z][^\s/>]{0,40})", re.IGNORECASE)
_DEEPEST = 40_000  # elements in one another; lexbor's time grows with the square, to 3 s about here
_NO_DEPTH = frozenset(
    {
        "area",
        "base",
        "br",
        "col",
        "embed",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "track",
        "wbr",
    }
    | {
        "html",
        "head",
        "body",
        "p",
        "li",
        "dt",
        "dd",
        "option",
        "colgroup",
        "caption",
    }  # end by themselves
    | {"thead", "tbody", "tfoot", "tr", "td", "th"}
    | {"path", "rect", "circle", "line", "use", "polygon", "polyline", "ellipse", "stop", "image"}
)


def page(text: str) -> Page:
    """What a reader sees of an HTML page.

    Raises:
        InvalidRequest: it nests its elements as no page does.
    """
    from selectolax.lexbor import LexborHTMLParser

    _check_depth(text)
    tree = LexborHTMLParser(text)
    reader = _Reader()
    title = tree.head.css_first("title") if tree.head else None
    if title is not None:
        reader.blocks.entitle(title.text())
    if tree.body is not None:
        _walk(tree.body, reader)
    return reader.finished()


def _check_depth(text: str) -> None:
    depth, opened = 0, Counter[str]()
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if name in _NO_DEPTH:
            continue
        if not tag[1]:
            opened[name] += 1
            depth += 1
            if depth > _DEEPEST:
                raise invalid(f"its elements stand in one another more than {_DEEPEST:,} deep")
        elif opened[name]:
            opened[name] -= 1
            depth -= 1


class _Reader:
    """Collects the words between two borders of blocks, and gives each block its place."""

    def __init__(self) -> None:
        self.blocks = Blocks()
        self._words: list[str] = []
        self._apart = True  # whether an empty line comes before the next block
        self._level: int | None = None
        self._kept = 0  # depth of elements that keep their blanks

    def enter(self, tag: str) -> None:
        self._border(tag)
        if heading := _HEADING.match(tag):
            self._level = int(heading[1])
        elif tag == "pre":
            self._kept += 1
        elif tag == "li":
            self._words.append(_ITEM)
        elif tag in _CELLS and self._words:
            self._words.append(CELL_BORDER)

    def leave(self, tag: str) -> None:
        self._border(tag)
        if tag == "li":
            self._words = []  # its mark, when it had no words
        if tag == "pre":
            self._kept -= 1
        elif _HEADING.match(tag):
            self._level = None

    def read(self, text: str) -> None:
        self._words.append(text if self._kept else _BLANKS.sub(" ", text))

    def finished(self) -> Page:
        self._flush()
        return self.blocks.page()

    def _border(self, tag: str) -> None:
        if self._words == [_ITEM]:
            return  # the item's words come in a block inside it
        if tag in _LOOSE:
            self._flush()
            self._apart = True
        elif tag in _CLOSE:
            self._flush()

    def _flush(self) -> None:
        text = _INVISIBLE.sub("", "".join(self._words))
        self._words = []
        if not self._kept:
            text = _SPACES.sub(" ", text)
        if text.strip(_NO_WORDS):
            self.blocks.add(text, close=not self._apart, level=self._level)
            self._apart = False


def _walk(root: "LexborNode", reader: _Reader) -> None:
    node: LexborNode | None = root
    while node is not None:
        child = None
        if node.is_text_node:
            reader.read(node.text_content or "")
        elif node.is_element_node and _is_seen(node):
            reader.enter(node.tag or "")
            child = node.child
            if child is None:
                reader.leave(node.tag or "")
        node = child if child is not None else _following(node, root, reader)


def _following(node: "LexborNode", root: "LexborNode", reader: _Reader) -> "LexborNode | None":
    """The next node that is not inside `node`; leaves the elements that end before it."""
    current: LexborNode | None = node
    while current is not None and current.mem_id != root.mem_id:
        if current.next is not None:
            return current.next
        current = current.parent
        if current is not None:
            reader.leave(current.tag or "")
    return None


def _is_seen(node: "LexborNode") -> bool:
    return node.tag not in _UNSEEN and not is_hidden(node.attributes)
