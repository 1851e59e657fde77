"""The JSON object of a possible call while it is written: its name, its arguments as they come, or an answer in words.

Also takes the arguments of a call whose name stands before them, outside of any object.
"""

import copy
import json
from collections.abc import Set
from typing import cast

from ..dialects.forms import REPLY_KEY
from .call_openings import Opening
from .json_object import ObjectScanner, as_call
from .replies import ReplyReader


class CallObject:
    """One object, from its brace on.

    Args:
        opening: what led here.
        known: names of tools, the pseudo tool `reply` included.
        reply: the name of the pseudo tool for answers in words.
    """

    def __init__(self, opening: Opening, known: Set[str], reply: str | None) -> None:
        self.opening = opening
        self.scanner = ObjectScanner(opening.name)
        self.begins = False  # the last character opened the arguments
        self.begun = False
        self._known = known
        self._reply = reply
        self._reader = ReplyReader()

    def fork(self) -> "CallObject":
        """A copy to try a text on."""
        fork = copy.copy(self)
        fork.scanner, fork._reader = copy.copy(self.scanner), copy.copy(self._reader)
        return fork

    @property
    def name(self) -> str | None:
        """The tool's, once it was read."""
        return self.scanner.name

    @property
    def is_reply(self) -> bool:
        """Whether it is an answer in words."""
        return self.name is not None and self.name == self._reply

    @property
    def whole(self) -> bool:
        """Whether all arguments have come."""
        return self.begun and self.scanner.arguments_end is not None

    @property
    def awaits_arguments(self) -> bool:
        """Whether arguments have to come next."""
        return not self.begun and self.scanner.awaits_arguments and self.name in self._known

    @property
    def is_over(self) -> bool:
        """Whether the object has ended, or cannot be a call any more."""
        if not self.begun:
            return self.scanner.closed or not self.scanner.could_be_call(self._known)
        return self.scanner.closed or (self.whole and (self.scanner.broken or self.scanner.named))

    def read(self, char: str) -> str:
        """Take a character; what it adds to the arguments or, of an answer in words, to the text."""
        wanted, quoted = self.begun and not self.whole, self.scanner.in_string
        self.scanner.feed(char)
        self.begins = not self.begun and self._at_arguments()
        self.begun = self.begun or self.begins
        if self.is_reply and self.begun:
            return self._reader.feed(char)
        if wanted:
            return json.dumps(char)[1:-1] if quoted and char < " " else char
        return char if self.begins else ""

    def _at_arguments(self) -> bool:
        scanner = self.scanner
        at_value = scanner.arguments_at == len(scanner.text) - 1 and scanner.text.endswith("{")
        return at_value and scanner.name in self._known

    def late_call(self, code_argument: dict[str, str | None]) -> tuple[str, str] | None:
        """Name and arguments (or text) of a call that could only be told from the whole object."""
        call = as_call(self.scanner.text, self._known) if self.scanner.closed else None
        if call is None:
            return None
        name, arguments = call
        if name != self._reply:
            return name, _as_arguments(arguments, code_argument.get(name) or "input")
        said = cast("dict[str, object]", arguments) if isinstance(arguments, dict) else {}
        return name, str(said.get(REPLY_KEY, ""))


def _as_arguments(arguments: object, key: str) -> str:
    """Arguments as JSON text, whatever the model wrapped them in. `key`: what a bare text is the argument of."""
    if isinstance(arguments, str):
        try:
            decoded: object = json.loads(arguments, strict=False)
        except (ValueError, RecursionError):
            decoded = None
        arguments = cast("object", decoded) if isinstance(decoded, dict) else {key: arguments}
    return json.dumps(arguments, ensure_ascii=False)
