"""JSON that others wrote: every shape is checked, and text is made of whole characters."""

import json
from typing import Any, cast

_LARGEST_COUNT = 1 << 40


def parsed(data: str) -> object:
    """The value, or None where there is none: no JSON, or nested too deeply."""
    try:
        return cast("object", json.loads(data))
    except (ValueError, RecursionError):
        return None


def an_object(value: object) -> dict[str, Any] | None:
    """The value if it is an object."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def fields(value: object) -> dict[str, Any]:
    """The value if it is an object, else {}."""
    return an_object(value) or {}


def items(value: Any) -> list[Any]:
    """The value if it is a list, else []."""
    return _as_list(value) if isinstance(value, list) else []


def _as_list(value: Any) -> list[Any]:
    return list(value)


def string(value: object) -> str:
    """The value if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def count(value: object) -> int | None:
    """The value if it is a number of things, else None."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _LARGEST_COUNT else None


class WholeCharacters:
    r"""Puts together characters that a server cut in two, and replaces halves that stay alone.

    JSON writes a character beyond the first 65,536 as two escapes (`\ud83d\ude00`); a server that streams such halves
    one by one gives strings that cannot be encoded, and so neither stored nor sent on.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """The text that is complete now; a half at its end waits for the other one."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        return whole(text)

    def end(self) -> str:
        """What to show for a half that nothing came for."""
        rest, self._half = self._half, ""
        return whole(rest)


def whole(text: str) -> str:
    """The text with pairs of halves joined and lone ones replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def plain(text: str, limit: int = 300) -> str:
    """A server's words, fit for an error text: one line, printable, not long."""
    line = " ".join(whole(text).split())
    shown = "".join(char if char.isprintable() else "?" for char in line)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
