"""TeX: the text as it stands, with the headings of LaTeX's sections. Nothing is expanded."""

import re
from collections.abc import Iterator

from .documents import Heading

_LEVELS = {
    "title": 0,
    "part": 1,
    "chapter": 2,
    "section": 3,
    "subsection": 4,
    "subsubsection": 5,
    "paragraph": 6,
}
_COMMAND = re.compile(
    r"\\(title|part|chapter|(?:sub){0,2}section|paragraph)\*?[ \t]{0,9}(?:\[[^\]\n]{0,300}\])?\s{0,9}\{"
    r"|\\begin\{(abstract)\}"
)
_BRACE = re.compile(r"\\.|[{}]")  # or what a backslash makes none of
_LONGEST = 300  # code points of a title that are looked at
_MARKUP = re.compile(r"\\(?:label|footnote|thanks)\{[^{}]*\}|\\[a-zA-Z]+\*?|[{}$]")


def headings(text: str) -> Iterator[Heading]:
    """The sections of a LaTeX text; those in comments are none."""
    for match in _COMMAND.finditer(text):
        if _is_comment(text, match.start()):
            continue
        if match[2]:
            yield Heading.at(match.start(), _LEVELS["section"], "Abstract")
        else:
            level = _LEVELS[match[1]]
            yield Heading.at(match.start() if level else 0, level, _title(text, match.end()))


def _is_comment(text: str, at: int) -> bool:
    line = text[max(0, at - _LONGEST) : at].rpartition("\n")[2]
    return "%" in line.replace(r"\%", "")


def _title(text: str, begin: int) -> str:
    """What stands between the brace before `begin` and the one that closes it."""
    inside, depth = text[begin : begin + _LONGEST], 1
    for brace in _BRACE.finditer(inside):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if not depth:
            inside = inside[: brace.start()]
            break
    return _MARKUP.sub("", inside.replace("\\\\", " ").replace("~", " "))
