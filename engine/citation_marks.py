"""Finds how models refer to the passages they were given, in a text that is still being written.

Asked to write [3], models also write [1, 2], [passage 1], (1), 【1】, [report.pdf, page 2] or "Source: a.pdf, page 2".
What is in brackets is a reference as a whole or not at all; of numbers that no passage has, none is guessed. Bare
numbers in parentheses are references only where a clause ends: elsewhere they number a list. Pure; it knows no run.
"""

import re
from collections.abc import Iterable, Sequence

from .ports import Citation

_LABEL_WORDS = """
see passage passages source sources document documents doc docs result results citation citations cite cited
reference references ref refs number no from in
"""
_LABELS = tuple(_LABEL_WORDS.split())
_JOINTS = ("and", "to", "page", "pages", "p", "pp", "pg")
_WORDS = (*_LABELS, *_JOINTS)
_LABEL = rf"(?:(?:{'|'.join(_LABELS)})\b(?:[ ]?[.:#])?[ ]?)*"
_NUMBER = r"\d{1,3}(?!\d)"
_NUMBERS = rf"[#^]?{_NUMBER}(?:[ ]?(?:,|;|&|and|to|-|–)[ ]?{_LABEL}[#^]?{_NUMBER})*"
_PAGE = (
    r"(?:[ ]?,?[ ]?\(?(?:pages?|pp?|pg)\b\.?[ ]?\d{1,4}(?:[ ]?(?:-|–|,|and)[ ]?\d{1,4})*(?!\d)\)?)"
)
_HEADING = r"sources?\*{0,2}[ ]?:\*{0,2}[ ]?"
_MOST_NUMBERS = 20  # of one range
_SLACK = 80  # characters in brackets beside a file's name


class CitationMarks:
    """References to these passages."""

    def __init__(self, citations: Sequence[Citation]) -> None:
        self._by_number = {citation.number: citation for citation in citations}
        self._names = tuple(dict.fromkeys(citation.filename.lower() for citation in citations))
        self._reach = max(map(len, self._names), default=0) + _SLACK
        spelled = {citation.filename for citation in citations}
        named = "|".join(map(re.escape, sorted(spelled, key=lambda name: (-len(name), name))))
        name = f"[\"'`]?(?:{named or '(?!)'})[\"'`]?"
        inside = rf"[ ]?{_LABEL}(?:{_NUMBERS}(?:[ ]?[,:]?[ ]?{name})?|{name}){_PAGE}?[ ]?"
        square = rf"\[{inside}\](?!\()"
        round_ = rf"\({inside}\)"
        lens = rf"【{inside}(?:[:†][^】\n]{{0,60}})?】"
        self.pattern = (
            rf"(?i:(?P<square>{square})|(?P<round>{round_})|(?P<lens>{lens})"
            rf"|(?P<heading>(?<!\w){_HEADING}{name}{_PAGE}?))"
        )
        self._closed = re.compile(f"(?:{square}|{round_}|{lens})(?:[.,;:!?]| {{0,2}})$", re.I)
        self._name = re.compile(named or "(?!)", re.I)

    def targets(self, mark: str, claim: Sequence[str]) -> list[Citation]:
        """The passages that a mark refers to, [] when none; of several of a file the one with most words of `claim`."""
        named = self._name.search(mark)
        numbers = _numbers(mark[: named.start()] if named else mark)
        if numbers:
            return [self._by_number[one] for one in numbers if one in self._by_number]
        if named is None:
            return []
        name = named.group().lower()
        found = [one for one in self._by_number.values() if one.filename.lower() == name]
        pages = {int(page) for page in re.findall(r"\d+", mark[named.end() :])}
        on_page = [one for one in found if one.page in pages]
        if pages and not on_page and any(one.page is not None for one in found):
            return []  # a page that the model was not shown
        return [max(on_page or found, key=lambda one: (_shared(one, claim), -one.number))]

    def stands(self, mark: re.Match[str], before: str, after: str) -> bool:
        """Whether a match of `pattern` is a reference where it stands; `before`: the line up to it."""
        if before.count("`") % 2:
            return False  # code
        if mark["round"] and not re.search("[a-z]", mark["round"], re.I):
            behind = re.search(r"[\w.%)\]】\"'”’] $|[\d.%)\]】]$", before)
            return behind is not None and not re.match(r" {0,2}[\w*/=+-]", after)
        if mark["square"] and before[-1:].isalpha():
            return re.match(r"[.,;:!?](?!\w)", after) is not None  # values[1] is code
        return not (mark["square"] and before.endswith("_"))

    def open_at(self, text: str) -> int:
        """Where the end of `text` begins that may still become a mark when more comes; its length if nowhere."""
        start = max(0, len(text) - self._reach)
        for found in re.finditer(r"[\[(【]|(?<!\w)s", text[start:], re.I):
            at = start + found.start()
            if self._may_grow(text[at:]):
                return at
        return len(text)

    def _may_grow(self, tail: str) -> bool:
        if tail[0] not in "[(【":
            return self._may_become_heading(tail.lower())
        if self._closed.match(tail):
            return True
        inside = tail[1:]
        return not re.search(r"[\])】\n]", self._without_names(inside)) and self._may_be_inside(
            inside.lower()
        )

    def _may_become_heading(self, tail: str) -> bool:
        head = re.match(r"sources?(?:\*{1,2}[ ]?(?::\*{0,2}[ ]?)?|[ ]?:\*{0,2}[ ]?|[ ])?", tail)
        if head is None:
            return "source".startswith(tail)
        return self._may_be_name(tail[head.end() :].lstrip("\"'`"))

    def _without_names(self, text: str) -> str:
        """`text` without files' names, nor the beginning of one at its end: names may hold brackets."""
        text = self._name.sub("", text).lower()
        begun = (at for at in range(len(text)) if self._begins_name(text[at:]))
        return text[: next(begun, len(text))]

    def _begins_name(self, text: str) -> bool:
        return any(name.startswith(text) for name in self._names)

    def _may_be_inside(self, inside: str) -> bool:
        rest = re.match(rf"[ ]?{_LABEL}(?:{_NUMBERS}[ ]?[,:;&–-]?[ ]?)?", inside)
        tail = inside[rest.end() :] if rest else inside
        if "†" in tail or tail.startswith((":", "†")):
            return True
        if not tail or self._may_be_name(tail.lstrip("\"'`#^")):
            return True
        words = re.split(r"[^a-z]+", tail)
        return all(word in _WORDS for word in words[:-1] if word) and any(
            word.startswith(words[-1]) for word in _WORDS
        )

    def _may_be_name(self, tail: str) -> bool:
        """Whether `tail` begins a file's name, or is one with the beginning of a page behind it."""
        return any(
            name.startswith(tail)
            or (
                tail.startswith(name)
                and re.fullmatch(
                    r"[\"'`]?[ ,(]{0,3}(?:p[a-z]{0,4}\.?[ \d,–and-]*)?", tail[len(name) :]
                )
            )
            for name in self._names
        )


def _numbers(mark: str) -> list[int]:
    """The numbers that a mark names, ranges written out; those of pages are none."""
    kept = re.sub(_PAGE, " ", mark, flags=re.I)
    kept = re.sub(r"(?<=\d)[:†].*", "", kept)
    numbers: list[int] = []
    for first, last in re.findall(r"(\d{1,3})(?:[ ]?(?:-|–|to)[ ]?(\d{1,3}))?", kept):
        low, high = int(first), int(last or first)
        numbers += range(low, high + 1) if 0 <= high - low < _MOST_NUMBERS else (low, high)
    return list(dict.fromkeys(numbers))


def _shared(citation: Citation, claim: Iterable[str]) -> int:
    text = (citation.text or citation.quote).lower()
    return sum(word.lower() in text for word in claim)
