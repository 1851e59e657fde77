"""One round of everything: ours, the bare endpoint and the embedded engine in turns, so that a slow moment hits all.

Figures are kept by name, a list with one entry a round.
"""

import json
import signal
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from api_parts.children import Server, Worker
from api_parts.seeds import Journaled

AT_A_TIME = (1, 32, 256)
RUNS = {1: 60, 32: 256, 256: 512}
WATCHERS = 200
WORDS = " ".join(f"word{n}" for n in range(20))
COMPLETED = "thread.run.completed"
FIRST_DELTA = "thread.message.created"
ATTACH = 1.5  # seconds that a live run waits, so that all its followers are there


@dataclass(frozen=True)
class Stage:
    """All that takes part."""

    ours: Server
    live: Server
    probed: Server
    bare: Server
    embedded: Worker
    load: Worker
    recordings: Path
    journaled: Journaled
    pages: list[tuple[str, str, str]]


@dataclass
class Figures:
    """What was measured. Times in ms, rates in events/s, CPU in ms of the server's process."""

    rounds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    notes: dict[str, Any] = field(default_factory=dict[str, Any])
    errors: list[str] = field(default_factory=list[str])


class Round:
    """Measures on a stage into figures."""

    def __init__(self, stage: Stage, figures: Figures) -> None:
        self._stage = stage
        self._figures = figures
        self._run_body: dict[str, dict[str, Any]] = {}

    def prepare(self) -> None:
        """Make the assistants, record what the bare endpoint has to play, warm everything."""
        stage = self._stage
        for server in (stage.ours, stage.live, stage.probed):
            reply = stage.load.ask("one", **_post(server, "/v1/assistants", {"model": "default"}))
            self._run_body[server.address] = {
                "assistant_id": json.loads(reply["flushes"][0])["id"],
                "thread": {"messages": [{"role": "user", "content": WORDS}]},
            }
        run = stage.load.ask("one", **_post(stage.ours, "/v1/threads/runs", self._body(stage.ours)))
        self._record("run", run["flushes"])
        self._record("journal", self._streams(stage.ours, self._events_path, 1, keep=True)["kept"])
        for clients in (1, 32):
            self._runs(stage.ours, clients, 64)
            self._runs(stage.bare, clients, 64)
            self._runs(stage.probed, clients, 64)
        self._figures.notes["flushes"] = {
            name: len(json.loads((stage.recordings / f"{name}.json").read_text()))
            for name in ("run", "journal", "journal_single")
        }
        stage.embedded.ask("runs", clients=1, count=64, text=WORDS)

    def runs(self) -> None:
        """A run from create to completed, at 1, 32 and 256 at a time."""
        stage, figures = self._stage, self._figures
        for clients in AT_A_TIME:
            for name, server in (("http", stage.ours), ("bare", stage.bare)):
                before = server.cpu
                reply = self._runs(server, clients, RUNS[clients])
                figures.rounds[f"{name} cpu {clients}"].append(
                    (server.cpu - before) / RUNS[clients]
                )
                figures.rounds[f"{name} client {clients}"].append(reply["cpu"] / RUNS[clients])
                self._keep_runs(f"{name} {clients}", reply)
            reply = stage.embedded.ask("runs", clients=clients, count=RUNS[clients], text=WORDS)
            self._keep_runs(f"embedded {clients}", reply)

    def journal(self, clients: int, repeats: int) -> None:
        """Subscribers that come after the end read the whole journal of one run."""
        stage = self._stage
        for _ in range(repeats):
            for name, server, path in (
                ("journal", stage.ours, self._events_path),
                ("journal bare", stage.bare, "/stream/journal"),
                ("journal bare single", stage.bare, "/stream/journal_single"),
            ):
                self._keep_stream(f"{name} {clients}", server, path, clients)

    def embedded_journal(self, played: str) -> None:
        """The same through the embedded engine."""
        for clients in (1, WATCHERS):
            reply = self._stage.embedded.ask("follow", run_id=played, clients=clients)
            self._figures.rounds[f"embedded journal {clients}"].append(_rate(reply))

    def live(self, clients: int) -> None:
        """Subscribers that follow a run while it works; the clock starts with its message."""
        watched, cpu = self._watch(clients)
        self._record("live", watched["kept"])
        figures = self._figures
        figures.rounds[f"live {clients}"].append(_rate(watched))
        figures.rounds[f"live {clients} cpu"].append(1000 * cpu / watched["events"])
        path = f"/live/live?wait={ATTACH}"
        self._keep_stream(f"live bare {clients}", self._stage.bare, path, clients, mark=FIRST_DELTA)

    def list_pages(self, count: int) -> None:
        """Pages of messages from a small and from a large store, in turns."""
        reply = self._stage.load.ask("pages", targets=self._stage.pages, count=count)
        self._figures.errors += reply["errors"]
        for name, samples in reply["samples"].items():
            self._figures.rounds[f"page {name}"].append(sorted(samples)[len(samples) // 2])
            self._figures.samples[f"page {name}"] += samples

    def stalls(self) -> None:
        """256 runs at a time on a server with a stopwatch in its event loop."""
        probed = self._stage.probed
        probed.process.send_signal(signal.SIGUSR1)
        time.sleep(0.1)
        self._runs(probed, 256, RUNS[256])
        probed.process.send_signal(signal.SIGUSR2)
        time.sleep(0.3)
        line = next(line for line in reversed(probed.errors().splitlines()) if line[:1] == "{")
        found = json.loads(line)
        self._figures.notes.setdefault("stalls", []).append(found)
        self._figures.rounds["stall"].append(found["longest_ms"])
        self._figures.rounds["stall cpu"].append(found["longest_cpu_ms"])
        self._figures.rounds["late"].append(found["delay_ms"])

    @property
    def _events_path(self) -> str:
        run = self._stage.journaled
        return f"/v1/threads/{run.thread_id}/runs/{run.run_id}/events"

    def _body(self, server: Server) -> dict[str, Any]:
        return {**self._run_body.get(server.address, {}), "stream": True}

    def _runs(self, server: Server, clients: int, count: int) -> dict[str, Any]:
        path = "/stream/run" if server is self._stage.bare else "/v1/threads/runs"
        body = self._body(self._stage.ours if server is self._stage.bare else server)
        job = {"address": server.address, "path": path, "body": body, "until": COMPLETED}
        reply = self._stage.load.ask("runs", clients=clients, count=count, **job)
        self._figures.errors += reply["errors"]
        return reply

    def _keep_runs(self, name: str, reply: dict[str, Any]) -> None:
        samples = sorted(reply["samples"])
        figures = self._figures
        figures.rounds[f"{name} p50"].append(samples[len(samples) // 2])
        figures.rounds[f"{name} p99"].append(samples[int(len(samples) * 0.99)])
        figures.rounds[f"{name} rate"].append(1000 * len(samples) / reply["wall"])
        figures.samples[name] += samples
        if name.startswith("embedded"):
            figures.errors += reply["errors"]

    def _streams(self, server: Server, path: str, clients: int, **job: Any) -> dict[str, Any]:
        target = {"address": server.address, "path": path, "clients": clients}
        reply = self._stage.load.ask("streams", **target, **job)
        self._figures.errors += reply["errors"]
        return reply

    def _keep_stream(self, name: str, server: Server, path: str, clients: int, **job: Any) -> None:
        before = server.cpu
        reply = self._streams(server, path, clients, **job)
        self._figures.rounds[name].append(_rate(reply))
        self._figures.rounds[f"{name} cpu"].append(1000 * (server.cpu - before) / reply["events"])
        self._figures.rounds[f"{name} client"].append(1000 * reply["cpu"] / reply["events"])
        self._figures.rounds[f"{name} MB/s"].append(reply["bytes"] / 1000 / reply["wall"])

    def _watch(self, clients: int) -> tuple[dict[str, Any], float]:
        """Start a run on the live server and have it followed; also the server's CPU time for that."""
        stage = self._stage
        body = {**self._body(stage.live), "stream": False}
        started = stage.load.ask("one", **_post(stage.live, "/v1/threads/runs", body))
        run = json.loads(started["flushes"][0])
        path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}/events"
        before = stage.live.cpu
        watched = self._streams(stage.live, path, clients, mark=FIRST_DELTA, keep=True)
        return watched, stage.live.cpu - before

    def _record(self, name: str, flushes: list[str]) -> None:
        folder = self._stage.recordings
        (folder / f"{name}.json").write_text(json.dumps(flushes))
        single = [f"{event}\n\n" for event in "".join(flushes).split("\n\n") if event]
        (folder / f"{name}_single.json").write_text(json.dumps(single))


def _post(server: Server, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"address": server.address, "method": "POST", "path": path, "body": body}


def _rate(reply: dict[str, Any]) -> float:
    return 1000 * reply["events"] / float(reply["wall"])
