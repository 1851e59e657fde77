"""The text of an answer, passed on up to what may open a call. White space at its end waits for what follows."""

import copy

from .call_openings import FENCE, begins, opener
from .json_object import ObjectScanner

_OPENERS = frozenset("<[`{")


class Speech:
    """Ordinary text and code blocks that are no calls."""

    def __init__(self) -> None:
        self.said_something = False
        self._line_blank = True
        self._in_fence = False
        self._space: str = ""  # goes if a call follows
        self._skip: ObjectScanner | None = None  # an object that is text

    def fork(self) -> "Speech":
        """A copy to try a text on."""
        fork = copy.copy(self)
        fork._skip = copy.copy(self._skip)
        return fork

    def read(self, text: str) -> tuple[str, str, bool]:
        """What is said, what has to wait, and whether that opens what may be a call."""
        said = ""
        while True:
            length, verdict = self._next_marker(text)
            said, text = said + self.say(text[:length]), text[length:]
            if verdict != "yes" or not self._in_fence:
                self._skip = None if verdict == "yes" else self._skip
                return said, text, verdict == "yes"
            said, text = said + self.say(FENCE), text[len(FENCE) :]
            self._in_fence = self._line_blank = False

    def _next_marker(self, text: str) -> tuple[int, str]:
        """How much of the text comes before what may be the end of a fence, or the opening of a call."""
        for index, char in enumerate(text):
            verdict = "no"
            if self._in_fence and char == "`" and self._line_blank:
                verdict = begins(text[index:], FENCE)
            elif not self._in_fence and char in _OPENERS:
                verdict = opener(text[index:], self._line_blank, skip=self._skip is not None)
            if verdict != "no":
                return index, verdict
            self._move_past(char)
        return len(text), "no"

    def _move_past(self, char: str) -> None:
        self._line_blank = char == "\n" or (self._line_blank and char in " \t\r")
        if self._skip is not None:
            self._skip.feed(char)
            self._skip = None if self._skip.closed else self._skip

    def say(self, text: str) -> str:
        """The text, less white space at its end."""
        text = self._space + text
        said = text.rstrip()
        self._space = text[len(said) :]
        self.said_something = self.said_something or bool(said)
        return said

    def take_back(self, text: str, *, fenced: bool, skip: ObjectScanner | None = None) -> str:
        """Say what looked like a call and is none.

        Args:
            text: all of it.
            fenced: it opened a code block, which goes on.
            skip: the object that it begins, if that goes on.
        """
        self._line_blank, self._in_fence = text.endswith("\n"), fenced
        self._skip = skip or self._skip
        return self.say(text)

    def give_up_space(self) -> str:
        """The white space that waited, which is nobody's now."""
        space, self._space = self._space, ""
        return space
