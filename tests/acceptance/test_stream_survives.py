"""A stream that a dead server broke off goes on at the next one: nothing is lost, nothing comes twice."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import yaml

A_SECOND, THREE_SECONDS = 60, 180  # words

pytestmark = pytest.mark.slow
SERVE = """
import sys
from pathlib import Path
from local_assistants import Settings, serving
from local_assistants.engine.settings import CoreSettings

core = CoreSettings(lease=1.0, heartbeat=0.2)  # a dead server's runs are taken over after a second
settings = Settings(model=f"scripted:{sys.argv[1]}", data=Path(sys.argv[2]), port=0, drain_seconds=0.5, core=core)
serving.serve(settings, announce=lambda address: print(address, flush=True))
"""

Start = Callable[[int], tuple[httpx.Client, "subprocess.Popen[str]"]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server of its own process on the test's data folder: a client for it, and the process."""
    script = tmp_path / "script.yaml"
    started: list[tuple[httpx.Client, subprocess.Popen[str]]] = []

    def serve(words: int) -> tuple[httpx.Client, "subprocess.Popen[str]"]:
        text = " ".join(f"word{number}" for number in range(words))
        script.write_text(yaml.safe_dump({"turns": [{"text": text, "tokens_per_second": 60}]}))
        command = [sys.executable, "-c", SERVE, str(script), str(tmp_path / "data")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        client = httpx.Client(base_url=f"{address}/v1", timeout=30)
        started.append((client, process))
        return client, process

    yield serve
    for client, process in started:
        client.close()
        process.kill()
        process.communicate()


def speaking(client: httpx.Client, process: "subprocess.Popen[str]", end: signal.Signals) -> bytes:
    """What a client has read of a run's stream when its server ends in mid-answer."""
    assistant = client.post("/assistants", json={"model": "scripted"}).json()
    body = {"assistant_id": assistant["id"], "stream": True}
    read, told = b"", False
    try:
        with client.stream("POST", "/threads/runs", json=body) as answer:
            for chunk in answer.iter_bytes():
                read += chunk
                if b"word5 " in read and not told:
                    process.send_signal(end)
                    told = True  # a second signal would not be as polite as the first
    except httpx.RemoteProtocolError:
        pass  # that is how it looks
    process.wait(30)
    return read


def whole_events(stream: bytes) -> list[bytes]:
    """The events as their bytes; comments and an event that was cut off are left out."""
    return [e + b"\n\n" for e in stream.replace(b": ping\n", b"").split(b"\n\n")[:-1]]


def field(event: bytes, name: bytes) -> bytes:
    """The value of a line of an event."""
    return next(line for line in event.split(b"\n") if line.startswith(name + b": "))[
        len(name) + 2 :
    ]


@pytest.mark.parametrize(
    ("end", "words"), [(signal.SIGKILL, A_SECOND), (signal.SIGTERM, THREE_SECONDS)]
)
def test_the_next_server_goes_on_where_the_last_one_stopped(
    start: Start, end: signal.Signals, words: int
) -> None:
    """Killed or stopped in mid-answer: the rest is the broken step's end, its repetition and the run's end."""
    seen = whole_events(speaking(*start(words), end))
    if end is signal.SIGTERM:
        cut = seen.pop()
        assert b"error" == field(cut, b"event")
        assert b'"code":"server_stopping"' in cut
    assert b"done" != field(seen[-1], b"event")
    data = httpx.Response(200, content=field(seen[1], b"data")).json()
    path = f"/threads/{data['thread_id']}/runs/{data['id']}/events"

    client, _ = start(A_SECOND)
    rest = client.get(path, headers={"Last-Event-ID": field(seen[-1], b"id").decode()})
    whole = client.get(path)

    assert b"".join(seen) + rest.content == whole.content
    events = whole_events(whole.content)
    ids = [int(field(event, b"id")) for event in events[:-1]]
    assert list(range(1, len(events))) == ids
    names = [field(event, b"event").decode() for event in whole_events(rest.content)]
    told = [name for name in dict.fromkeys(names) if name != "thread.message.delta"]
    assert [
        "thread.message.incomplete",
        "thread.run.step.failed",
        "thread.run.step.created",
        "thread.run.step.in_progress",
        "thread.message.created",
        "thread.message.in_progress",
        "thread.message.completed",
        "thread.run.step.completed",
        "thread.run.completed",
        "done",
    ] == told


def test_a_subscriber_comes_back_long_after_the_end(start: Start) -> None:
    """The run is over and its server too: the next one tells the same bytes."""
    client, process = start(A_SECOND)
    assistant = client.post("/assistants", json={"model": "scripted"}).json()
    body = {"assistant_id": assistant["id"], "stream": True}
    whole = client.post("/threads/runs", json=body).content
    events = whole_events(whole)
    run = httpx.Response(200, content=field(events[1], b"data")).json()
    process.kill()
    process.wait(30)

    client, _ = start(A_SECOND)
    path = f"/threads/{run['thread_id']}/runs/{run['id']}/events"
    half = len(events) // 2
    rest = client.get(path, headers={"Last-Event-ID": str(half)})

    assert whole == b"".join(events[:half]) + rest.content
