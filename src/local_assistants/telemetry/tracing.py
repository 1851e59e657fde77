"""Traces for the length of an engine's life, as the settings want them; without any, OpenTelemetry is not imported."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from local_assistants.engine.errors import InvalidRequest, MissingDependency
from local_assistants.engine.observer import Observer
from local_assistants.telemetry.settings import TelemetrySettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

_log = logging.getLogger("local_assistants.telemetry")
_EVERY = 1000  # milliseconds between two batches
_MOST = 8192  # spans that wait to be sent; beyond that the newest are dropped
_LAST_WORDS = 3.0  # seconds for the last batch when the engine is closed
_MISSING = (
    "Traces need OpenTelemetry's SDK, which is not installed: pip install 'local-assistants[telemetry]', or set "
    '[telemetry] traces = "off".'
)


@asynccontextmanager
async def traced(settings: TelemetrySettings, data: Path) -> AsyncGenerator[Sequence[Observer]]:
    """The observers that make spans, none when they are off. At the end, what was not sent yet is.

    Raises:
        InvalidRequest: the settings name no place, or one that does not exist.
        MissingDependency: OpenTelemetry is not installed.
        StorageFault: the file cannot be written.
    """
    if settings.traces == "off":
        yield ()
        return
    try:
        provider, spans = _opened(settings, data)
    except ImportError as error:
        raise MissingDependency(_MISSING) from error
    try:
        yield (spans,)
    finally:
        await asyncio.to_thread(_shut, provider)


def _exporter(settings: TelemetrySettings, data: Path) -> "SpanExporter":
    from local_assistants.telemetry.exporters import LineExporter, OtlpExporter

    if settings.traces == "otlp":
        return OtlpExporter(settings.traces_url)
    if settings.traces == "console":
        return LineExporter.to_console()
    if settings.traces == "file":
        file = data / "traces.jsonl" if settings.file is None else Path(settings.file).expanduser()
        return LineExporter.to_file(file)
    known = ", ".join(TelemetrySettings.CHOICES["traces"])
    raise InvalidRequest(f"[telemetry] traces must be one of {known}, not {settings.traces!r}.")


def _opened(settings: TelemetrySettings, data: Path) -> "tuple[TracerProvider, Observer]":
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    from local_assistants.telemetry.spans import RunSpans, TraceIds

    exporter, ids = _exporter(settings, data), TraceIds()
    version = metadata.version("local-assistants")
    named = {"service.name": settings.service_name, "service.version": version}
    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.sample)),
        resource=Resource.create(named),
        shutdown_on_exit=False,  # the engine's own end does it, and waits for nothing longer than it says
        id_generator=ids,
    )
    batches = BatchSpanProcessor(exporter, max_queue_size=_MOST, schedule_delay_millis=_EVERY)
    provider.add_span_processor(batches)
    return provider, RunSpans(provider, ids, content=settings.content)


def _shut(provider: "TracerProvider") -> None:
    """Send what is left, in a thread that may be left behind: a collector that hangs holds up no end."""
    ending = threading.Thread(target=provider.shutdown, name="telemetry-end", daemon=True)
    ending.start()
    ending.join(_LAST_WORDS)
    if ending.is_alive():
        _log.warning("the last traces could not be sent in %g seconds and are dropped", _LAST_WORDS)
