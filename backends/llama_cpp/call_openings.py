"""How tool calls begin in a model's text: tags, code fences, brackets, in any order before the brace.

Pure functions over the text so far. Whatever more text could change is answered with "maybe" or "more".
"""

from dataclasses import dataclass
from typing import Literal

TAGS = ("<tool_call>", "<tools>", "<function_call>", "<|python_tag|>", "[TOOL_CALLS]")
CLOSING_TAGS = ("</tool_call>", "</tools>", "</function_call>")
FENCE = "```"
_JSON_INFO = ("", "json", "tool_call", "tool_code", "xml")
_CODE_INFO = ("python", "py", "python3")
_LONGEST_INFO = 24  # characters after a fence on its line; more is text

Verdict = Literal["yes", "no", "maybe"]
_Marker = Literal["tag", "json", "list", "code", "block", "none", "more"]


@dataclass(frozen=True, slots=True)
class Opening:
    """What an opening leads to, and its length.

    kind: `object` (a brace follows), `code` (a block of source code), `text` (no call: that much is surely text),
    `more` (cannot be said yet). `fenced`: it opened a code block.
    """

    kind: Literal["object", "code", "text", "more"]
    length: int = 0
    tagged: bool = False
    fenced: bool = False


def begins(text: str, marker: str) -> Verdict:
    """Whether `text` begins with `marker`, or may when it goes on."""
    if text.startswith(marker):
        return "yes"
    return "maybe" if marker.startswith(text) else "no"


def read_opening(text: str, *, code: bool) -> Opening:
    """Read markers from the start of `text` until it is clear where they lead.

    `code`: a block of Python is a call.
    """
    at, tagged, fenced = 0, False, False
    first = Opening("more")  # what is text for sure if it turns out not to be a call
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        rest = text[at:]
        if rest.startswith("{"):
            return Opening("object", at, tagged, fenced)
        size, kind = _marker(rest, code=code)
        at += size
        if kind == "more":
            return Opening("more")
        if kind == "code" and not first.length:
            return Opening("code", at)
        if kind in ("tag", "json", "list"):
            tagged, fenced = tagged or kind == "tag", fenced or kind == "json"
            first = first if first.length else Opening("text", at, fenced=fenced)
            continue
        return first if first.length else Opening("text", at, fenced=kind in ("block", "code"))


def _marker(rest: str, *, code: bool) -> tuple[int, _Marker]:
    """Length and kind of the marker that `rest` begins with."""
    for tag in TAGS:
        if rest.startswith(tag):
            return len(tag), "tag"
    if any(marker.startswith(rest) for marker in (*TAGS, FENCE)):
        return 0, "more"  # also when nothing is left
    if rest.startswith("["):
        return 1, "list"
    return _fence(rest, code=code) if rest.startswith(FENCE) else (0, "none")


def _fence(rest: str, *, code: bool) -> tuple[int, _Marker]:
    info, newline, _ = rest[len(FENCE) :].partition("\n")
    if len(info) > _LONGEST_INFO or "`" in info:
        return len(FENCE), "none"
    if not newline:
        return 0, "more"
    language = info.strip().lower()
    length = len(FENCE) + len(info) + 1
    if language in _JSON_INFO:
        return length, "json"
    return length, "code" if code and language in _CODE_INFO else "block"
