"""What a run leans on goes away in the middle: the model's file, its process, the server behind it, the kernel."""

import contextlib
import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants import assemble
from tests.support.live_server import LiveServer, playing
from tests.support.toy_gguf import write_saying_model

PATIENCE = 60.0
WORDS = [f"word{number} " for number in range(300)]
OVER = ("completed", "failed", "incomplete", "cancelled", "expired")
Json = dict[str, Any]


class Client:
    """A server and what a client asks of it."""

    def __init__(self, settings: assemble.Settings) -> None:
        self._server = LiveServer(settings)
        self._http = httpx.Client(base_url=f"{self._server.start()}/v1", timeout=PATIENCE)
        body = {"model": "default", "tools": [{"type": "code_interpreter"}]}
        self.assistant: str = self._post("/assistants", body)["id"]

    def stop(self) -> None:
        """Stop the server."""
        self._http.close()
        self._server.stop()

    def _post(self, path: str, body: Json) -> Json:
        answer: Json = self._http.post(path, json=body).raise_for_status().json()
        return answer

    def get(self, path: str) -> Json:
        """An object."""
        answer: Json = self._http.get(path).raise_for_status().json()
        return answer

    def run(self) -> str:
        """A new run on a new thread; its path."""
        thread = {"messages": [{"role": "user", "content": "Hello"}]}
        run = self._post("/threads/runs", {"assistant_id": self.assistant, "thread": thread})
        return f"/threads/{run['thread_id']}/runs/{run['id']}"

    def ended(self, run: str) -> Json:
        """The run, once it is over."""
        until(lambda: self.get(run)["status"] in OVER)
        return self.get(run)

    def said(self, run: str) -> list[str]:
        """The model's messages so far, oldest first."""
        path = run.partition("/runs/")[0]
        messages = self.get(f"{path}/messages?order=asc")["data"]
        return ["".join(part["text"]["value"] for part in one["content"]) for one in messages][1:]


Serve = Callable[[assemble.Settings], Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Servers that are stopped at the end of the test."""
    made: list[Client] = []

    def start(settings: assemble.Settings) -> Client:
        made.append(Client(settings))
        return made[-1]

    yield start
    for client in made:
        client.stop()


def until(holds: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def model_processes() -> list[int]:
    """The processes that run a model for a server in this process."""
    lists = [(task / "children").read_text() for task in Path("/proc/self/task").iterdir()]
    children = [child for each in lists for child in each.split()]
    commands = {child: Path(f"/proc/{child}/cmdline").read_bytes() for child in children}
    return [int(child) for child, command in commands.items() if b".isolation." in command]


def talking(folder: Path, **fields: Any) -> assemble.Settings:
    """Settings of a server whose model, in a process of its own, says its words."""
    model = write_saying_model(folder / "says.gguf", WORDS, context=8192)
    return assemble.Settings(
        model=str(model), data=folder / "data", port=0, isolation="process", threads=1, **fields
    )


def test_a_model_file_that_is_gone_fails_the_run(serve: Serve, tmp_path: Path) -> None:
    """The run says which file and no path; with it back the next one completes, and once loaded nothing needs it."""
    client = serve(talking(tmp_path))
    kept = tmp_path / "kept.gguf"
    (tmp_path / "says.gguf").rename(kept)
    failed = client.ended(client.run())
    shutil.copy(kept, tmp_path / "says.gguf")
    done = client.ended(client.run())
    (tmp_path / "says.gguf").unlink()
    loaded = client.ended(client.run())

    assert ("failed", "server_error") == (failed["status"], failed["last_error"]["code"])
    assert "says.gguf" in failed["last_error"]["message"]
    assert str(tmp_path) not in failed["last_error"]["message"]
    assert ("completed", "completed") == (done["status"], loaded["status"])


def test_a_model_file_that_is_cut_under_a_loaded_model_costs_no_more_than_its_runs(
    serve: Serve, tmp_path: Path
) -> None:
    """What is left of it ends the model's process, not the server; the run ends, and with the file back all goes on."""
    client = serve(talking(tmp_path))
    path, kept = tmp_path / "says.gguf", tmp_path / "kept.gguf"
    first = client.ended(client.run())
    shutil.copy(path, kept)
    os.truncate(path, 4096)
    cut = client.ended(client.run())
    shutil.copy(kept, path)
    last = client.ended(client.run())

    assert ("completed", "failed", "completed") == (first["status"], cut["status"], last["status"])
    assert "says.gguf" in cut["last_error"]["message"]


def test_a_model_process_that_dies_in_mid_sentence_loses_no_word(
    serve: Serve, tmp_path: Path
) -> None:
    """It is started again and goes on where it was; the run completes with every word once."""
    client = serve(talking(tmp_path))
    run = client.run()
    until(lambda: "".join(client.said(run)))
    killed = model_processes()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    done = client.ended(run)

    assert 1 == len(killed)
    assert ("completed", ["".join(WORDS)]) == (done["status"], client.said(run))


class Upstream:
    """Another server that speaks half a sentence and closes the connection; the second time it says all of it."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._calls = 0
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """Let nobody in any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, connection.makefile("rwb") as stream:
                    self._answer(stream)

    def _answer(self, stream: Any) -> None:
        line, length = stream.readline(), 0
        while header := stream.readline().strip():
            name, _, value = header.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        stream.read(length)
        if b"chat/completions" not in line:
            body = b'{"object": "list", "data": [{"id": "far", "object": "model"}]}'
            stream.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
            )
            stream.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            return
        self._calls += 1
        stream.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n"
        )
        stream.write(_event({"content": "Half a"}))
        if self._calls > 1:
            stream.write(
                _event({"content": " sentence."}) + _event({}, "stop") + b"data: [DONE]\n\n"
            )


def _event(delta: Json, reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    chunk = {"id": "1", "object": "chat.completion.chunk", "model": "far", "choices": [choice]}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def test_a_server_that_dies_in_mid_sentence_fails_the_run(serve: Serve, tmp_path: Path) -> None:
    """What it had said is kept as incomplete, the error says that the connection ended; the next run completes."""
    upstream = Upstream()
    model = f"openai_compatible:{upstream.address}#far"
    client = serve(assemble.Settings(model=model, data=tmp_path / "data", port=0))
    first, second = client.run(), ""
    failed = client.ended(first)
    second = client.run()
    done = client.ended(second)
    upstream.stop()

    assert ("failed", "completed") == (failed["status"], done["status"])
    assert "connection" in failed["last_error"]["message"]
    assert [["Half a"], ["Half a sentence."]] == [client.said(first), client.said(second)]


def test_a_kernel_that_dies_in_mid_cell_is_replaced(serve: Serve, tmp_path: Path) -> None:
    """The model is told what was lost; files are kept, the next cell runs, the run completes."""
    dies = "open('kept.txt', 'w').write('kept')\nx = 7\nimport os\nos.kill(os.getpid(), 9)"
    goes_on = "print(open('kept.txt').read(), 'x' in globals())"
    turns: list[Json] = [
        {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": dies}}]},
        {
            "text": "{{tool}}",
            "tool_calls": [{"name": "code_interpreter", "arguments": {"code": goes_on}}],
        },
        {"text": "{{tool}}"},
    ]
    client = serve(playing(turns, tmp_path))
    run = client.run()
    done = client.ended(run)
    told, last = client.said(run)

    assert "completed" == done["status"]
    assert "kept False" in last
    assert "The interpreter was restarted" in told
    assert "files in /mnt/data are kept" in told
