"""JSON: its text as it stands where people wrote it in lines; written in lines where a program left them out.

The keys above a value are its headings. No value is changed, and nothing is refused: what is no JSON stays text. It
works on tokens, so that neither depth nor size makes it slow.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from .documents import Heading, Page

_TOKEN = re.compile(r'"(?:[^"\\]+|\\.)*+(?:"|\\?\Z)|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_LONG_LINE = 1_000  # code points a line, on average, from which on a program wrote it
_SHORT = 120  # code points of an object or array that stays in one line
_DEEPEST = 3  # levels of keys that are headings
_LEAST = 200  # code points of a value whose key is a heading
_INDENTS = 8  # levels that are indented: the text is to stay about as long
_NESTED = 200  # levels from which on nobody meant it to be read


@dataclass(slots=True)
class _Token:
    text: str
    start: int
    closes: int = -1  # of an opening bracket: the place of its closing one


def page(text: str) -> Page:
    """The page of a JSON text."""
    tokens = list(_tokens(text))
    if not _matched(tokens):
        return Page(None, text)
    if len(text) <= _LONG_LINE * (text.count("\n") + 1):
        return Page(None, text, list(_headings(tokens, [token.start for token in tokens])))
    written, starts = _written(tokens)
    return Page(None, written, list(_headings(tokens, starts)))


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        yield _Token(match[0], match.start())


def _matched(tokens: list[_Token]) -> bool:
    """Find for each opening bracket its closing one; False when there is a bracket without, or far too many."""
    opened: list[int] = []
    for at, token in enumerate(tokens):
        if token.text in ("{", "["):
            opened.append(at)
            if len(opened) > _NESTED:
                return False
        elif token.text in ("}", "]"):
            if not opened:
                return False
            tokens[opened.pop()].closes = at
    return not opened


def _written(tokens: list[_Token]) -> tuple[str, list[int]]:
    """The text in lines, and where each token stands in it."""
    parts: list[str] = []
    starts: list[int] = []
    length, depth, flat_until = 0, 0, -1
    for at, token in enumerate(tokens):
        if token.text in ("}", "]") and at > flat_until:
            depth -= 1
            parts.append(_line(depth))
            length += len(parts[-1])
        starts.append(length)
        parts.append(token.text)
        length += len(token.text)
        if at > flat_until and token.closes >= 0 and _is_short(tokens, at):
            flat_until = token.closes
        after = _after(token, at < flat_until, depth)
        if token.closes >= 0 and at > flat_until:
            depth += 1
            after = _line(depth)
        parts.append(after)
        length += len(after)
    return "".join(parts), starts


def _is_short(tokens: list[_Token], at: int) -> bool:
    return tokens[tokens[at].closes].start - tokens[at].start <= _SHORT


def _after(token: _Token, flat: bool, depth: int) -> str:
    if token.text == ":":
        return " "
    if token.text == ",":
        return " " if flat else _line(depth)
    return ""


def _line(depth: int) -> str:
    return "\n" + " " * min(depth, _INDENTS)


def _headings(tokens: list[_Token], starts: list[int]) -> Iterator[Heading]:
    """The keys of large objects and arrays, down to some depth."""
    depth = 0
    for at, token in enumerate(tokens):
        if token.closes >= 0:
            depth += 1
        elif token.text in ("}", "]"):
            depth -= 1
        elif _is_key(tokens, at) and depth <= _DEEPEST:
            value = tokens[at + 2]
            if value.closes >= 0 and starts[value.closes] - starts[at + 2] >= _LEAST:
                yield Heading.at(starts[at], depth, token.text.strip('"'))


def _is_key(tokens: list[_Token], at: int) -> bool:
    return at + 2 < len(tokens) and tokens[at + 1].text == ":" and tokens[at].text.startswith('"')
