"""A block of source code that is a call, turned into the arguments of that call while it is written."""

import json
from collections.abc import Iterable

from .call_openings import FENCE, begins


class SourceBlock:
    """The code of one block.

    Args:
        argument: the name of the argument that holds the code.
        executed: code that the conversation has run already; a block that repeats it is a quotation, not a call.
        fenced: whether a fence ends the block; otherwise it goes on to the end of the turn.
    """

    def __init__(self, argument: str, executed: Iterable[str] = (), *, fenced: bool = True) -> None:
        self._argument = argument
        self._no_calls = ("", *executed)
        self._fenced = fenced
        self._line_blank = True
        self._code = ""  # not given out yet
        self.text = ""  # all that was read
        self.started = False

    def read(self, text: str) -> tuple[str, str, bool]:
        """A fragment of the arguments, what has to wait, and whether the block has ended."""
        for index, char in enumerate(text):
            verdict = "no"
            if char == "`" and self._line_blank and self._fenced:
                verdict = begins(text[index:], FENCE)
            if verdict == "maybe":
                return self._feed(text[:index]), text[index:], False
            if verdict == "yes":
                fragment = self._feed(text[:index])
                self.text += FENCE
                return fragment, text[index + len(FENCE) :], True
            self._line_blank = char == "\n" or (self._line_blank and char in " \t")
        return self._feed(text), "", False

    def _feed(self, text: str) -> str:
        """A fragment of the arguments, "" as long as it is not sure that this is a call."""
        self.text += text
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
