r"""Regular expressions of JSON Schema as grammars of JSON strings.

What a grammar allows always matches the pattern; it may allow less than the pattern does (\d is 0 to 9, a class that is
negated leaves out what JSON writes with escapes). Look-around, back references, word boundaries and flags have no place
in a grammar and are refused, and so are patterns that would make one large or slow.
"""

from dataclasses import dataclass

from .gbnf import Rules, SchemaRefused, literal

_LONGEST = 500  # characters
_HEAVIEST = 2000  # symbols, repeats written out
_DEEPEST = 20  # groups in groups
_MOST_OPEN = 8  # repeats of no fixed number: each is one more place where the text may be
_WIDEST = 256  # by how much several of them may vary together
_LAST = 0x10FFFF
_SETS = {
    "d": ((0x30, 0x39),),
    "w": ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A)),
    "s": ((0x20, 0x20),),
}
_SPACES = ((0x09, 0x0D), (0x20, 0x20))
_PLAIN = {"n": "\n", "r": "\r", "t": "\t"}
_HEX = {"x": 2, "u": 4}
_SHORT = {0x22: r"\"", 0x5C: r"\\", 0x0A: r"\n", 0x0D: r"\r", 0x09: r"\t"}
_DOT = ((0x20, 0x2027), (0x202A, 0xD7FF), (0xE000, _LAST))  # no line breaks, no surrogates

_Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A grammar expression; `weight`: its symbols when repeats are written out; `empty`: it may match nothing."""

    text: str
    weight: int
    empty: bool = False


def pattern_rule(rules: Rules, pattern: str) -> str:
    """The expression of a JSON string that the pattern matches somewhere, as JSON Schema has it.

    Raises:
        SchemaRefused: the pattern uses what grammars do not have, or is too large.
    """
    if len(pattern) > _LONGEST:
        raise SchemaRefused(f"a pattern in it is longer than {_LONGEST} characters")
    reader = _Reader(pattern)
    whole = reader.alternatives(top=True)
    if reader.rest:
        raise SchemaRefused("a pattern in it closes a group that it did not open")
    return rules.add(f'"\\"" {whole.text} "\\""')


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern
        self._depth = 0
        self._open = 0
        self._spread = 0

    def alternatives(self, *, top: bool = False) -> _Part:
        """Everything up to the closing parenthesis or the end."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise SchemaRefused("a pattern in it nests groups too deeply")
        parts = [self._sequence(top=top)]
        while self._take("|"):
            parts.append(self._sequence(top=top))
        self._depth -= 1
        text = " | ".join(part.text for part in parts)
        weight = sum(part.weight for part in parts)
        return _checked(_Part(f"({text})", weight, any(part.empty for part in parts)))

    def _sequence(self, *, top: bool) -> _Part:
        """One alternative. At the top it may begin and end anywhere in the string unless anchored."""
        from_start = top and self._take("^")
        parts: list[_Part] = []
        to_end = False
        while self.rest and self.rest[0] not in "|)":
            if top and self.rest[0] == "$" and self.rest[1:2] in ("", "|"):
                to_end = self._take("$")
                break
            parts.append(self._repeated())
        if top:
            anything = _Part("char*", 1, empty=True)
            parts = [*([] if from_start else [anything]), *parts]
            parts += [] if to_end else [anything]
        text = " ".join(part.text for part in parts) or '""'
        weight = sum(part.weight for part in parts)
        return _checked(_Part(text, weight, all(part.empty for part in parts)))

    def _repeated(self) -> _Part:
        part = self._one()
        bounds = self._bounds()
        if bounds is None:
            return part
        self._take("?")  # lazy: it matches the same
        if self.rest[:1] in ("*", "+", "?") and self.rest:
            raise SchemaRefused("a pattern in it repeats a repeat")
        low, high = bounds
        if part.empty and high != 1:
            raise SchemaRefused("a pattern in it repeats what may be empty")
        if high == 0:
            return _Part('""', 1, empty=True)
        self._note_open(low, high)
        count = f"{{{low},{'' if high is None else high}}}"
        weight = part.weight * max(low, high or 1)
        return _checked(_Part(part.text + count, weight, part.empty or low == 0))

    def _note_open(self, low: int, high: int | None) -> None:
        self._open += low != high
        self._spread += 0 if high is None else high - low
        if self._open > _MOST_OPEN or (self._open > 2 and self._spread > _WIDEST):
            raise SchemaRefused("a pattern in it has too many repeats of no fixed number")

    def _bounds(self) -> tuple[int, int | None] | None:
        """How often the last part may come; None: once."""
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        sign = self.rest[:1]
        if sign in simple:
            self._take(sign)
            return simple[sign]
        inner, closing, rest = self.rest[1:].partition("}")
        low, comma, high = inner.partition(",")
        if sign != "{" or not closing or not _is_count(low) or not (not high or _is_count(high)):
            return None
        self.rest = rest
        most = (int(high) if high else None) if comma else int(low)
        if int(low) > _HEAVIEST or (most is not None and not int(low) <= most <= _HEAVIEST):
            raise SchemaRefused("a pattern in it repeats too often")
        return int(low), most

    def _one(self) -> _Part:
        char = self._next()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == ".":
            return _of(_DOT)
        if char == "\\":
            return self._escape()
        if char in "^$*+?":
            raise SchemaRefused(f"a pattern in it has a {char} where a grammar cannot have it")
        return _of(((ord(char), ord(char)),))

    def _group(self) -> _Part:
        if self.rest.startswith("?:"):
            self.rest = self.rest[2:]
        elif self.rest.startswith("?"):
            _, named, after = self.rest.partition(">")
            head = self.rest[: len(self.rest) - len(after)]
            if not named or not head.removeprefix("?").removeprefix("P")[1:-1].isidentifier():
                raise SchemaRefused("a pattern in it looks around or sets flags")
            self.rest = after
        inside = self.alternatives()
        if not self._take(")"):
            raise SchemaRefused("a pattern in it does not close a group")
        return inside

    def _escape(self) -> _Part:
        char = self._next()
        if char.lower() in _SETS:
            return _of(_SETS[char] if char in _SETS else _outside(char.lower()))
        code = self._code(char)
        return _of(((code, code),))

    def _code(self, char: str) -> int:
        """The code point that an escape stands for."""
        if char in _HEX:
            digits, self.rest = self.rest[: _HEX[char]], self.rest[_HEX[char] :]
            try:
                return int(digits, 16)
            except ValueError:
                raise SchemaRefused("a pattern in it has a broken escape") from None
        if char in _PLAIN:
            return ord(_PLAIN[char])
        if char.isalnum():
            raise SchemaRefused(f"\\{char} in a pattern has no counterpart in a grammar")
        return ord(char)

    def _class(self) -> _Part:
        negated = self._take("^")
        members: list[tuple[int, int]] = []
        ascii_only = False
        while not self.rest.startswith("]") or not members:
            char = self._next()
            if char == "\\" and self.rest[:1].lower() in _SETS:
                kind = self._next()
                ascii_only = True
                inside = _SPACES if kind == "s" and negated else _SETS.get(kind)
                members += inside or _outside(kind.lower())
                continue
            low = self._code(self._next()) if char == "\\" else ord(char)
            members.append((low, self._range_end(low)))
        self._take("]")
        if negated:
            return _of(_without(tuple(members), 0x7E if ascii_only else _LAST))
        return _of(tuple(members))

    def _range_end(self, low: int) -> int:
        if not self.rest.startswith("-") or self.rest[1:2] in ("]", ""):
            return low
        self._take("-")
        char = self._next()
        high = self._code(self._next()) if char == "\\" else ord(char)
        if char == "[" or high < low:
            raise SchemaRefused("a pattern in it has a broken class")
        return high

    def _next(self) -> str:
        if not self.rest:
            raise SchemaRefused("a pattern in it ends too early")
        char, self.rest = self.rest[0], self.rest[1:]
        return char

    def _take(self, text: str) -> bool:
        found = self.rest.startswith(text)
        self.rest = self.rest[len(text) :] if found else self.rest
        return found


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6


def _checked(part: _Part) -> _Part:
    if part.weight > _HEAVIEST:
        raise SchemaRefused("a pattern in it repeats too often")
    return part


def _outside(kind: str) -> _Ranges:
    """ASCII that a class does not hold; what lies beyond is left out, since programs differ there."""
    return _without(_SPACES if kind == "s" else _SETS[kind], 0x7E)


def _without(members: _Ranges, last: int) -> _Ranges:
    """Everything from the space to `last` but these and the surrogates."""
    free: list[tuple[int, int]] = []
    start = 0x20
    for low, high in sorted((*members, (0x7F, 0x7F), (0xD800, 0xDFFF))):
        if low > start:
            free.append((start, min(low - 1, last)))
        start = max(start, high + 1)
    free.append((start, last))
    return tuple((low, high) for low, high in free if low <= high)


def _of(ranges: _Ranges) -> _Part:
    """One character of these, as JSON writes it."""
    parts: list[str] = []
    for low, high in _split(ranges):
        parts.append(_member(low) if low == high else f"{_member(low)}-{_member(high)}")
    short = [code for code in _SHORT if any(low <= code <= high for low, high in ranges)]
    choices = [f"[{''.join(parts)}]"] if parts else []
    choices += [literal(_SHORT[code]) for code in short]
    if not choices:
        raise SchemaRefused("a pattern in it wants a character that JSON cannot write plainly")
    return _Part(choices[0] if len(choices) == 1 else f"({' | '.join(choices)})", 1)


def _split(ranges: _Ranges) -> list[tuple[int, int]]:
    """The ranges without what JSON must escape, and without surrogates."""
    barred = ((0, 0x1F), (0x22, 0x22), (0x5C, 0x5C), (0x7F, 0x7F), (0xD800, 0xDFFF))
    pieces = list(ranges)
    for bar_low, bar_high in barred:
        cut: list[tuple[int, int]] = []
        for low, high in pieces:
            cut += [(low, min(high, bar_low - 1)), (max(low, bar_high + 1), high)]
        pieces = [piece for piece in dict.fromkeys(cut) if piece[0] <= piece[1]]
    return pieces


def _member(code: int) -> str:
    """A character inside a class of the grammar's notation."""
    char = chr(code)
    if char.isascii():
        return char if char.isalnum() or char in " _" else f"\\x{code:02X}"
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
