"""A real server whose model's process is killed: clients see a pause and nothing else."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.toy_gguf import write_saying_model

pytestmark = pytest.mark.slow
WORDS = [f"word{number} " for number in range(420)]  # the model is as wide, and as slow, as these
ARGUMENTS = json.dumps({"text": "".join(f"note{number} " for number in range(200))})
SERVE = """
import sys
from pathlib import Path
from local_assistants import Settings, serving
from local_assistants.engine.settings import CoreSettings

core = CoreSettings(lease=1.0, heartbeat=0.2)  # a dead server's runs are taken over after a second
settings = Settings(
    model=sys.argv[1], data=Path(sys.argv[2]), port=0, core=core, isolation="process", threads=1,
    load_at_start=True,
)
serving.serve(settings, announce=lambda address: print(address, flush=True))
"""


@dataclass
class Event:
    """One event of a run's stream."""

    id: int
    name: str
    data: Any


class Server:
    """A server in a process of its own, and a client for it."""

    def __init__(self, model: Path, data: Path) -> None:
        command = [sys.executable, "-c", SERVE, str(model), str(data)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.client = httpx.Client(
            base_url=f"{self.process.stdout.readline().strip()}/v1", timeout=60
        )

    @property
    def workers(self) -> list[int]:
        """The processes that run a model for the server."""
        pid = self.process.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in listed if b".isolation." in command_of(int(child))]

    def kill_worker(self) -> None:
        """End the model's process as the kernel would."""
        for pid in self.workers:
            os.kill(pid, signal.SIGKILL)

    def assistant(self, **fields: Any) -> str:
        """A new assistant's id."""
        body = {"model": "default", **fields}
        answer = self.client.post("/assistants", json=body)
        return str(answer.raise_for_status().json()["id"])

    def run(
        self, assistant: str, question: str, *listeners: Callable[[Event], None]
    ) -> list[Event]:
        """The events of a new run on a new thread; the listeners hear them as they come."""
        thread = {"messages": [{"role": "user", "content": question}]}
        body = {"assistant_id": assistant, "thread": thread, "stream": True}
        events: list[Event] = []
        with self.client.stream("POST", "/threads/runs", json=body) as answer:
            for event in parsed(answer):
                events.append(event)
                for listen in listeners:
                    listen(event)
        return events

    def stop(self) -> None:
        """End it as a service manager would, and close what leads to it. Harmless when it is over."""
        self.client.close()
        self.process.terminate()
        self.process.communicate(timeout=60)


def command_of(pid: int) -> bytes:
    """What a process was started with; b"" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def parsed(answer: httpx.Response) -> Iterator[Event]:
    """The events of a stream up to its end."""
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif fields.get("event", "done") != "done":
            yield Event(int(fields["id"]), fields["event"], json.loads(fields["data"]))
            fields = {}


class AtDelta:
    """Does something once, when the n-th delta is heard."""

    def __init__(self, count: int, act: Callable[[], None]) -> None:
        self._left = count
        self._act = act

    def __call__(self, event: Event) -> None:
        """Count it."""
        if event.name.endswith(".delta"):
            self._left -= 1
            if self._left == 0:
                self._act()


def text_of(events: list[Event]) -> str:
    """What the deltas of the messages say together."""
    deltas = [event.data["delta"] for event in events if event.name == "thread.message.delta"]
    return "".join(part["text"].get("value", "") for delta in deltas for part in delta["content"])


def check_whole(events: list[Event]) -> None:
    """The run is completed, its events are numbered without a gap, and its words were said once each."""
    assert "thread.run.completed" == events[-1].name
    assert list(range(1, len(events) + 1)) == [event.id for event in events]
    assert 1 == sum(event.name == "thread.message.created" for event in events)
    [message] = [event.data for event in events if event.name == "thread.message.completed"]
    assert "".join(WORDS) == text_of(events) == message["content"][0]["text"]["value"]


@pytest.fixture(scope="module")
def talker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that says its words, slowly enough to be met while it speaks."""
    return write_saying_model(tmp_path_factory.mktemp("models") / "says.gguf", WORDS, context=8192)


@pytest.fixture(scope="module")
def server(talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with that model."""
    server = Server(talker, tmp_path_factory.mktemp("data"))
    yield server
    server.stop()


def test_killed_in_mid_text_the_run_completes(server: Server) -> None:
    """Twice, even; no word is lost and none comes twice."""
    kill = AtDelta(2, server.kill_worker)
    again = AtDelta(12, server.kill_worker)
    events = server.run(server.assistant(), "Hello", kill, again)
    check_whole(events)


def test_killed_in_mid_prefill_the_run_completes(server: Server) -> None:
    """The prompt is evaluated again."""

    def kill(event: Event) -> None:
        if event.name == "thread.run.in_progress":
            time.sleep(0.3)
            server.kill_worker()

    check_whole(server.run(server.assistant(), "x" * 5000, kill))


def test_killed_between_runs_the_next_one_completes(server: Server) -> None:
    """Whether the model is back by then or not."""
    server.kill_worker()
    check_whole(server.run(server.assistant(), "Hello"))


def test_killed_while_it_loads_the_model_comes_up(talker: Path, tmp_path: Path) -> None:
    """A second try is made, and the run that asked for it completes."""
    server = Server(talker, tmp_path)
    try:
        deadline = time.monotonic() + 30
        while not server.workers and time.monotonic() < deadline:
            time.sleep(0.001)
        server.kill_worker()
        check_whole(server.run(server.assistant(), "Hello"))
    finally:
        server.stop()


def test_killed_in_mid_call_the_arguments_come_whole(tmp_path: Path) -> None:
    """A function is called once, with everything that the model wanted to say."""
    call = f'{{"name": "note", "arguments": {ARGUMENTS}}}'
    pieces = [call[at : at + 11] for at in range(0, len(call), 11)]
    model = write_saying_model(tmp_path / "calls.gguf", unique(pieces))
    server = Server(model, tmp_path / "data")
    try:
        schema = {"type": "object", "properties": {"text": {"type": "string"}}}
        function = {"name": "note", "parameters": {**schema, "required": ["text"]}}
        assistant = server.assistant(tools=[{"type": "function", "function": function}])
        events = server.run(assistant, "Hello", AtDelta(3, server.kill_worker))
        run = next(e.data for e in reversed(events) if e.name == "thread.run.requires_action")
        [asked] = run["required_action"]["submit_tool_outputs"]["tool_calls"]
        assert ("note", ARGUMENTS) == (asked["function"]["name"], asked["function"]["arguments"])
        assert list(range(1, len(events) + 1)) == [event.id for event in events]
    finally:
        server.stop()


def unique(pieces: list[str]) -> list[str]:
    """The pieces, those joined that would be there twice."""
    kept: list[str] = []
    for piece in pieces:
        if piece in kept:
            kept[-1] += piece
        else:
            kept.append(piece)
    return kept


def test_killed_server_takes_its_model_along_and_the_next_one_finishes(
    talker: Path, tmp_path: Path
) -> None:
    """The run is redone from the journal: a broken message, then a whole one; no process is left behind."""
    server = Server(talker, tmp_path)
    [worker] = wait_for_worker(server)
    seen: list[Event] = []
    kill = AtDelta(3, server.process.kill)
    with pytest.raises(httpx.TransportError):
        server.run(server.assistant(), "Hello", seen.append, kill)
    server.process.wait(30)
    server.stop()
    deadline = time.monotonic() + 10
    while command_of(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert b"" == command_of(worker)

    server = Server(talker, tmp_path)
    try:
        run = seen[0].data if seen[0].name == "thread.run.created" else seen[1].data
        path = f"/threads/{run['thread_id']}/runs/{run['id']}/events"
        with server.client.stream("GET", path) as answer:
            events = list(parsed(answer))
        assert "thread.run.completed" == events[-1].name
        messages = server.client.get(f"/threads/{run['thread_id']}/messages?order=asc").json()
        said = [m["content"][0]["text"]["value"] for m in messages["data"][1:]]
        assert ["incomplete", "completed"] == [m["status"] for m in messages["data"][1:]]
        assert "".join(WORDS) == said[1]
        assert said[1].startswith(said[0])
    finally:
        server.stop()


def wait_for_worker(server: Server) -> list[int]:
    """The model's process, once it is there."""
    deadline = time.monotonic() + 30
    while not server.workers and time.monotonic() < deadline:
        time.sleep(0.01)
    return server.workers


def test_interrupted_in_a_terminal_server_and_model_end(talker: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches the server alone; it ends the model's process before it goes."""
    server = Server(talker, tmp_path)
    [worker] = wait_for_worker(server)
    assert worker == os.getpgid(worker)
    server.process.send_signal(signal.SIGINT)
    server.process.wait(60)
    assert b"" == command_of(worker)
    server.stop()
