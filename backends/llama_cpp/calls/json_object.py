"""Reading a JSON object as it is being written, one character at a time, to see whether it is a tool call.

Small models call tools as {"name": ..., "arguments": {...}} with some variety in the keys. The scanner watches the
outermost level only; it accepts raw line breaks inside strings, which JSON forbids and models write.
"""

import json
from collections.abc import Container
from typing import Any, Literal, cast

NAME_KEYS = ("name", "function", "tool", "tool_name", "function_name")
ARGUMENT_KEYS = ("arguments", "parameters", "args", "params", "input")
_OTHER_KEYS = ("type", "id", "index")

_Expect = Literal["key", "colon", "value", "comma"]


class ObjectScanner:
    """The state of one object. Feed it from the opening brace on.

    With a `name` it is the arguments of a call of that name that stand alone, without an object around them.
    """

    def __init__(self, name: str = "") -> None:
        self.text = ""
        self.closed = False
        self.broken = False
        self.in_string = False
        self.first_key: str | None = None
        self.name: str | None = None
        self.arguments_at: int | None = None  # where in `text` the arguments' value begins
        self.arguments_end: int | None = None  # just behind it, once it is complete
        self._depth = 0
        self._escaped = False
        self._expect: _Expect = "key"
        self._key = ""
        self._string_at = 0
        self.named = bool(name)
        for char in f'{{"name": {json.dumps(name)}, "arguments": ' if name else "":
            self.feed(char)

    @property
    def awaits_arguments(self) -> bool:
        """Whether the value of the arguments comes next."""
        at_value = self._depth == 1 and self._expect == "value" and not self.in_string
        return at_value and self._key in ARGUMENT_KEYS and self.arguments_at is None

    def feed(self, char: str) -> None:
        """Take one character; ignored once the object is closed."""
        if self.closed:
            return
        self.text += char
        if self.in_string:
            self._in_string(char)
        elif char == '"':
            self._begin_value()
            self.in_string, self._string_at = True, len(self.text) - 1
        elif char in "{[":
            self._open()
        elif char in "}]":
            self._close(char)
        elif not char.isspace():
            self._other(char)

    def could_be_call(self, tools: Container[str]) -> bool:
        """Whether the object may still turn out to be a call of one of `tools`."""
        if self.broken or (self.name is not None and self.name not in tools):
            return False
        first = self.first_key
        known = first in (*NAME_KEYS, *ARGUMENT_KEYS, *_OTHER_KEYS)
        return first is None or known or first in tools

    def _in_string(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self.in_string = False
            if self._depth == 1:
                self._end_string()

    def _end_string(self) -> None:
        try:
            text = str(json.loads(self.text[self._string_at :], strict=False))
        except ValueError:
            self.broken = True
            return
        if self._expect == "key":
            self._key, self._expect = text, "colon"
            self.first_key = self.first_key if self.first_key is not None else text
        elif self._expect == "value":
            if self._key in NAME_KEYS and self.name is None:
                self.name = text
            self._end_value()
        else:
            self.broken = True

    def _begin_value(self) -> None:
        if self._depth == 1 and self._expect == "value" and self._key in ARGUMENT_KEYS:
            self.arguments_at = (
                len(self.text) - 1 if self.arguments_at is None else self.arguments_at
            )

    def _end_value(self, end: int | None = None) -> None:
        if self.arguments_at is not None and self.arguments_end is None:
            in_arguments = self._key in ARGUMENT_KEYS
            self.arguments_end = (end or len(self.text)) if in_arguments else None
        self._expect = "comma"

    def _open(self) -> None:
        doubled = self._depth == 1 and self.first_key is None and self.text[-1] == "{"
        if doubled and self._expect == "key":
            # {{"name": ...}}: a damaged template taught some models to write it.
            self.text = self.text[-1]
            return
        if self._depth == 1 and self._expect != "value":
            self.broken = True
        self._begin_value()
        self._depth += 1

    def _close(self, char: str) -> None:
        self._depth -= 1
        if self._depth <= 0:
            if self._expect == "value":  # a number or a word was the last value
                self._end_value(len(self.text) - 1)
            self.closed = True
            self.broken = self.broken or char == "]"
        elif self._depth == 1:
            self._end_value()

    def _other(self, char: str) -> None:
        if self._depth != 1:
            return
        if char == ":" and self._expect == "colon":
            self._expect = "value"
        elif char == "," and self._expect in ("comma", "value"):
            if self._expect == "value":
                self._end_value(len(self.text) - 1)
            self._expect = "key"
        elif self._expect == "value":
            self._begin_value()
        else:
            self.broken = True


def as_call(text: str, tools: Container[str]) -> tuple[str, Any] | None:
    """Name and arguments of a whole object in any of the forms that models use, None when it is no call."""
    try:
        value: Any = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    call = _as_object(value)
    inner = _as_object(call.get("function"))
    call = inner or call
    names = [str(call[key]) for key in NAME_KEYS if isinstance(call.get(key), str)]
    if not names and len(call) == 1:
        # {"get_weather": {"city": ...}}
        only = next(iter(call))
        arguments = call[only]
        fits = only in tools and isinstance(arguments, dict)
        return (only, cast("dict[str, Any]", arguments)) if fits else None
    if not names or names[0] not in tools:
        return None
    given: list[Any] = [call[key] for key in ARGUMENT_KEYS if key in call]
    return names[0], given[0] if given else {}


def _as_object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
