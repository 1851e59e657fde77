"""JSON: its text as it stands where people wrote it in lines; written in lines where a program left them out.

The keys above a value are its headings. No value is changed, and nothing is refused: what is no JSON stays text. It
works on tokens, kept as numbers, so that neither depth nor size makes it slow or hungry.
"""

import re
from array import array
from collections.abc import Iterator
from io import StringIO

from .documents import Heading, Page

_TOKEN = re.compile(r'"(?:[^"\\]+|\\.)*+(?:"|\\?\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LONG_LINE = 1_000  # code points a line, on average, from which on a program wrote it
_SHORT = 120  # code points of an object or array that stays in one line
_DEEPEST = 3  # levels of keys that are headings
_LEAST = 200  # code points of a value whose key is a heading
_INDENTS = 8  # levels that are indented: the text is to stay about as long
_NESTED = 200  # levels from which on nobody meant it to be read
_LONGER = 3  # times its length that a text may become; one that is made of brackets stays as it is


class _Tokens:
    """The tokens of a text: where each begins and ends, and for an opening bracket the place of its closing one."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.starts, self._ends = array("q"), array("q")
        for match in _TOKEN.finditer(text):
            self.starts.append(match.start())
            self._ends.append(match.end())
        self.closes = array("q", [-1]) * len(self.starts)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, at: int) -> str:
        return self._text[self.starts[at] : self._ends[at]]

    def match(self) -> bool:
        """Find for each opening bracket its closing one; False when there is a bracket without, or far too many."""
        opened: list[int] = []
        for at, start in enumerate(self.starts):
            first = self._text[start]
            if first in "{[":
                opened.append(at)
                if len(opened) > _NESTED:
                    return False
            elif first in "}]":
                if not opened:
                    return False
                self.closes[opened.pop()] = at
        return not opened

    def is_key(self, at: int) -> bool:
        return at + 2 < len(self) and self[at + 1] == ":" and self[at].startswith('"')

    def is_short(self, at: int) -> bool:
        """Whether what the bracket at `at` opens fits into a line."""
        return self.starts[self.closes[at]] - self.starts[at] <= _SHORT


def page(text: str) -> Page:
    """The page of a JSON text."""
    tokens = _Tokens(text)
    if not tokens.match():
        return Page(None, text)
    if len(text) <= _LONG_LINE * (text.count("\n") + 1):
        return Page(None, text, list(_headings(tokens, tokens.starts)))
    written = _Written(tokens, _LONGER * len(text))
    if written.length > _LONGER * len(text):
        return Page(None, text)
    return Page(None, written.text(), list(_headings(tokens, written.starts)))


class _Written:
    """The text in lines, and where each token stands in it; written no further than to `most` code points."""

    def __init__(self, tokens: _Tokens, most: int) -> None:
        self._parts = StringIO()
        self.starts = array("q")
        self.length = 0
        self._depth = 0
        self._flat_until = -1
        for at in range(len(tokens)):
            self._token(tokens, at)
            if self.length > most:
                return

    def text(self) -> str:
        return self._parts.getvalue()

    def _write(self, part: str) -> None:
        self._parts.write(part)
        self.length += len(part)

    def _token(self, tokens: _Tokens, at: int) -> None:
        token, close = tokens[at], tokens.closes[at]
        if token in ("}", "]") and at > self._flat_until:
            self._depth -= 1
            self._write(self._line())
        self.starts.append(self.length)
        self._write(token)
        if at > self._flat_until and close >= 0:
            if tokens.is_short(at):
                self._flat_until = close
            else:
                self._depth += 1
                self._write(self._line())
        elif token == ":":
            self._write(" ")
        elif token == ",":
            self._write(" " if at < self._flat_until else self._line())

    def _line(self) -> str:
        return "\n" + " " * min(self._depth, _INDENTS)


def _headings(tokens: _Tokens, starts: "array[int]") -> Iterator[Heading]:
    """The keys of large objects and arrays, down to some depth."""
    depth = 0
    for at, close in enumerate(tokens.closes):
        if close >= 0:
            depth += 1
            continue
        token = tokens[at]
        if token in ("}", "]"):
            depth -= 1
        elif depth <= _DEEPEST and tokens.is_key(at):
            end = tokens.closes[at + 2]
            if end >= 0 and starts[end] - starts[at + 2] >= _LEAST:
                yield Heading.at(starts[at], depth, token.strip('"'))
