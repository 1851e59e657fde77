r"""Regular expressions of JSON Schema, put into the form that the grammar converter takes.

It wants both anchors, knows no \d, \w, \s, cannot escape a full stop, and would let a negated class match a quote,
which ends a JSON string. Look-around, back references and word boundaries have no place in a grammar and are refused,
and so are quotes and backslashes, which JSON writes in two characters.
"""

import re

_MOST_REPEATS = 256  # of one another, multiplied: each repeat is written out in the grammar
_LONGEST = 200  # characters
_CLASSES = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " "}
# How characters with a meaning inside a class are written there.
_MEMBERS = {"[": "\\[", "]": "\\]", "-": "\\x2D", "^": "\\x5E"}
_PART = re.compile(r"\\(.)|(\[\^?)|(\])|([^\\\[\]]+)", re.DOTALL)


class PatternRefused(ValueError):
    """The pattern cannot be made into a grammar; the text says why."""


def anchored(pattern: str) -> str:
    """A pattern for the whole string: JSON Schema's may match anywhere in it.

    Raises:
        PatternRefused: it is too long or uses what grammars do not have.
    """
    _check_size(pattern)
    start = "" if pattern.startswith("^") else ".*"
    end = "" if pattern.endswith("$") and not pattern.endswith("\\$") else ".*"
    inner = pattern.removeprefix("^")
    inner = inner if end else inner.removesuffix("$")
    return f"^{start}({_translated(inner)}){end}$"


def _check_size(pattern: str) -> None:
    product = 1
    for number in re.findall(r"[{,](\d+)", pattern):
        product *= max(1, int(number))
    if len(pattern) > _LONGEST or product > _MOST_REPEATS:
        raise PatternRefused("a pattern in it is too long or repeats too often")


def _translated(pattern: str) -> str:
    parts: list[str] = []
    inside = False
    for escaped, opening, closing, plain in _PART.findall(pattern):
        if escaped:
            parts.append(_escape(escaped, inside=inside))
        elif plain:
            parts.append(_plain(plain, inside=inside))
        else:
            inside = bool(opening)
            parts.append('[^"\\\\' if opening == "[^" else opening or closing)
    return "".join(parts)


def _plain(text: str, *, inside: bool) -> str:
    if '"' in text and not inside:
        raise PatternRefused("a pattern in it contains a quote")
    return text.replace('"', "")


def _escape(char: str, *, inside: bool) -> str:
    if char not in _CLASSES and (char.isalnum() or char in '"\\'):
        raise PatternRefused(f"\\{char} in a pattern has no counterpart in a grammar")
    members = _CLASSES.get(char) or _MEMBERS.get(char, char)
    return members if inside else f"[{members}]"
