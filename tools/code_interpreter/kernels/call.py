"""One call: a request that was sent, and what the kernel says of it until it is over.

A call is over with the kernel's reply and its idle message. The idle message may be lost when output came faster
than the kernel could send it, so after the reply the end of all output is enough. Messages are untrusted: only those
that name this call's request count, and a forged reply or idle message at worst ends the call of the code that forged
it.

It does not know how a kernel is started, interrupted or replaced: it says when time is up, and others act.
"""

import asyncio
from collections.abc import Iterator, Sequence

from . import messages, outputs
from .connection import PAUSE, ChannelName, Connection, Received
from .outputs import Output, Text

_LONG_PAUSE = 0.032  # seconds between turns of reading what nobody keeps: a flood gets a sixteenth of the loop
_IDLE_PATIENCE = 3.0  # seconds without a byte after the reply: then the idle message was lost


class Call:
    """A request, which may take `seconds` once the kernel has begun with it.

    Attributes:
        deadline: the end of patience with what is awaited next, on the event loop's clock.
        begun: whether the kernel said anything of it.
        interrupted: for whoever interrupts it to note.
    """

    def __init__(
        self,
        connection: Connection,
        request: messages.Request,
        *,
        seconds: float,
        headstart: float,
        most: int,
    ) -> None:
        """Args beside the obvious ones.

        headstart: seconds that a kernel which still has to come up may take before it begins.
        most: characters and messages that are worth reading at once; more can wait for others, until the reply came.
        """
        self._connection = connection
        self._request = request
        self._seconds = seconds
        self._worth = most
        self._replied = self._idle = self._left_out = False
        self._end = self.deadline = now() + seconds + headstart
        self.begun = False
        self.interrupted = False

    @property
    def over(self) -> bool:
        """Whether nothing more is awaited."""
        return self._replied and self._idle

    @property
    def late(self) -> bool:
        """Whether patience is at its end."""
        return now() >= self.deadline

    @property
    def cut_off(self) -> bool:
        """Whether it is not over and never will be: nothing more can come."""
        return self._connection.closed and not self._connection.backlog and not self.over

    def send(self) -> None:
        """Send the request."""
        self._connection.send(self._request.frames)

    async def listen(self) -> Sequence[Output]:
        """What comes next, perhaps nothing: then look whether the call is late, or the connection is closed."""
        hurried = self._replied or self._worth > 0
        received = await self._connection.receive(
            self.deadline - now(), PAUSE if hurried else _LONG_PAUSE
        )
        found = list(_joined(self._outputs(received)))
        self._worth -= len(received) + sum(len(one.text) for one in found if isinstance(one, Text))
        if self._replied and self._connection.spoke:
            self.deadline = min(now() + _IDLE_PATIENCE, self._end)
        if self._replied and not self._idle and self.late:
            self.end()
            found.append(Text("[some output came too fast and was left out]\n", "note"))
        return found

    def grant(self, seconds: float) -> None:
        """Wait for that long from now on, whatever was granted before."""
        self._end = self.deadline = now() + seconds

    def end(self) -> None:
        """Nothing more is awaited."""
        self._replied = self._idle = True

    def _outputs(self, received: Received) -> Iterator[Output]:
        for channel, multipart in received:
            message = messages.read(multipart)
            if message is not None and message.request == self._request.name:
                yield from self._take(channel, message)

    def _take(self, channel: ChannelName, message: messages.Message) -> Iterator[Output]:
        if not self.begun:  # only now does the code begin, whatever the start took
            self.begun = True
            if not self.interrupted:
                self.grant(self._seconds)
        if channel == "shell":
            self._replied = self._replied or message.kind == "execute_reply"
        elif message.content is None:
            if not self._left_out:
                yield Text("[some output was too large and was left out]\n", "note")
            self._left_out = True
        elif message.kind == "status":
            self._idle = self._idle or message.content.get("execution_state") == "idle"
        else:
            yield from outputs.read(message.kind, message.content)


def _joined(found: Iterator[Output]) -> Iterator[Output]:
    """The same with runs of one kind of text made one: a flood of tiny prints costs those who store it little."""
    run: list[Text] = []
    for output in found:
        if run and not (isinstance(output, Text) and output.kind == run[0].kind):
            yield _one(run)
            run = []
        if isinstance(output, Text):
            run.append(output)
        else:
            yield output
    if run:
        yield _one(run)


def _one(run: Sequence[Text]) -> Text:
    return Text("".join(piece.text for piece in run), run[0].kind)


def now() -> float:
    """The event loop's clock, in seconds."""
    return asyncio.get_running_loop().time()
