"""What the reader of the demo sees: chapters, what was said and run, ticks and crosses, the lists at the end.

Text comes in fragments of any size and is laid out in blocks as it comes, each with its speaker in the margin. What a
model, a program or a file says is shown without control characters, so it cannot write over the terminal. It judges
nothing and knows no API.
"""

import sys
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import cast

from rich.console import Console
from rich.status import Status

from local_assistants.cli.output import stdout

_MARGIN = 11  # columns of the speaker's name
_STYLES = {"you": "bold", "code": "dim", "output": "dim", "call": "dim", "note": "yellow"}
_BARRED = {"code", "output"}


def printable(text: str) -> str:
    """`text` with line ends and tabs kept, other white space as blanks, and control characters gone."""
    unix = text.replace("\r\n", "\n")
    kept = (c if c.isprintable() or c in "\n\t" else " " if c.isspace() else "" for c in unix)
    return "".join(kept)


class Narrator:
    """Writes to `console`. A block is open while fragments of one speaker arrive."""

    def __init__(self, console: Console | None = None) -> None:
        if isinstance(out := cast(object, sys.stdout), TextIOWrapper):
            out.reconfigure(errors="replace")  # for a terminal that has no tick mark
        self._console = console if console is not None else stdout()
        self._speaker = ""
        self._at_line_start = True
        self._waiting: Status | None = None

    def chapter(self, title: str, summary: str) -> None:
        """A heading and a sentence on what is going to happen."""
        self.end_block()
        self._print("")
        self._print(title, style="bold cyan")
        if summary:
            self._print(summary)
        self._print("")

    def line(self, text: str, style: str = "") -> None:
        """A line of the narrator's own."""
        self.end_block()
        self._print(f"  {printable(text)}", style=style)

    def say(self, speaker: str, text: str) -> None:
        """A whole block: `you`, `assistant`, `code`, `output`, `call`, `source`, `note`."""
        self.end_block()
        self.stream(speaker, text)
        self.end_block()

    def stream(self, speaker: str, fragment: str) -> None:
        """A fragment of a block; another speaker opens another block."""
        self._stop_waiting()
        if speaker != self._speaker:
            self.end_block()
            fragment = fragment.lstrip("\n")
        for piece in printable(fragment).splitlines(keepends=True):
            self._fragment(speaker, piece)

    def check(self, ok: bool, text: str, detail: str = "") -> None:
        """A tick or a cross, what was checked, and what was seen."""
        self.end_block()
        mark, style = ("✓", "green") if ok else ("✗", "bold red")
        self._console.print(f"  {mark} ", style=style, end="")
        self._print(printable(text if not detail else f"{text}: {detail}"))

    @contextmanager
    def waiting(self, what: str) -> Generator[None]:
        """Show on a terminal that something goes on, until the first output or the end of the block."""
        if self._console.is_terminal:
            self._waiting = self._console.status(f"{what} …", spinner="dots")
            self._waiting.start()
        try:
            yield
        finally:
            self._stop_waiting()

    def durations(self, rows: Iterable[tuple[str, float]]) -> None:
        """How long each step took; (what, seconds)."""
        known = list(rows)
        self.line("How long it took, in seconds:")
        for what, seconds in [*known, ("together", sum(seconds for _, seconds in known))]:
            self._print(f"    {printable(what):<52}{seconds:>7.1f}")
        self._print("")

    def files(self, folder: Path, rows: Iterable[tuple[str, str]]) -> None:
        """Where the files are; (name, what it is)."""
        self.line(f"Files in {folder}:")
        for name, what in rows:
            self._print(f"    {name:<26}{what}")
        self._print("")

    def _fragment(self, speaker: str, piece: str) -> None:
        if not self._speaker:
            self._speaker = speaker
            self._margin(speaker)
        elif self._at_line_start:
            self._margin("")
        style = _STYLES.get(speaker, "")
        self._console.print(piece.rstrip("\n"), style=style, end="", markup=False)
        self._at_line_start = piece.endswith("\n")
        if self._at_line_start:
            self._print("")

    def _margin(self, label: str) -> None:
        bar = "│ " if self._speaker in _BARRED else ""
        self._console.print(f"  {label:<{_MARGIN}}{bar}", style="dim", end="", markup=False)
        self._at_line_start = False

    def end_block(self) -> None:
        """What comes next opens a block of its own, whoever speaks."""
        self._stop_waiting()
        if self._speaker and not self._at_line_start:
            self._print("")
        self._speaker = ""
        self._at_line_start = True

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(text, style=style, markup=False)


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started
