"""Shows on stderr how models are loaded and unloaded: percents on a terminal meanwhile, a line for what came of it.

A log gets the lines only. Why a load failed is told by the log message that goes with it; when no model is left to
answer, a line after that message says what it means.
"""

import asyncio
import sys
from types import TracebackType
from typing import TextIO

from local_assistants.engine.observer import Observer
from local_assistants.engine.ports import ModelStatus

_CLEAR = "\r\x1b[K"
_NOBODY = (
    "No model answers yet: runs fail with this reason until it is mended. Each run tries again, and GET /readyz says "
    "when a model is there."
)


class ModelLines(Observer):
    """Listens to one engine.

    Args:
        out: where to write; by default stderr.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._terminal = self._out.isatty()
        self._shown = False  # a percent is on the terminal's last line
        self._ready: set[str] = set()
        self._warned = False

    def __enter__(self) -> "ModelLines":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.wipe()

    def model_changed(self, status: ModelStatus) -> None:
        """Show it."""
        if status.state == "loading":
            self._percent(f"loading {status.name}: {status.progress:.0%}")
            return
        self.wipe()
        if status.state == "ready":
            self._ready.add(status.name)
            self._warned = False
            detail = f": {status.detail}" if status.detail else ""
            self._line(f"{status.name} is loaded{detail}")
        elif status.name in self._ready:
            self._ready.discard(status.name)
            self._line(f"{status.name} is unloaded")
        elif status.state == "failed" and not self._ready and not self._warned:
            self._warned = True
            self._after_the_message(_NOBODY)

    def _after_the_message(self, text: str) -> None:
        """A line that comes after the log's, which is written once all observers have heard of the failure."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside an engine nobody logs anything
            self._line(text)
        else:
            loop.call_soon(self._line, text)

    def _percent(self, text: str) -> None:
        if self._terminal:
            self._out.write(f"{_CLEAR}{text}")
            self._out.flush()
            self._shown = True

    def _line(self, text: str) -> None:
        self._out.write(f"{text}\n")
        self._out.flush()

    def wipe(self) -> None:
        """Take the percents away, for others to write there."""
        if self._shown:
            self._out.write(_CLEAR)
            self._out.flush()
            self._shown = False
