"""Shows on stderr how models are loaded and unloaded: percents on a terminal meanwhile, a line for what came of it.

A log gets the lines only. Why a load failed is told by the log message that goes with it.
"""

import sys
from types import TracebackType
from typing import TextIO

from local_assistants.engine.observer import Observer
from local_assistants.engine.ports import ModelStatus

_CLEAR = "\r\x1b[K"


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
            detail = f": {status.detail}" if status.detail else ""
            self._line(f"{status.name} is loaded{detail}")
        elif status.name in self._ready:
            self._ready.discard(status.name)
            self._line(f"{status.name} is unloaded")

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
