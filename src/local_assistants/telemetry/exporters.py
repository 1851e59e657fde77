"""Where spans go: a collector by OTLP over HTTP, a file, stderr.

Spans are sent in the background, in batches. A place that cannot be reached costs runs nothing: spans are dropped, and
the log says so once until it can be reached again.
"""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import httpx
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from local_assistants.engine.errors import StorageFault

_log = logging.getLogger("local_assistants.telemetry")
_SECONDS = 5.0  # for one batch
_HEADERS = {"content-type": "application/x-protobuf"}


class OtlpExporter(SpanExporter):
    """Posts spans to `url` as OTLP/HTTP's protobuf. No proxy and no redirect leads elsewhere."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(timeout=_SECONDS, trust_env=False, headers=_HEADERS)
        self._failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        try:
            body = encode_spans(spans).SerializeToString()
            answer = self._client.post(self._url, content=body)
            problem = "" if answer.is_success else f"it answered {answer.status_code}"
        except httpx.HTTPError as error:
            problem = str(error) or type(error).__name__
        if problem and not self._failing:
            _log.warning("traces cannot be sent to %s and are dropped: %s", self._url, problem)
        elif self._failing and not problem:
            _log.warning("traces are sent to %s again", self._url)
        self._failing = bool(problem)
        return SpanExportResult.FAILURE if problem else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the connection."""
        self._client.close()


class LineExporter(SpanExporter):
    """Writes each span as one line of JSON. `out` is closed with it when it is a file of its own."""

    def __init__(self, out: TextIO, *, own: bool) -> None:
        self._out = out
        self._own = own
        self._failing = False

    @classmethod
    def to_file(cls, path: Path) -> "LineExporter":
        """To the end of a file that its owner alone can read.

        Raises:
            StorageFault: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise StorageFault(
                f"Traces cannot be written to {path}: {error.strerror}. Name another file at [telemetry] file."
            ) from error
        return cls(os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace"), own=True)

    @classmethod
    def to_console(cls) -> "LineExporter":
        """To stderr; stdout is for the server's address."""
        return cls(sys.stderr, own=False)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Write them."""
        try:
            self._out.writelines(f"{span.to_json(indent=None)}\n" for span in spans)
            self._out.flush()
        except (OSError, ValueError) as error:  # a full disk; a stream that was closed
            if not self._failing:
                _log.warning("traces cannot be written and are dropped: %s", error)
            self._failing = True
            return SpanExportResult.FAILURE
        self._failing = False
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Close the file."""
        if not self._own:
            return
        try:
            self._out.close()
        except OSError as error:
            _log.warning("traces cannot be written and are dropped: %s", error)
