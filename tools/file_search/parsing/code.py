"""Source code: the text as it stands; the names of its classes and functions are its headings.

Patterns, not parsers: a definition is a line that begins like one. What stands deeper in the indentation stands under
it. It does not promise to find all of them.
"""

import re
from collections.abc import Callable, Iterator
from itertools import islice

from .documents import MOST_HEADINGS, Heading

_INDENT = r"^([ \t]{0,80})"
_MODIFIERS = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|partial|export|default|async|readonly"
    r"|declare|unsafe|virtual|override|inline|const)[ \t]{1,9}){0,6}"
)
_TYPES = r"(?:class|interface|enum|struct|namespace|trait|record|union)"
# A name and a parenthesis at the beginning of a line that no semicolon ends.
_FUNCTION = r"^()[A-Za-z_][\w \t*&:<>,]{0,80}[ \t*&](?:\w{1,80}::){0,4}(\w{1,80}+)[ \t]{0,4}+\([^;\n]{0,400}+$"
_METHOD = (
    rf"{_INDENT}(?=\w){_MODIFIERS}[\w<>\[\],.?]{{1,80}}[ \t]{{1,9}}(\w{{1,80}}+)[ \t]{{0,4}}+"
    r"\([^;\n]{0,400}\{[ \t]*+$"
)
_TYPE = rf"{_INDENT}{_MODIFIERS}{_TYPES}[ \t]{{1,9}}(\w[\w.:]{{0,80}})"

_SCRIPT = (
    rf"{_INDENT}{_MODIFIERS}(?:function\*?|class|interface|enum|namespace|type)[ \t]{{1,9}}([\w$]{{1,80}})",
    rf"{_INDENT}(?:export[ \t]{{1,9}})?(?:const|let)[ \t]{{1,9}}([\w$]{{1,80}})[^=\n]{{0,80}}="
    r"[ \t]{0,9}(?:async[ \t]{0,9})?"
    r"(?:function|\([^()\n]{0,200}\)[^=\n]{0,80}=>)",
)
_SUFFIXES: dict[str, tuple[str, ...]] = {
    ".py": (rf"{_INDENT}(?:async[ \t]{{1,9}})?(?:def|class)[ \t]{{1,9}}(\w{{1,80}})",),
    ".rb": (rf"{_INDENT}(?:def|class|module)[ \t]{{1,9}}([\w.:?!]{{1,80}})",),
    ".js": _SCRIPT,
    ".ts": _SCRIPT,
    ".go": (r"^()func[ \t]+(?:\([^()\n]{0,200}\)[ \t]*)?(\w{1,80})", r"^()type[ \t]+(\w{1,80})"),
    ".java": (_TYPE, _METHOD),
    ".cs": (_TYPE, _METHOD),
    ".php": (_TYPE, rf"{_INDENT}{_MODIFIERS}function[ \t]{{1,9}}&?(\w{{1,80}})"),
    ".c": (_TYPE, _FUNCTION),
    ".cpp": (_TYPE, _FUNCTION),
    ".sh": (r"^()(?:function[ \t]{1,9})?([\w:-]{1,80})[ \t]{0,4}\(\)",),
}
_NO_NAMES = frozenset({"if", "for", "while", "switch", "return", "else", "catch", "new", "throw"})
_TAB = 4


def headings_for(suffix: str) -> Callable[[str], Iterator[Heading]]:
    """What finds the definitions in files whose names end in `suffix`."""
    patterns = [re.compile(each, re.MULTILINE) for each in _SUFFIXES.get(suffix, ())]

    def headings(text: str) -> Iterator[Heading]:
        for pattern in patterns:
            for match in islice(pattern.finditer(text), MOST_HEADINGS):
                if match[2] not in _NO_NAMES:
                    depth = len(match[1].expandtabs(_TAB))
                    yield Heading.at(match.start(), 1 + depth, match[2])

    return headings
