"""A server that is told to stop: what it finishes, what it leaves to the next one, and that nothing of it stays."""

import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from local_assistants.tools.code_interpreter.isolation import processes

pytestmark = pytest.mark.slow
TWO_SECONDS: dict[str, Any] = {"text": "word " * 40, "tokens_per_second": 20}
HANG: dict[str, Any] = {"text": "Hello", "hang": True}

Start = Callable[..., tuple[httpx.Client, "subprocess.Popen[str]"]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `serve` on the test's data folder with these turns and options: a client for it, and the process."""
    started: list[tuple[httpx.Client, subprocess.Popen[str]]] = []

    def serve(
        turns: list[dict[str, Any]], *options: str
    ) -> tuple[httpx.Client, "subprocess.Popen[str]"]:
        script = tmp_path / "script.yaml"
        script.write_text(yaml.safe_dump({"turns": turns}))
        command = [sys.executable, "-m", "local_assistants", "serve", "--port", "0", *options]
        command += ["--model", f"scripted:{script}", "--data", str(tmp_path / "data")]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        client = httpx.Client(base_url=process.stdout.readline().strip(), timeout=60)
        started.append((client, process))
        return client, process

    yield serve
    for client, process in started:
        client.close()
        process.kill()
        process.communicate()


class Reader(threading.Thread):
    """Reads a new run's stream to its end; `spoken` is set when the model has begun to speak."""

    def __init__(self, client: httpx.Client, **body: Any) -> None:
        super().__init__(daemon=True)
        self.read = b""
        self.spoken = threading.Event()
        self._client = client
        assistant = client.post("/v1/assistants", json={"model": "scripted"} | body).json()
        self._body = {"assistant_id": assistant["id"], "stream": True}
        self.start()
        assert self.spoken.wait(60), self.read

    def run(self) -> None:
        """Read."""
        with (
            suppress(httpx.TransportError),  # it was broken off
            self._client.stream("POST", "/v1/threads/runs", json=self._body) as answer,
        ):
            for chunk in answer.iter_bytes():
                self.read += chunk
                if b"message.delta" in self.read:
                    self.spoken.set()

    def whole(self) -> bytes:
        """All of it."""
        self.join(60)
        return self.read


def queued_run(client: httpx.Client) -> str:
    """The path of a new run that is not streamed."""
    assistant = client.post("/v1/assistants", json={"model": "scripted"}).json()
    run = client.post("/v1/threads/runs", json={"assistant_id": assistant["id"]}).json()
    return f"/v1/threads/{run['thread_id']}/runs/{run['id']}"


def log_bytes(data: Path) -> int:
    """What is left of SQLite's log."""
    log = data / "store.db-wal"
    return log.stat().st_size if log.exists() else 0


def test_runs_at_work_end_and_new_ones_wait_for_the_next_server(
    start: Start, tmp_path: Path
) -> None:
    """SIGTERM: not ready at once, but all requests are answered; the stream ends as ever, what is queued stays so."""
    client, process = start([TWO_SECONDS], "--drain-seconds", "60")
    reader = Reader(client)
    process.send_signal(signal.SIGTERM)
    while (ready := client.get("/readyz")).status_code == 200:
        pass  # the signal is on its way
    run = queued_run(client)
    told = reader.whole()
    status = process.wait(60)

    assert {"server": "It is being stopped."} == ready.json()["reasons"]
    assert b"thread.run.completed" in told
    assert told.endswith(b"event: done\ndata: [DONE]\n\n")
    assert (0, 0) == (status, log_bytes(tmp_path / "data"))

    client, _ = start([{"text": "Hi."}])
    rest = client.get(f"{run}/events").content
    assert b"thread.run.created" in rest
    assert b"thread.run.completed" in rest


def test_what_does_not_end_in_time_is_left_to_the_next_server(start: Start, tmp_path: Path) -> None:
    """The stream is cut with a word on how to go on; the run is free at once, nobody waits for its lease."""
    client, process = start([HANG], "--drain-seconds", "0.2")
    reader = Reader(client)
    process.send_signal(signal.SIGTERM)
    told = reader.whole()
    status = process.wait(60)

    assert b'"code":"server_stopping"' in told
    assert b"event: done" not in told
    assert 0 == status
    assert process.stderr is not None
    said = process.stderr.read()
    assert "Traceback" not in said
    with closing(sqlite3.connect(tmp_path / "data" / "store.db")) as store:
        assert [("in_progress", None)] == store.execute(
            "SELECT status, lease_owner FROM runs"
        ).fetchall()


def test_a_second_signal_ends_the_server_at_once(start: Start) -> None:
    """However long runs at work might take; the next server takes them up when their lease has lapsed."""
    client, process = start([HANG], "--drain-seconds", "600")
    reader = Reader(client)
    process.send_signal(signal.SIGTERM)
    while client.get("/readyz").status_code == 200:
        pass
    process.send_signal(signal.SIGTERM)
    status = process.wait(10)
    told = reader.whole()

    assert 128 + signal.SIGTERM == status
    assert b"event: done" not in told
    assert process.stderr is not None
    assert "Ended at once." in process.stderr.read()


@pytest.mark.parametrize("signals", [1, 2])
def test_nothing_of_a_stopped_server_stays(start: Start, signals: int) -> None:
    """Its kernels, those kept ready too, and what they started are gone with it, however it is ended."""
    code = "import subprocess, time; subprocess.Popen(['sleep', '600']); print('up', flush=True); time.sleep(600)"
    call = {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": code}}]}
    client, process = start([call], "--drain-seconds", "0.2" if signals == 1 else "600")
    tools = [{"type": "code_interpreter"}]
    assistant = client.post("/v1/assistants", json={"model": "scripted", "tools": tools}).json()
    body = {"assistant_id": assistant["id"], "stream": True}
    with client.stream("POST", "/v1/threads/runs", json=body) as answer:
        for line in answer.iter_lines():
            if '"logs":"up' in line:
                break
    children = list(processes.descendants(process.pid))
    process.send_signal(signal.SIGTERM)
    if signals == 2:
        while "server" not in client.get("/readyz").json().get("reasons", {}):
            pass  # the first is on its way
        process.send_signal(signal.SIGTERM)
    process.wait(60)

    assert len(children) >= 2
    assert [] == left_of(children)


def left_of(children: list[int]) -> list[int]:
    """Which of them are still there after some patience; zombies are dead."""
    gone = threading.Event()
    left = children
    for _ in range(200):
        left = [pid for pid in left if alive(pid)]
        if not left:
            break
        gone.wait(0.05)
    return left


def alive(pid: int) -> bool:
    """Whether it runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
