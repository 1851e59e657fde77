"""Whether an element of HTML hides itself: by its attribute `hidden` or by its own style, however that is written.

It reads declarations as browsers do (css-syntax-3): comments and escapes, any case, any blanks, the last one that is
valid wins, `!important` ones before others. It knows no style sheets.
"""

import re
from collections.abc import Mapping

_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\(?:([0-9a-f]{1,6})[ \t\r\n\f]?|(.))", re.IGNORECASE | re.DOTALL)
_BLANKS = " \t\r\n\f"
_IMPORTANT = re.compile(r"![ \t\r\n\f]*important\Z")
_HIDING = {
    "display": {"none"},
    "visibility": {"hidden", "collapse"},
    "content-visibility": {"hidden"},
    "opacity": {"0", "0%"},
    "font-size": {"0", "0px", "0pt", "0em", "0rem", "0%"},
}
_WORD = re.compile(r"[a-z0-9%.-]+\Z")


def is_hidden(attributes: Mapping[str, str | None]) -> bool:
    """Whether an element with these attributes is not shown; their names are in lower case."""
    if "hidden" in attributes:
        return True
    style = attributes.get("style")
    if not style:
        return False
    declared = _declared(style)
    return any(declared.get(name) in values for name, values in _HIDING.items())


def _declared(style: str) -> dict[str, str]:
    """The value in force of each property that can hide."""
    usual: dict[str, str] = {}
    important: dict[str, str] = {}
    for declaration in _COMMENT.sub(" ", style).split(";"):
        name, _, value = _ESCAPE.sub(_unescaped, declaration).lower().partition(":")
        value, weighty = _IMPORTANT.subn("", value.strip(_BLANKS))
        name, value = name.strip(_BLANKS), value.strip(_BLANKS)
        if name in _HIDING and _WORD.match(value):
            (important if weighty else usual)[name] = value
    return usual | important


def _unescaped(escape: re.Match[str]) -> str:
    if escape[2]:
        return escape[2]
    code = int(escape[1], 16)
    return chr(code) if 0 < code <= 0x10FFFF else "\ufffd"
