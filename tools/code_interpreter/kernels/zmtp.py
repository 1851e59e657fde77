"""The part of ZeroMQ's wire protocol (ZMTP 3.0, rfc.zeromq.org/spec/23) that a client of one kernel needs.

Why not libzmq: it bounds a frame, but neither the number of frames of a message nor their sum, and it reads them in a
thread of its own before anyone can look. One message of a thousand frames of 8 MB, which code in a kernel can send
without having that memory itself, would take 8 GB of the engine's. Here a message has a bound, and nothing is read
that was not asked for.

Pure: bytes in, messages out. It knows no socket and no Jupyter. It reads what a hostile peer may have written, and
promises of it nothing but the bound. The NULL mechanism only: both ends are on this machine and the path is private.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_FRAMES = 64
"""Of one message; a Jupyter message has seven and one for each buffer."""

_GREETING_BYTES = 64
_SIGNATURE = b"\xff\0\0\0\0\0\0\0\0\x7f"
_VERSION = b"\x03\x00"
_MORE, _LONG, _COMMAND = 1, 2, 4
_SHORT_HEADER, _LONG_HEADER = 2, 9


class NotZmtp(Exception):
    """The peer does not speak the protocol; the connection is of no use any more."""


@dataclass(frozen=True)
class Multipart:
    """One message. `cut`: it was larger than the bound, and only the first frames are here."""

    frames: Sequence[bytes]
    cut: bool = False


SUBSCRIPTION = b"\0\1\1"
"""The message by which a SUB socket asks for everything."""


def hello(socket_type: str) -> bytes:
    """What a client says first. Messages must wait until the peer is `ready`: libzmq loses those that come before."""
    greeting = _SIGNATURE + _VERSION + b"NULL".ljust(20, b"\0") + bytes(32)
    name, value = b"Socket-Type", socket_type.encode()
    ready = b"\x05READY" + bytes([len(name)]) + name + len(value).to_bytes(4, "big") + value
    return greeting + _frame(ready, _COMMAND)


def encode(frames: Sequence[bytes]) -> bytes:
    """A message as it goes over the wire."""
    return b"".join([*(_frame(frame, _MORE) for frame in frames[:-1]), _frame(frames[-1], 0)])


def _frame(body: bytes, flags: int) -> bytes:
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | _LONG]) + len(body).to_bytes(8, "big") + body


class Decoder:
    """Takes what the peer sends in pieces of any size; keeps at most `most_bytes` of one message.

    Attributes:
        ready: whether the peer has shaken hands.
    """

    def __init__(self, most_bytes: int) -> None:
        self.ready = False
        self._most = most_bytes
        self._pending = bytearray()
        self._greeted = False
        self._frames: list[bytes] = []
        self._kept = 0  # bytes in the frames above
        self._cut = False
        self._skip = 0  # bytes of the current frame that are still to be thrown away
        self._more = False

    def feed(self, piece: bytes) -> Iterator[Multipart]:
        """The messages that are whole now.

        Raises:
            NotZmtp: what came is no ZMTP.
        """
        self._pending += piece
        while self._greeted or self._greet():
            if self._skip:
                self._throw_away()
            elif not self._take_frame():
                return
            if self._skip:
                return
            if not self._more and (self._frames or self._cut):
                yield self._message()

    def _greet(self) -> bool:
        if len(self._pending) < _GREETING_BYTES:
            return False
        first, last, version = self._pending[0], self._pending[9], self._pending[10]
        if (first, last) != (_SIGNATURE[0], _SIGNATURE[9]) or version < _VERSION[0]:
            raise NotZmtp("the greeting is none")
        del self._pending[:_GREETING_BYTES]
        self._greeted = True
        return True

    def _take_frame(self) -> bool:
        """Take the next frame in, or begin to throw it away; False when too little of it is here."""
        if not self._pending:
            return False
        flags = self._pending[0]
        if flags & ~(_MORE | _LONG | _COMMAND):
            raise NotZmtp("a frame has unknown flags")
        header = _LONG_HEADER if flags & _LONG else _SHORT_HEADER
        if len(self._pending) < header:
            return False
        size = int.from_bytes(self._pending[1:header], "big")
        if flags & _COMMAND:
            self.ready = True  # it is the first command; nothing in this one or in others matters
            self._drop(header, size)
        elif self._cut or self._kept + size > self._most or len(self._frames) == MOST_FRAMES:
            self._more, self._cut = bool(flags & _MORE), True
            self._drop(header, size)
        elif len(self._pending) < header + size:
            return False
        else:
            self._more = bool(flags & _MORE)
            with memoryview(self._pending) as here:
                self._frames.append(bytes(here[header : header + size]))
            self._kept += size
            del self._pending[: header + size]
        return True

    def _drop(self, header: int, size: int) -> None:
        del self._pending[:header]
        self._skip = size
        self._throw_away()

    def _throw_away(self) -> None:
        here = min(self._skip, len(self._pending))
        del self._pending[:here]
        self._skip -= here

    def _message(self) -> Multipart:
        message = Multipart(self._frames, self._cut)
        self._frames, self._kept, self._cut = [], 0, False
        return message
