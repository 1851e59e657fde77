"""A thread as a client sees it over HTTP, with a model that runs what the user says and repeats what it printed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

CODE_TOOL = {"type": "code_interpreter"}
RUN_THE_USER: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "code_interpreter", "arguments": {"code": "{{user}}"}}]},
    {"text": "{{tool}}"},
]
"""Turns of a script: the user's words are the code, and what it printed is the answer."""


@dataclass(frozen=True)
class Answer:
    """What a run came to, as its stream told it.

    Attributes:
        run: the run's last event.
        steps: the steps as they were completed or cancelled.
        message: the last message; {} when there was none.
        deltas: how many fragments of steps were streamed.
    """

    run: Mapping[str, Any]
    steps: Sequence[Mapping[str, Any]]
    message: Mapping[str, Any]
    deltas: int

    @property
    def calls(self) -> list[Mapping[str, Any]]:
        """All calls of code, in order: input and outputs."""
        return [
            call["code_interpreter"]
            for step in self.steps
            if step["type"] == "tool_calls"
            for call in step["step_details"]["tool_calls"]
        ]

    @property
    def code(self) -> list[str]:
        """The code of all calls."""
        return [call["input"] for call in self.calls]

    @property
    def outputs(self) -> list[Mapping[str, Any]]:
        """The outputs of all calls of code, in order."""
        return [output for call in self.calls for output in call["outputs"]]

    @property
    def logs(self) -> str:
        """All that code printed, errors included."""
        return "".join(output["logs"] for output in self.outputs if output["type"] == "logs")

    @property
    def pictures(self) -> list[str]:
        """File ids of the pictures in the message."""
        parts = self.message.get("content", ())
        return [part["image_file"]["file_id"] for part in parts if part["type"] == "image_file"]

    @property
    def text(self) -> Mapping[str, Any]:
        """The message's text: value and annotations."""
        parts = [part for part in self.message["content"] if part["type"] == "text"]
        found: Mapping[str, Any] = parts[0]["text"]
        return found

    @property
    def files(self) -> dict[str, str]:
        """File ids of the files that the text links to, by their path."""
        return {
            mark["text"].removeprefix("sandbox:/mnt/data/"): mark["file_path"]["file_id"]
            for mark in self.text["annotations"]
            if mark["type"] == "file_path"
        }


class Conversation:
    """A thread with an assistant that runs code. A context: closes the connection at its end."""

    def __init__(self, address: str, *, model: str = "scripted", **fields: Any) -> None:
        """A new thread with a new assistant, of which `fields` say more. A real model takes its time."""
        patience = 100 if model == "scripted" else 600
        self._client = httpx.Client(base_url=f"{address}/v1", timeout=patience)
        body = {"model": model, "tools": [CODE_TOOL]} | fields
        self._assistant = self._post("/assistants", body)["id"]
        self.thread_id = self._post("/threads", {})["id"]

    def __enter__(self) -> "Conversation":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def move(self, address: str) -> None:
        """Go on with another server over the same data."""
        self._client.base_url = f"{address}/v1"

    def say(self, text: str, *attached: str) -> Answer:
        """A message with these files attached, and the run that answers it."""
        self._write(text, *attached)
        body = {"assistant_id": self._assistant, "stream": True}
        return _answer(_events(self._client.post(self._runs, json=body).raise_for_status().text))

    def stop_at(self, text: str, word: str) -> Answer:
        """As `say`, but the run is cancelled as soon as its stream says `word`."""
        self._write(text)
        events: list[tuple[str, Any]] = []
        body = {"assistant_id": self._assistant, "stream": True}
        with self._client.stream("POST", self._runs, json=body) as stream:
            name = ""
            for line in stream.iter_lines():
                key, _, value = line.partition(": ")
                name = value if key == "event" else name
                if key != "data" or value == "[DONE]":
                    continue
                events.append((name, json.loads(value)))
                if word in value and "step.delta" in name:
                    self._cancel(events)
                    word = "\0"  # once is enough
        return _answer(events)

    def _cancel(self, events: list[tuple[str, Any]]) -> None:
        run_id = next(data["id"] for name, data in events if name == "thread.run.created")
        self._post(f"{self._runs}/{run_id}/cancel", {})

    def upload(self, name: str, content: bytes) -> str:
        """Store a file; its id."""
        form = {"purpose": "assistants"}
        stored = self._client.post("/files", data=form, files={"file": (name, content)})
        file_id: str = stored.raise_for_status().json()["id"]
        return file_id

    def file(self, file_id: str) -> Mapping[str, Any]:
        """A file's record."""
        found: Mapping[str, Any] = self._get(f"/files/{file_id}").json()
        return found

    def download(self, file_id: str) -> bytes:
        """A file's bytes."""
        return self._get(f"/files/{file_id}/content").content

    @property
    def _runs(self) -> str:
        return f"/threads/{self.thread_id}/runs"

    def _write(self, text: str, *attached: str) -> None:
        attachments = [{"file_id": file_id, "tools": [CODE_TOOL]} for file_id in attached]
        message = {"role": "user", "content": text, "attachments": attachments}
        self._post(f"/threads/{self.thread_id}/messages", message)

    def _get(self, path: str) -> httpx.Response:
        return self._client.get(path).raise_for_status()

    def _post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        made: Mapping[str, Any] = self._client.post(path, json=body).raise_for_status().json()
        return made


def _events(stream: str) -> list[tuple[str, Any]]:
    frames = [
        dict(line.split(": ", 1) for line in frame.splitlines() if not line.startswith(":"))
        for frame in stream.split("\n\n")
    ]
    return [(f["event"], json.loads(f["data"])) for f in frames if f and f["data"] != "[DONE]"]


def _answer(events: list[tuple[str, Any]]) -> Answer:
    runs = [data for name, data in events if name.startswith("thread.run.") and "step" not in name]
    ends = ("thread.run.step.completed", "thread.run.step.cancelled")
    steps = [data for name, data in events if name in ends]
    messages = [data for name, data in events if name == "thread.message.completed"]
    deltas = sum(name == "thread.run.step.delta" for name, _ in events)
    return Answer(runs[-1], steps, messages[-1] if messages else {}, deltas)
