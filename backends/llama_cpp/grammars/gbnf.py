"""Rules in GBNF, the notation of llama.cpp's grammars, and the parts of JSON that every grammar needs.

Grammars are made from what users send, so their size is limited before a native parser sees them.
"""

import json
from collections.abc import Iterable

_MOST_ALTERNATIVES = 256  # at one place: each costs time at every token there
# Without the halves of surrogate pairs, which are no characters.
_CHAR = r'[^"\\\x7F\x00-\x1F] | "\\" (["\\/bfnrt] | "u" ([0-9a-cefA-CEF] hex | [dD] [0-7]) hex hex)'
_FREE_DEPTH = 12  # of JSON that no schema describes
_BASE = {
    "ws": r'| " " | "\n" [ \t]{0,20}',
    "hex": "[0-9a-fA-F]",
    "char": _CHAR,
    "string": r'"\"" char* "\""',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,14})',
    "number": 'integer ("." [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?',
    "pair": r'string ws ":" ws',
    "value-0": "string | number | boolean | null",
    "object-0": '"{" ws "}"',
}


class SchemaRefused(ValueError):
    """The schema cannot be made into a grammar; the text says why."""


class Rules:
    """The rules of one grammar. Equal rules are kept once."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self.size = 0  # characters of the rules added
        for name, rule in _BASE.items():
            self._rules[name] = rule
        for depth in range(1, _FREE_DEPTH + 1):
            self._rules |= _free_json(depth)
        self._rules["object"] = f"object-{_FREE_DEPTH}"
        self._rules["value"] = f"value-{_FREE_DEPTH}"

    def add(self, rule: str) -> str:
        """The name of a rule."""
        if rule not in self._names:
            self._names[rule] = self.reserve()
            self.define(self._names[rule], rule)
        return self._names[rule]

    def reserve(self) -> str:
        """A name for a rule that is defined later, so that it can speak of itself."""
        name = f"r{len(self._rules)}"
        self._rules[name] = ""
        return name

    def define(self, name: str, rule: str) -> None:
        """The rule of a reserved name."""
        self.size += len(rule)
        self._rules[name] = rule

    def copy(self) -> "Rules":
        """The same rules, to go on from."""
        copy = Rules()
        copy._rules, copy._names, copy.size = dict(self._rules), dict(self._names), self.size
        return copy

    def text(self, root: str) -> str:
        """The whole grammar."""
        return "\n".join((f"root ::= {root}", *(f"{n} ::= {r}" for n, r in self._rules.items())))


def _free_json(depth: int) -> dict[str, str]:
    """Rules of any JSON that is at most so many levels deep."""
    inner = f"value-{depth - 1}"
    pairs = f'pair {inner} ("," ws pair {inner})*'
    return {
        f"array-{depth}": f'"[" ws ({inner} ("," ws {inner})*)? ws "]"',
        f"object-{depth}": f'"{{" ws ({pairs})? ws "}}"',
        f"value-{depth}": f"value-0 | array-{depth} | object-{depth}",
    }


def literal(text: str) -> str:
    """A text as a literal of the notation."""
    return '"' + "".join(_escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char in '"\\':
        return "\\" + char
    return f"\\x{ord(char):02X}" if char < " " or char == "\x7f" else char


def one_of(alternatives: Iterable[str]) -> str:
    """Any of these expressions, in parentheses when there are several.

    Raises:
        SchemaRefused: there are none, or too many.
    """
    unique = list(dict.fromkeys(alternatives))
    if not unique:
        raise SchemaRefused("a part of it allows nothing")
    if len(unique) > _MOST_ALTERNATIVES:
        raise SchemaRefused(f"it has more than {_MOST_ALTERNATIVES} alternatives in one place")
    return unique[0] if len(unique) == 1 else f"({' | '.join(unique)})"


def json_text(value: object) -> str:
    """A value as JSON.

    Raises:
        SchemaRefused: it has no such form.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (ValueError, RecursionError) as error:
        raise SchemaRefused("a value in it cannot be written as JSON") from error
    return text


def any_text(texts: Iterable[str]) -> str:
    """Any of these texts. Common beginnings are written once: each alternative costs time at every token."""
    return _branches(sorted(set(texts)), 0)


def _branches(texts: list[str], at: int) -> str:
    """What may follow in texts that agree up to `at`."""
    groups: dict[str, list[str]] = {}
    for text in texts:
        groups.setdefault(text[at : at + 1], []).append(text)
    parts: list[str] = []
    for first, group in groups.items():
        if not first:
            parts.append('""')
            continue
        end = _agreement(group, at)
        rest = "" if len(group) == 1 else " " + _branches(group, end)
        parts.append(literal(group[0][at:end]) + rest)
    return one_of(parts)


def _agreement(texts: list[str], at: int) -> int:
    """How far texts agree that are sorted, at least up to `at`."""
    first, last = texts[0], texts[-1]
    most = min(len(first), len(last))
    while at < most and first[at] == last[at]:
        at += 1
    return at
