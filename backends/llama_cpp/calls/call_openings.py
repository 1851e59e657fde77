"""How tool calls begin in a model's text: tags, code fences, brackets, names, in any order before the brace.

Pure functions over the text so far. Whatever more text could change is answered with "maybe" or "more".
"""

import re
from dataclasses import dataclass
from typing import Literal

PYTHON_TAG = "<|python_tag|>"
NAME_TAGS = ("[TOOL_CALLS]", "<function=")  # a tool's name may follow
TAGS = ("<tool_call>", "<tools>", "<function_call>", PYTHON_TAG, *NAME_TAGS)
CLOSING_TAGS = ("</tool_call>", "</tools>", "</function_call>", "</function>")
MARKERS = frozenset((*TAGS, "[ARGS]", "[CALL_ID]"))
"""Tags that may be control tokens: of these alone the text counts when a model writes them."""
FENCE = "```"
_JSON_INFO = ("", "json", "tool_call", "tool_code", "xml")
_CODE_INFO = ("python", "py", "python3")
_LONGEST_INFO = 24  # characters after a fence on its line; more is text

Verdict = Literal["yes", "no", "maybe"]
# Up to the brace of the arguments: name[ARGS], name[CALL_ID]0123[ARGS], name>, or the name alone.
_NAMED = re.compile(r"([\w.-]{1,64})(?:\[CALL_ID\]\w{0,64})?(?:\[ARGS\]|>)?\s*(?=\{)")
_NAME_SO_FAR = re.compile(
    r"[\w.-]{1,64}(?:>|\[(?:[A-Z_]{0,7}(?:\]\w{0,64}(?:\[[A-Z]{0,4}\]?)?)?)?)?\s*"
)
_Marker = Literal["tag", "json", "list", "code", "block", "none", "more"]


@dataclass(frozen=True, slots=True)
class Opening:
    """What an opening leads to, and its length.

    kind: `object` (a brace follows), `named` (a tool's name was read, the brace of its arguments follows), `code` (a
    block of source code), `script` (source code up to the end), `text` (no call: that much is surely text), `more`
    (cannot be said yet). `fenced`: it opened a code block.
    """

    kind: Literal["object", "named", "code", "script", "text", "more"]
    length: int = 0
    tagged: bool = False
    fenced: bool = False
    name: str = ""


def begins(text: str, marker: str) -> Verdict:
    """Whether `text` begins with `marker`, or may when it goes on."""
    if text.startswith(marker):
        return "yes"
    return "maybe" if marker.startswith(text) else "no"


def opener(rest: str, line_blank: bool, *, skip: bool) -> Verdict:
    """Whether `rest` begins with the opening of a call.

    Args:
        rest: the text, not empty.
        line_blank: whether nothing but white space stands before it on its line.
        skip: whether braces and brackets open nothing here.
    """
    if rest[0] not in "<[`{":
        return "no"
    if rest.startswith(TAGS):
        return "yes"
    if any(tag.startswith(rest) for tag in TAGS):
        return "maybe"
    if not line_blank or (rest[0] != "`" and (skip or rest[0] == "<")):
        return "no"
    if rest[0] == "`":
        return begins(rest, FENCE)
    inner = rest[1:].lstrip()
    if rest[0] == "{" or inner.startswith("{"):
        return "yes"
    return "no" if inner else "maybe"


def read_opening(text: str, *, code: bool) -> Opening:
    """Read markers from the start of `text` until it is clear where they lead.

    `code`: a block of Python is a call.
    """
    at, tag, fenced = 0, "", False
    first = Opening("more")  # what is text for sure if it turns out not to be a call
    while True:
        at += len(text[at:]) - len(text[at:].lstrip())
        rest = text[at:]
        if rest.startswith("{"):
            return Opening("object", at, bool(tag), fenced)
        if tag in NAME_TAGS and rest[:1].isalnum():
            return _named(text, at) or first
        size, kind = _marker(rest, code=code)
        at += size
        if kind == "more":
            return Opening("more")
        if kind == "code" and not first.length:
            return Opening("code", at)
        if kind in ("tag", "json", "list"):
            tag = rest[:size] if kind == "tag" else tag
            fenced = fenced or kind == "json"
            first = first if first.length else Opening("text", at, fenced=fenced)
            continue
        if kind == "none" and code and tag == PYTHON_TAG:
            return Opening("script", at)
        return first if first.length else Opening("text", at, fenced=kind in ("block", "code"))


def _named(text: str, at: int) -> Opening | None:
    """A name that stands at `at`, None when it is no call."""
    found = _NAMED.match(text, at)
    if found:
        return Opening("named", found.end(), tagged=True, name=found.group(1))
    return Opening("more") if _NAME_SO_FAR.fullmatch(text, at) else None


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


def after_call(
    rest: str, *, fenced: bool
) -> tuple[Literal["closing", "opening", "more", "none"], int]:
    """What stands behind a call: something that closes it (and its length), the opening of another, or neither.

    `fenced`: whether the call stands in a code block.
    """
    closings = (*CLOSING_TAGS, FENCE) if fenced else CLOSING_TAGS
    for closing in closings:
        if rest.startswith(closing):
            return "closing", len(closing)
    openings = (*TAGS, "{", "[", FENCE)
    if rest.startswith(openings):
        return "opening", 0
    if any(marker.startswith(rest) for marker in (*closings, *openings)):
        return "more", 0  # also when nothing is left
    return "none", 0
