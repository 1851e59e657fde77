"""Where spans go: to a collector, to a file, nowhere; and what becomes of them when that place cannot be reached."""

import json
import logging
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from local_assistants.assemble import Engine, Settings
from local_assistants.engine import requests
from local_assistants.engine.errors import InvalidRequest, StorageFault
from local_assistants.settings_file import read_settings_file
from local_assistants.telemetry.settings import TelemetrySettings

NAMES = ["chat scripted", "invoke_agent"]


class Collector:
    """A collector of OTLP/HTTP on this machine: remembers what it is sent; `gate`, when clear, holds answers back."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, ExportTraceServiceRequest]] = []
        self.status = 200
        self.gate = threading.Event()
        self.gate.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.sent.append((self.path, ExportTraceServiceRequest.FromString(body)))
                collector.gate.wait(60)
                self.send_response(collector.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Nothing on the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def names(self) -> list[str]:
        """Of all spans, sorted."""
        return sorted(
            span.name
            for _, request in self.sent
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        )

    def close(self) -> None:
        """Let go of whoever waits, and of the port."""
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that listens."""
    made = Collector()
    yield made
    made.close()


async def run_once(folder: Path, telemetry: TelemetrySettings) -> str:
    """The status of one run of an engine with these settings, which is closed then."""
    script = folder / "script.yaml"
    script.write_text('turns: [{text: "Hello."}]')
    settings = Settings(model=f"scripted:{script}", data=folder / "data", telemetry=telemetry)
    async with Engine.open(settings) as engine:
        services = engine.services
        body = requests.CreateAssistant.model_validate({"model": "scripted"})
        assistant = await services.assistants.create(body)
        thread = await services.threads.create(requests.CreateThread.model_validate({}))
        wanted = requests.CreateRun.model_validate({"assistant_id": assistant.id})
        run = await services.runs.create(thread.id, wanted)
        async for _ in services.runs.stream(run.id):
            pass
        return (await services.runs.get(thread.id, run.id)).status


async def test_a_collector_is_sent_the_spans(tmp_path: Path, collector: Collector) -> None:
    """As protobuf, at the path of the specification, with the name of the service; the last ones at the end."""
    telemetry = TelemetrySettings(traces="otlp", endpoint=collector.url, service_name="mine")
    assert "completed" == await run_once(tmp_path, telemetry)
    path, request = collector.sent[0]
    resource = {
        each.key: each.value.string_value for each in request.resource_spans[0].resource.attributes
    }
    assert ("/v1/traces", NAMES, "mine") == (path, collector.names, resource["service.name"])


async def test_a_file_gets_a_line_a_span(tmp_path: Path) -> None:
    """In the data folder, at its end, for its owner's eyes only."""
    for _ in range(2):
        await run_once(tmp_path, TelemetrySettings(traces="file"))
    file = tmp_path / "data" / "traces.jsonl"
    spans = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(2 * NAMES) == sorted(span["name"] for span in spans)
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


async def test_nothing_is_sent_or_written_unless_told_to(
    tmp_path: Path, collector: Collector
) -> None:
    """An address alone is no order."""
    await run_once(tmp_path, TelemetrySettings(endpoint=collector.url))
    assert ([], []) == (collector.sent, list((tmp_path / "data").glob("traces*")))


async def test_no_run_is_traced_where_none_is_sampled(tmp_path: Path, collector: Collector) -> None:
    """Of a run, all or nothing: no lonely span of a turn comes either."""
    telemetry = TelemetrySettings(traces="otlp", endpoint=collector.url, sample=0.0)
    assert "completed" == await run_once(tmp_path, telemetry)
    assert [] == collector.sent


async def test_a_collector_that_is_not_there_costs_the_traces_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run completes, the log says once where they could not go."""
    gone = Collector()
    gone.close()
    with caplog.at_level(logging.WARNING, "local_assistants.telemetry"):
        status = await run_once(tmp_path, TelemetrySettings(traces="otlp", endpoint=gone.url))
    said = [record.getMessage() for record in caplog.records if "traces" in record.getMessage()]
    assert ("completed", 1) == (status, len(said))
    assert said[0].startswith(f"traces cannot be sent to {gone.url}/v1/traces and are dropped: ")


async def test_a_collector_that_refuses_is_told_of(
    tmp_path: Path, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    """With what it answered."""
    collector.status = 403
    with caplog.at_level(logging.WARNING, "local_assistants.telemetry"):
        await run_once(tmp_path, TelemetrySettings(traces="otlp", endpoint=collector.url))
    assert "it answered 403" in caplog.text


async def test_a_collector_that_hangs_does_not_hold_up_the_end(
    tmp_path: Path, collector: Collector
) -> None:
    """The engine is closed long before the collector answers."""
    collector.gate.clear()
    began = time.monotonic()
    await run_once(tmp_path, TelemetrySettings(traces="otlp", endpoint=collector.url))
    assert time.monotonic() - began < 30
    assert not collector.gate.is_set()


@pytest.mark.parametrize("endpoint", ["127.0.0.1:4318", "grpc://localhost:4317", "", "http://[::1"])
async def test_an_endpoint_that_is_none_ends_the_start(tmp_path: Path, endpoint: str) -> None:
    """Before anything is opened; the message shows one that is."""
    with pytest.raises(InvalidRequest, match=r"'http://127\.0\.0\.1:4318'"):
        await run_once(tmp_path, TelemetrySettings(traces="otlp", endpoint=endpoint))
    assert not (tmp_path / "data").exists()


async def test_a_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    """With the setting that names it."""
    telemetry = TelemetrySettings(traces="file", file=str(tmp_path))
    with pytest.raises(StorageFault, match=r"\[telemetry\] file"):
        await run_once(tmp_path, telemetry)


def test_the_settings_file_sets_all_of_it(tmp_path: Path) -> None:
    """The table's keys are the fields."""
    file = tmp_path / "settings.toml"
    file.write_text(
        '[telemetry]\ntraces = "otlp"\nendpoint = "http://10.0.0.7:4318/x"\ncontent = true\nsample = 0.25\n'
    )
    found = TelemetrySettings(**read_settings_file(file).telemetry)
    wanted = TelemetrySettings("otlp", "http://10.0.0.7:4318/x", content=True, sample=0.25)
    assert (wanted, "http://10.0.0.7:4318/x") == (found, found.traces_url)


@pytest.mark.parametrize("line", ['traces = "jaeger"', "sample = 1.5", 'content = "yes"'])
def test_a_setting_that_makes_no_sense_is_refused(tmp_path: Path, line: str) -> None:
    """With its table and key."""
    file = tmp_path / "settings.toml"
    file.write_text(f"[telemetry]\n{line}\n")
    with pytest.raises(InvalidRequest, match=rf"\[telemetry\]: {line.split(' ')[0]}"):
        read_settings_file(file)


@pytest.mark.parametrize(
    ("traces", "said"), [("off", "opened"), ("console", "local-assistants[telemetry]")]
)
def test_opentelemetry_is_needed_by_who_wants_traces_only(
    tmp_path: Path, traces: str, said: str
) -> None:
    """Where it is not installed, an engine opens without traces, and says how to get it with them."""
    program = (
        "import asyncio, sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from pathlib import Path\n"
        "from local_assistants.telemetry.settings import TelemetrySettings\n"
        "from local_assistants.telemetry.tracing import traced\n"
        "async def main():\n"
        f"    async with traced(TelemetrySettings({traces!r}), Path({str(tmp_path)!r})):\n"
        "        print('opened')\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert said in done.stdout + done.stderr
