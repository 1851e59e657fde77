"""Reading a stream of server-sent events, bytes in and events out.

Takes what servers really send: any line ending, comments, data over several lines, chunks cut anywhere, a byte order
mark, the `error:` lines of old llama-servers. Knows nothing of what the data means. Memory is bounded by the limits.
"""

import re
from dataclasses import dataclass

from ...engine.errors import BackendFault

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its data, and whether the server calls it an error."""

    data: str
    is_error: bool = False


class EventParser:
    """Takes chunks, gives events.

    Args:
        max_line: bytes of one event's lines together, a line that has not ended yet included.
        max_total: bytes of the whole stream.
    """

    def __init__(self, max_line: int, max_total: int) -> None:
        self._max_line = max_line
        self._max_total = max_total
        self._total = 0
        self._rest: list[bytes] = []  # of a line that has not ended
        self._rest_size = 0
        self._data: list[bytes] = []
        self._data_size = 0
        self._is_error = False
        self._after_cr = False
        self._started = False

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that this chunk completes.

        Raises:
            BackendFault: a line, or the whole stream, is longer than the limits.
        """
        self._total += len(chunk)
        if self._total > self._max_total:
            raise BackendFault(
                f"The model's server sent more than {self._max_total} bytes for one answer; it was cut off."
            )
        if not chunk:
            return []
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")  # the first half of a CRLF ended a line already
        *lines, rest = _LINE_END.split(chunk)
        self._after_cr = chunk.endswith(b"\r") or (self._after_cr and not chunk)
        events: list[Event] = []
        for line in lines:
            events += self._line(b"".join([*self._rest, line]))
            self._rest, self._rest_size = [], 0
        self._keep(rest)
        return events

    def end(self) -> list[Event]:
        """The event that was under way when the stream ended, if any: some servers leave out the last empty line."""
        rest = b"".join(self._rest)
        self._rest, self._rest_size = [], 0
        return [*(self._line(rest) if rest else []), *self._dispatch()]

    def _keep(self, rest: bytes) -> None:
        self._rest_size += len(rest)
        self._check(self._rest_size + self._data_size)
        if rest:
            self._rest.append(rest)

    def _check(self, size: int) -> None:
        if size > self._max_line:
            raise BackendFault(
                f"The model's server sent a line of more than {self._max_line} bytes; it was cut off."
            )

    def _line(self, line: bytes) -> list[Event]:
        if not self._started:
            line, self._started = line.removeprefix(_BOM), True
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name in (b"data", b"error"):
            self._data_size += len(value)
            self._check(self._data_size)
            self._data.append(value)
        self._is_error |= name == b"error" or (name == b"event" and value == b"error")
        return []

    def _dispatch(self) -> list[Event]:
        data, is_error = self._data, self._is_error
        self._data, self._data_size, self._is_error = [], 0, False
        if not data:
            return []
        return [Event(b"\n".join(data).decode("utf-8", "replace"), is_error)]
