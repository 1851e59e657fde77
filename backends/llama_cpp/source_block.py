"""A block of source code that is a call, turned into the arguments of that call while it is written."""

import json
from collections.abc import Iterable


class SourceBlock:
    """The code of one block, without its fences.

    Args:
        argument: the name of the argument that holds the code.
        executed: code that the conversation has run already; a block that repeats it is a quotation, not a call.
    """

    def __init__(self, argument: str, executed: Iterable[str] = ()) -> None:
        self._argument = argument
        self._no_calls = ("", *executed)
        self._code = ""  # not given out yet
        self.started = False

    def feed(self, text: str) -> str:
        """A fragment of the arguments, "" as long as it is not sure that this is a call."""
        self._code += text
        code = self._code.strip()
        fragment = ""
        if not self.started and not any(old.startswith(code) for old in self._no_calls):
            fragment = self._begin()
        return fragment + self._ready() if self.started else ""

    def end(self) -> str | None:
        """The last fragment; None if it was no call."""
        fragment = ""
        if not self.started and self._code.strip() not in self._no_calls:
            fragment = self._begin() + self._ready()
        return fragment + '"}' if self.started else None

    def _begin(self) -> str:
        self.started = True
        self._code = self._code.lstrip("\n")
        return "{" + json.dumps(self._argument) + ': "'

    def _ready(self) -> str:
        """The code up to its last visible character: line breaks before the closing fence are not part of it."""
        ready = self._code.rstrip()
        self._code = self._code[len(ready) :]
        return json.dumps(ready, ensure_ascii=False)[1:-1]
