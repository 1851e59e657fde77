"""Answers in words that a model gives as a call of the pseudo tool for them (dialects/forms.py), read while written."""

import json
import re

from ..dialects.forms import REPLY_KEY

_TEXT_FOLLOWS = re.compile(rf'"{REPLY_KEY}"\s*:\s*"$')
_LONGEST_ESCAPE = 6  # \u0041


class ReplyReader:
    """Takes the text out of {"message": "..."}, one character at a time."""

    def __init__(self) -> None:
        self._before = ""
        self._inside = False
        self._ended = False
        self._escape = ""

    def feed(self, char: str) -> str:
        """The text that this character completes, often ""."""
        if self._ended:
            return ""
        if not self._inside:
            self._before += char
            self._inside = _TEXT_FOLLOWS.search(self._before) is not None
            return ""
        if self._escape or char == "\\":
            self._escape += char
            return self._unescaped()
        self._ended = char == '"'
        return "" if self._ended else char

    def _unescaped(self) -> str:
        kind = self._escape[1:2]
        if not kind or (kind == "u" and len(self._escape) < _LONGEST_ESCAPE):
            return ""
        escape, self._escape = self._escape, ""
        try:
            text = str(json.loads(f'"{escape}"'))
        except ValueError:
            return ""
        return "\ufffd" if "\ud800" <= text <= "\udfff" else text
