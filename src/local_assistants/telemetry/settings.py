"""What can be set of traces; docs/observability.md explains it."""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import urlsplit

from local_assistants.engine.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class TelemetrySettings:
    """The table `[telemetry]` of the settings file.

    Attributes:
        traces: where spans go: "off"; "otlp", to a collector; "file", a line of JSON each; "console", to stderr so.
        endpoint: the collector, by its OTLP/HTTP address; "/v1/traces" is added where it names no path.
        file: the file, by path; without one: traces.jsonl in the data folder.
        content: prompts, answers, arguments and outputs of tools go along. They are what users wrote.
        sample: the share of runs that is traced, 0 to 1; of a run, all or nothing.
        service_name: what the server is called in traces.
    """

    CHOICES: ClassVar[dict[str, tuple[str, ...]]] = {"traces": ("off", "otlp", "file", "console")}
    BOUNDS: ClassVar[dict[str, tuple[float, float]]] = {"sample": (0, 1)}

    traces: str = "off"
    endpoint: str = "http://127.0.0.1:4318"
    file: str | None = None
    content: bool = False
    sample: float = 1.0
    service_name: str = "local-assistants"

    @property
    def traces_url(self) -> str:
        """Where spans are posted.

        Raises:
            InvalidRequest: the endpoint is no HTTP address.
        """
        try:
            parts = urlsplit(self.endpoint)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname)
            usable = usable and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise InvalidRequest(
                f"[telemetry] endpoint is no HTTP address: {self.endpoint!r}. Write one such as "
                "'http://127.0.0.1:4318'; gRPC is not spoken."
            )
        if urlsplit(self.endpoint).path in ("", "/"):
            return self.endpoint.rstrip("/") + "/v1/traces"
        return self.endpoint
