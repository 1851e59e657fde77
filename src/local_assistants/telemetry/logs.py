"""How log lines are written: as text for people or as JSON for programs, with the ids of what a line belongs to.

A line is one line: what clients or models wrote cannot begin another one, in JSON nor in text; a traceback follows its
line indented. What is logged, and when, is not known here.
"""

import json
import logging
import sys
import time
from enum import StrEnum
from typing import Any, TextIO

from local_assistants.engine.log_context import ids_at_hand

OURS = "local_assistants"
"""The logger above all of ours; what other packages log is shown from warnings on."""

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


class LogFormat(StrEnum):
    """What a line looks like."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which gravity on lines are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Ids(logging.Filter):
    """Puts the ids of the work at hand on each record; it runs where the line was logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never refuses one."""
        record.ids = ids_at_hand()
        return True


class TextLines(logging.Formatter):
    """`2026-11-24T03:08:22Z WARNING local_assistants.run: message (run_id=... thread_id=...)`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it, indented, the traceback if there is one."""
        belongs = " ".join(f"{key}={value}" for key, value in _ids(record).items())
        message = record.getMessage().translate(_CONTROL)
        line = f"{_time(record)} {record.levelname} {record.name}: {message}"
        if belongs:
            line += f" ({belongs.translate(_CONTROL)})"
        stack = _stack(self, record)
        return line + "".join(
            f"\n    {each.translate(_CONTROL)}"
            for each in stack.replace("\r", "").split("\n")
            if each
        )


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message, ids, the line's own fields, the error if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Everything on one line, in ASCII."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_ids(record),
            **getattr(record, "fields", {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            line["error"] = {
                "type": type(error).__name__,
                "message": str(error),
                "stack": _stack(self, record),
            }
        return json.dumps(line, default=str)


def write_logs(
    style: LogFormat = LogFormat.TEXT,
    level: LogLevel = LogLevel.WARNING,
    out: TextIO | None = None,
) -> logging.Handler:
    """Have everything that is logged in this process written to `out`, by default stderr.

    Returns the handler, which the root logger has from now on instead of those it had.
    """
    handler = logging.StreamHandler(out or sys.stderr)
    handler.addFilter(_Ids())
    handler.setFormatter(JsonLines() if style is LogFormat.JSON else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger(OURS).setLevel(level.upper())
    return handler


def _ids(record: logging.LogRecord) -> dict[str, str]:
    return dict(getattr(record, "ids", {}))


def _time(record: logging.LogRecord) -> str:
    moment = time.gmtime(record.created)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{int(record.msecs):03d}Z"


def _stack(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return formatter.formatException(record.exc_info)
