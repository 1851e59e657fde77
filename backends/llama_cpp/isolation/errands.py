"""What the host wants of the model process: turns and calls, each until it is done, whatever becomes of the process.

An errand knows how to ask for what is still to be done, so it can be handed to another process at any time. For that a
turn keeps the tokens of its answer so far. It has a bounded queue for its reader: the process may send so many
fragments as there is room for (its credit), and more as they are read.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ....engine.errors import AssistantsError
from ..outlet import is_last
from ..turn import Fragment
from .messages import fragment_of, with_request
from .wire import Message, WireError, frame

Send = Callable[[bytes], None]


class Call:
    """A question with one answer."""

    def __init__(self, key: int, message: Message, request: bytes | None = None) -> None:
        self.key = key
        self._message = message | {"key": key}
        self._request = request
        self._answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def held_up(self) -> bool:
        """Whether the process is to blame for nothing, because it waits for us."""
        return False

    def ask(self) -> bytes:
        """The frame that asks for it."""
        if self._request is None:
            return frame(self._message)
        return with_request(self._message, self._request)

    def take(self, message: Message) -> bool:
        """What the process says of it; True when it is done.

        Raises:
            WireError: it never should have said that.
        """
        if message["kind"] != "done":
            raise WireError("it answered a question with a part of a turn")
        if not self._answer.done():
            self._answer.set_result(message.get("value"))
        return True

    def fail(self, error: AssistantsError) -> None:
        """It will not be answered."""
        if not self._answer.done():
            self._answer.set_exception(error)

    async def answer(self) -> Any:
        """The answer, as JSON.

        Raises:
            AssistantsError: what became of it instead.
        """
        return await self._answer


class Turn:
    """A turn and what of it was said so far.

    Args:
        key: its number.
        request: the request, written.
        said: the tokens to go on after.
        window: fragments that may be on their way or unread.
    """

    def __init__(self, key: int, request: bytes, said: tuple[int, ...], window: int) -> None:
        self.key = key
        self._request = request
        self._said = list(said)
        self._window = window
        self._credit = 0  # fragments that the process may still send
        self._read = 0  # since it was last told
        self._unread: deque[Fragment | AssistantsError] = deque()
        self._news = asyncio.Event()

    @property
    def held_up(self) -> bool:
        """Whether the process has to wait for the reader."""
        return self._credit == 0

    def ask(self) -> bytes:
        """The frame that asks for the rest of it."""
        self._credit, self._read = self._window - len(self._unread), 0
        message = {"kind": "ask", "key": self.key, "said": self._said, "credit": self._credit}
        return with_request(message, self._request)

    def take(self, message: Message) -> bool:
        """A fragment; True when it is the last.

        Raises:
            WireError: it is malformed, or more than there is room for.
        """
        if message["kind"] != "fragment" or self._credit == 0:
            raise WireError("it sent what nobody asked for")
        fragment = fragment_of(message)
        self._credit -= 1
        self._said += fragment.tokens
        self._put(fragment)
        return is_last(fragment)

    def fail(self, error: AssistantsError) -> None:
        """It ends with an error, after what was said."""
        self._put(error)

    async def next(self, send: Send) -> Fragment:
        """The next fragment; as there is room again, the process may send more.

        Raises:
            AssistantsError: what the turn ended with.
        """
        while not self._unread:
            self._news.clear()
            await self._news.wait()
        item = self._unread.popleft()
        if isinstance(item, AssistantsError):
            raise item
        self._read += 1
        if self._read >= self._window // 2:
            send(frame({"kind": "credit", "key": self.key, "more": self._read}))
            self._credit, self._read = self._credit + self._read, 0
        return item

    def _put(self, item: Fragment | AssistantsError) -> None:
        self._unread.append(item)
        self._news.set()


Errand = Call | Turn
