"""What the library wants of its worker process: calls, each until it is answered, whatever becomes of the process.

A call can be handed to another process at any time; what a dead one had said of it is forgotten then.
"""

import asyncio
from typing import Any

from ....engine.errors import AssistantsError
from .frames import FrameError, Message, chunks_of, fault_of, frame, vectors_of
from .worker import Extracted, ExtractedChunk


class Call:
    """A question to the process.

    Args:
        key: its number.
        message: what to ask.
        count: vectors that the answer has; None: it is the chunks of a file.

    Attributes:
        answer: what became of it.
        sent: whether the process that lives knows of it.
        suspect: a process died while it was at work on this, maybe because of it.
    """

    def __init__(self, key: int, message: Message, count: int | None = None) -> None:
        self.key = key
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.sent = False
        self.suspect = False
        self._frame = frame({**message, "key": key})
        self._count = count
        self._chunks: list[ExtractedChunk] = []

    @property
    def is_file(self) -> bool:
        """Whether it reads a file."""
        return self._count is None

    def ask(self) -> bytes:
        """The frame that asks for it."""
        self.sent = True
        return self._frame

    def forget(self) -> None:
        """The process that was asked is dead."""
        self.sent = False
        self._chunks = []

    def take(self, message: Message, payload: bytes) -> None:
        """What the process says of it.

        Raises:
            FrameError: it never should have said that.
        """
        if self.answer.done():
            return
        if "fault" in message:
            self.answer.set_exception(fault_of(message))
        elif "part" in message and self.is_file:
            self._chunks += chunks_of(message["part"])
        elif "done" not in message:
            raise FrameError("it answered a question with something else")
        elif self._count is None:
            self.answer.set_result(self._extracted(message))
        else:
            self.answer.set_result(vectors_of(payload, self._count))

    def fail(self, error: AssistantsError) -> None:
        """It will not be answered."""
        if not self.answer.done():
            self.answer.set_exception(error)

    def _extracted(self, message: Message) -> Extracted:
        try:
            unreadable = tuple(int(page) for page in message["unreadable"])
            return Extracted(int(message["done"]), tuple(self._chunks), unreadable)
        except (KeyError, TypeError, ValueError):
            raise FrameError("it sent a malformed answer") from None
