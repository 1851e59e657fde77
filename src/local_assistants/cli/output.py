"""What the commands print: results on stdout, progress and errors on stderr.

On a terminal progress is a bar; in a log it is one line every few seconds. Knows nothing of what it shows.
"""

import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

SECONDS_BETWEEN_LINES = 2.0


def stdout() -> Console:
    """The console for results; made anew each time, because tests and pipes replace the stream."""
    # Without a terminal there is no width to fit: a cut path is no use in a log.
    width = None if sys.stdout.isatty() else 200
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width)


def stderr() -> Console:
    """The console for everything that is not a result."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def size(number: int) -> str:
    """Bytes for people, in decimal units as disks and indexes count them."""
    if number >= 1_000_000_000:
        return f"{number / 1e9:.2f} GB"
    return f"{number / 1e6:.0f} MB" if number >= 1_000_000 else f"{number / 1e3:.0f} kB"


class ByteProgress:
    """Shows stages that count bytes; a context manager whose `update` may be called from any thread.

    Args:
        what: the subject, for instance a model's key.
        verbs: stage → the word shown for it.
    """

    def __init__(self, what: str, verbs: dict[str, str]) -> None:
        self._what = what
        self._verbs = verbs
        self._lock = threading.Lock()
        self._stage = ""
        self._printed = 0.0
        self._console = stderr()
        self._bar = self._make_bar() if self._console.is_terminal else None
        self._task = self._bar.add_task("", total=None, visible=False) if self._bar else None

    def _make_bar(self) -> Progress:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
        )
        return Progress(*columns, console=self._console, transient=True)

    def __enter__(self) -> "ByteProgress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` bytes of `stage` are finished."""
        with self._lock:
            text = f"{self._what}: {self._verbs.get(stage, stage)}"
            if self._bar is not None and self._task is not None:
                self._bar.update(
                    self._task, description=text, completed=done, total=total, visible=True
                )
            elif self._is_due(stage):
                self._console.print(f"  {text} {size(done)} of {size(total)}", markup=False)
            self._stage = stage

    def _is_due(self, stage: str) -> bool:
        now = time.monotonic()
        if stage == self._stage and now - self._printed < SECONDS_BETWEEN_LINES:
            return False
        self._printed = now
        return True


@contextmanager
def timed(what: str) -> Generator[None]:
    """Print what was done and how long it took, when it has been done."""
    started = time.monotonic()
    yield
    stderr().print(f"{what} ({time.monotonic() - started:.1f} s)", markup=False)
