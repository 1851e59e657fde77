"""Markdown: the text as it stands, with its headings. Nothing is rendered."""

import re
from collections.abc import Iterator

from .documents import Heading

_ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
_UNDERLINE = re.compile(r" {0,3}(=+|-{2,})[ \t]*\r?\Z")
_NO_TITLE = re.compile(r"\s*(?:[#>|+*<`~-]|\d+[.)]|\Z)")
_FENCES = ("```", "~~~")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"\*\*|__|`")
_LONGEST = 400  # code points of a title that are looked at
_FRONT = 200  # lines that front matter may have


def headings(text: str) -> Iterator[Heading]:
    """The headings of a markdown text; those inside code fences are none."""
    lines = text.split("\n")
    skipped = _front_matter(lines)
    offset = sum(len(line) + 1 for line in lines[:skipped])
    yield from (Heading.at(0, 0, title) for title in _title(lines[:skipped]))
    fence, before, before_at, after_gap = "", "", offset, True
    for line in lines[skipped:]:
        mark = line.lstrip(" ")[:3]
        if mark in _FENCES and fence in ("", mark):
            fence = "" if fence else mark
        elif not fence and (atx := _ATX.match(line)):
            yield Heading.at(offset, len(atx[1]), _plain(atx[2]))
        elif not fence and before and (under := _UNDERLINE.match(line)):
            yield Heading.at(before_at, 1 if under[1][0] == "=" else 2, _plain(before))
        before = line if after_gap and not fence and not _NO_TITLE.match(line) else ""
        before_at, after_gap = offset, not line.strip()
        offset += len(line) + 1


def _plain(title: str) -> str:
    title = _LINK.sub(r"\1", title[:_LONGEST].rstrip("# \t\r"))
    return _MARKS.sub("", title)


def _front_matter(lines: list[str]) -> int:
    """How many lines at the beginning are YAML between two rules."""
    if lines[0].rstrip() != "---":
        return 0
    closing = (at for at, line in enumerate(lines[1:_FRONT], 2) if line.rstrip() in ("---", "..."))
    return next(closing, 0)


def _title(front: list[str]) -> Iterator[str]:
    for line in front:
        if line.startswith("title:"):
            yield line.removeprefix("title:").strip().strip("\"'")
            return
