"""What one call said, collected twice: streamed to the API with a cap, and cut to what the model can afford to read.

It gets outputs one by one and calls back for what is to be shown. It knows no kernel and stores no file.
"""

from collections.abc import Awaitable, Callable, Sequence

from .advice import hints
from .isolation.limits import Limits
from .kernels.outputs import Failure, Lost, Output, Picture, Text

SendLogs = Callable[[str], Awaitable[None]]
SendPicture = Callable[[Picture], Awaitable[None]]

_NOTES_CHARS = 4_000  # of one call; hostile output can cause many
_CHARS_PER_TOKEN = 3  # of program output: numbers and punctuation make short tokens


class Transcript:
    """Collects the outputs of one call."""

    def __init__(self, limits: Limits, send_logs: SendLogs, send_picture: SendPicture) -> None:
        self._limits = limits
        self._send_logs = send_logs
        self._send_picture = send_picture
        self._room = limits.log_chars
        self._notes_room = _NOTES_CHARS
        self._pieces: list[str] = []
        self.pictures = 0
        self.failure: Failure | None = None
        self.lost: Lost | None = None

    @property
    def text(self) -> str:
        """All text but tracebacks, as far as it was kept."""
        return "".join(self._pieces)

    async def add(self, output: Output) -> None:
        """Take one output; shows it at once."""
        if isinstance(output, Text) and output.kind == "note":
            await self._note(output.text)
        elif isinstance(output, Text):
            await self._log(output.text, keep=True)
        elif isinstance(output, Picture):
            await self._show(output)
        elif isinstance(output, Failure):
            self.failure = output
            await self._log(output.traceback or hints.summary(output), keep=False)
        else:
            self.lost = output
            await self._note(output.text + "\n")

    async def _show(self, picture: Picture) -> None:
        self.pictures += 1
        if self.pictures <= self._limits.images:
            await self._send_picture(picture)
        elif self.pictures == self._limits.images + 1:
            await self._note(f"[only the first {self._limits.images} pictures are kept]\n")

    async def _note(self, text: str) -> None:
        """Words of ours have room of their own: why a flood of output was ended is told behind it."""
        piece = text[: self._notes_room]
        self._notes_room -= len(piece)
        if piece:
            self._pieces.append(piece)
            await self._send_logs(piece)

    async def _log(self, text: str, *, keep: bool) -> None:
        if self._room <= 0:
            return
        piece = text[: self._room]
        self._room -= len(piece)
        if self._room <= 0:
            piece += f"\n[output ends here: more than {self._limits.log_chars} characters]\n"
        if keep:
            self._pieces.append(piece)
        await self._send_logs(piece)


def for_model(text: str, notes: Sequence[str], *, tokens: int, limits: Limits) -> str:
    """Output and notes within the model's budget: the middle of long output goes first, notes stay."""
    tail = "\n".join(note for note in notes if note)
    room = max(200, min(limits.model_chars, tokens * _CHARS_PER_TOKEN) - len(tail))
    body = shorten(_as_seen(text).strip(), room)
    return "\n".join(part for part in (body, tail) if part)


def _as_seen(text: str) -> str:
    """Of lines that were written over, as progress bars are, what is left to see."""
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def shorten(text: str, room: int) -> str:
    """`text`, or its beginning and end with a note of how much is left out."""
    if len(text) <= room:
        return text
    head = room * 2 // 3
    tail = room - head
    return f"{text[:head]}\n[... {len(text) - room} characters left out ...]\n{text[-tail:]}"
