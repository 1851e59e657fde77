"""The host's two sockets to a kernel: requests go out on shell, replies come in there, all else comes in on iopub.

Nothing is read but while somebody waits in `receive`, and then for a moment at a time: a kernel that floods the host
fills its own buffers, has no more than one message a socket kept here, and leaves the event loop to others.

It knows ZMTP and sockets, and neither requests nor outputs. It promises nothing of what the messages say: whoever
speaks is code that nobody checked.
"""

import asyncio
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from . import zmtp

ChannelName = Literal["shell", "iopub"]
Received = Sequence[tuple[ChannelName, zmtp.Multipart]]

_CHUNK = 16384  # bytes; filled with the smallest of frames it is 10 ms of work
_TURN = 0.002  # seconds of reading in one go; what was read takes longer to understand, so also
_MOST_MESSAGES, _MOST_PIECES = 64, 32  # of them, and of pieces
PAUSE = 0.004  # seconds before the next turn when more was there: what comes then gets a third of the loop


class Connection:
    """Both sockets. Where nobody listens, it is `closed` from the beginning."""

    def __init__(self, shell: Path, iopub: Path, most_bytes: int) -> None:
        self._shell = _Channel("shell", shell, "DEALER", most_bytes)
        self._iopub = _Channel("iopub", iopub, "SUB", most_bytes)
        self._requests = (
            bytearray()
        )  # until the kernel knows that we listen to what it says of them
        self._ended = False
        self._waiting: asyncio.Future[None] | None = None
        self._watched: list[int] = []
        self.backlog = False  # whether the last turn ended before everything was read
        self.spoke = False  # whether anything came in it, were it a part of a message

    @property
    def closed(self) -> bool:
        """Whether nothing more will be said; what was said before may still have to be read."""
        return self._ended or self._shell.closed or self._iopub.closed

    def send(self, frames: Sequence[bytes]) -> None:
        """Have a request sent on shell: what the kernel does not take at once goes out during `receive`."""
        self._requests += zmtp.encode(frames)
        self._flush()

    async def receive(self, seconds: float, pause: float = PAUSE) -> Received:
        """What came after at most `seconds`; may be nothing. Where more was there, not before `pause` seconds."""
        if self.backlog:
            await asyncio.sleep(pause)
        if not self.closed:
            await self._readable(seconds)
        return self.received()

    def received(self) -> Received:
        """What is here already, as far as one turn goes."""
        until = time.perf_counter() + _TURN
        self.backlog = self.spoke = False
        came: list[tuple[ChannelName, zmtp.Multipart]] = []
        pieces = 0
        for channel in (self._shell, self._iopub):
            while not self.backlog and channel.readable():
                self.spoke = True
                came.extend((channel.name, message) for message in channel.read())
                pieces += 1
                self.backlog = (
                    time.perf_counter() > until
                    or len(came) >= _MOST_MESSAGES
                    or pieces >= _MOST_PIECES
                )
        self._flush()
        return came

    def hang_up(self) -> None:
        """The kernel has ended, whatever its sockets say: a stray process of it may hold them open."""
        self._ended = True
        self._wake()

    def close(self) -> None:
        """Close the host's ends; a second time is harmless, and whoever waits in `receive` need not wait longer."""
        self._unwatch()
        self.hang_up()
        self._shell.close()
        self._iopub.close()

    def _flush(self) -> None:
        """The subscription goes out first: a kernel throws away what it says while nobody has subscribed."""
        self._iopub.flush()
        if not self._iopub.outbox or self._iopub.closed:
            self._shell.outbox += self._requests
            self._requests.clear()
        self._shell.flush()

    async def _readable(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        timer = loop.call_later(max(0.0, seconds), self._wake)
        self._watch()
        try:
            await self._waiting
        finally:
            timer.cancel()
            self._unwatch()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for channel in (self._shell, self._iopub):
            descriptor = channel.socket.fileno()
            loop.add_reader(descriptor, self._wake)
            if channel.may_send:
                loop.add_writer(descriptor, self._wake)
            self._watched.append(descriptor)

    def _unwatch(self) -> None:
        """Before a socket is closed: its number may be another's afterwards."""
        loop = asyncio.get_running_loop()
        while self._watched:
            descriptor = self._watched.pop()
            loop.remove_writer(descriptor)
            loop.remove_reader(descriptor)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class _Channel:
    """One socket to a path, and what of a message has come over it."""

    def __init__(self, name: ChannelName, path: Path, socket_type: str, most_bytes: int) -> None:
        self.name: ChannelName = name
        self.closed = False
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._decoder = zmtp.Decoder(most_bytes)
        self._piece = b""
        self.outbox = bytearray(zmtp.SUBSCRIPTION if socket_type == "SUB" else b"")
        try:
            self.socket.connect(str(path))
            self.socket.sendall(zmtp.hello(socket_type))
        except OSError:  # nobody listens there any more
            self.close()

    @property
    def may_send(self) -> bool:
        """Whether there is something to send, and a peer that shook hands."""
        return bool(self.outbox) and self._decoder.ready and not self.closed

    def flush(self) -> None:
        """Send as much of the outbox as goes."""
        if self.may_send:
            try:
                del self.outbox[: self.socket.send(self.outbox)]
            except BlockingIOError:
                pass
            except OSError:  # reading will see the end, after what was said before it
                self.outbox.clear()

    def readable(self) -> bool:
        """Take the next piece out of the socket; whether there was one."""
        if self.closed:
            return False
        try:
            self._piece = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            self._piece = b""
        if not self._piece:
            self.close()
        return bool(self._piece)

    def read(self) -> Sequence[zmtp.Multipart]:
        """The messages that the piece completes."""
        try:
            return list(self._decoder.feed(self._piece))
        except zmtp.NotZmtp:
            self.close()
            return []

    def close(self) -> None:
        self.closed = True
        self.socket.close()
