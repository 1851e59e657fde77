"""Reads one string field of a JSON object while it is still being written.

Used to show code as it is typed: the model writes {"code": "..."} and clients see the code itself. What it shows is a
preview; the call runs with the arguments parsed as a whole.
"""

import json
import re

_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|[^u])")
_SURROGATES = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_HALF = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?$")


class StringField:
    """The value of `name` in a JSON object that arrives in fragments of any size."""

    def __init__(self, name: str) -> None:
        self._opening = re.compile(r'"' + re.escape(name) + r'"\s*:\s*"')
        self._pending = ""
        self._inside = False
        self._closed = False

    def feed(self, fragment: str) -> str:
        """The part of the value that this fragment completes."""
        if self._closed:
            return ""
        self._pending += fragment
        if not self._inside:
            opening = self._opening.search(self._pending)
            if opening is None:
                return ""
            self._inside = True
            self._pending = self._pending[opening.end() :]
        return self._decode()

    def _decode(self) -> str:
        shown: list[str] = []
        text, at = self._pending, 0
        while at < len(text):
            if text[at] == '"':
                self._closed = True
                break
            if text[at] != "\\":
                end = next((i for i in range(at, len(text)) if text[i] in '"\\'), len(text))
                shown.append(text[at:end])
                at = end
                continue
            escape = _SURROGATES.match(text, at) or _ESCAPE.match(text, at)
            if escape is None or _HALF.match(text, at):
                break  # the rest of the escape is still to come
            shown.append(_unescape(escape.group()))
            at = escape.end()
        self._pending = text[at:]
        return "".join(shown)


def _unescape(escape: str) -> str:
    try:
        decoded = str(json.loads(f'"{escape}"'))
    except ValueError:
        return escape  # not JSON, shown as written
    return (
        "\N{REPLACEMENT CHARACTER}"
        if len(decoded) == 1 and "\ud800" <= decoded <= "\udfff"
        else decoded
    )
