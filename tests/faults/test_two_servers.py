"""Two servers on one data folder, killed at random: each run is executed by one at a time, and finished work once."""

import json
import random
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.storage.checking import check
from tests.support.engine import MODEL
from tests.support.sharing_server import STEPS

PATIENCE = 90.0
SERVERS = 2
OVER = ("completed", "failed", "cancelled", "expired", "incomplete")


@dataclass
class Pair:
    """Two servers, those that were killed before them, and what their tools wrote down."""

    folder: Path
    processes: list["subprocess.Popen[str]"] = field(default_factory=list["subprocess.Popen[str]"])
    clients: list[httpx.Client] = field(default_factory=list[httpx.Client])
    killed: dict[int, float] = field(
        default_factory=dict[int, float]
    )  # pid: when, by the monotonic clock
    over: threading.Event = field(default_factory=threading.Event)
    _retired: list[httpx.Client] = field(default_factory=list[httpx.Client])

    @property
    def data(self) -> Path:
        """Theirs together."""
        return self.folder / "data"

    @property
    def notes(self) -> Path:
        """What the tools wrote down."""
        return self.folder / "notes"

    def start(self) -> None:
        """Start what is not there."""
        self.data.mkdir(exist_ok=True)
        for number in range(SERVERS):
            if number == len(self.processes):
                self._append(*self._started())

    def restart(self, number: int) -> None:
        """Kill one of them, as the kernel would, and put a new one in its place."""
        process = self.processes[number]
        process.kill()
        process.communicate()
        self.killed[process.pid] = time.monotonic()
        self._retired.append(self.clients[number])
        self.processes[number], self.clients[number] = self._started()

    def stop(self) -> None:
        """Kill what is left."""
        self.over.set()
        for client in (*self._retired, *self.clients):
            client.close()
        for process in self.processes:
            process.kill()
            process.communicate()

    def begun(self) -> int:
        """How many calls have begun so far."""
        return sum(line["begins"] for line in self.lines())

    def statuses(self) -> dict[str, str]:
        """Of all runs, read behind the servers' backs."""
        with closing(sqlite3.connect(self.data / "store.db", timeout=PATIENCE)) as store:
            return dict(store.execute("SELECT id, status FROM runs").fetchall())

    def counts(self) -> Counter[str]:
        """How many runs there are by status."""
        return Counter(self.statuses().values())

    def unfinished(self) -> int:
        """How many runs are not over."""
        return sum(number for status, number in self.counts().items() if status not in OVER)

    def lines(self) -> list[dict[str, Any]]:
        """What was written down, in order."""
        if not self.notes.exists():
            return []
        whole, _, _ = self.notes.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def ask(self, method: str, path: str, chance: random.Random, **sent: Any) -> Any:
        """The answer of one of the two; of another when that one is dead."""
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(httpx.TransportError):
                answer = chance.choice(self.clients).request(method, path, **sent)
                return answer.raise_for_status().json()
            assert time.monotonic() < deadline, "no server answers"
            self.over.wait(0.05)

    def _append(self, process: "subprocess.Popen[str]", client: httpx.Client) -> None:
        self.processes.append(process)
        self.clients.append(client)

    def _started(self) -> tuple["subprocess.Popen[str]", httpx.Client]:
        command = [sys.executable, "-m", "tests.support.sharing_server"]
        process = subprocess.Popen(
            [*command, str(self.data), str(self.notes)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        return process, httpx.Client(base_url=f"{address}/v1", timeout=PATIENCE)


class Follower(threading.Thread):
    """Hears a run to its end, at whichever server answers; goes on at another when that one dies."""

    def __init__(self, pair: Pair, path: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.ids: list[int] = []
        self.names: list[str] = []
        self.moves = 0
        self._pair, self._path, self._chance = pair, path, random.Random(seed)
        self.start()

    def run(self) -> None:
        """Listen."""
        while not self._pair.over.is_set():
            with suppress(httpx.TransportError):
                self._listen()
                if self.names and self.names[-1] == "done":
                    return
            self.moves += 1
            self._pair.over.wait(0.05)

    def _listen(self) -> None:
        last = {"Last-Event-ID": str(self.ids[-1])} if self.ids else {}
        client = self._chance.choice(self._pair.clients)
        with client.stream("GET", f"{self._path}/events", headers=last) as answer:
            number, name = 0, ""
            for line in answer.iter_lines():
                key, _, value = line.partition(": ")
                if key == "id":
                    number = int(value)
                elif key == "event":
                    name = value
                elif key == "data":
                    self.names.append(name)
                    self.ids += [number] if name != "done" else []


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two running servers on an empty folder."""
    made = Pair(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def new_runs(pair: Pair, count: int, chance: random.Random) -> list[str]:
    """So many acknowledged runs, each taken in by one of the two; their paths."""
    body = {"model": MODEL, "tools": [{"type": "code_interpreter"}]}
    assistant = pair.ask("POST", "/assistants", chance, json=body)
    paths: list[str] = []
    for _ in range(count):
        run = pair.ask("POST", "/threads/runs", chance, json={"assistant_id": assistant["id"]})
        paths.append(f"/threads/{run['thread_id']}/runs/{run['id']}")
    return paths


def work_through(pair: Pair, kills: int, runs: int, seed: int) -> list[Follower]:
    """Have runs executed while servers are killed, each after some more calls; all are over at the end."""
    chance = random.Random(seed)
    paths = new_runs(pair, runs, chance)
    followers = [Follower(pair, path, seed + at) for at, path in enumerate(paths[::4])]
    for _ in range(kills):
        wanted, deadline = pair.begun() + chance.randint(1, 12), time.monotonic() + PATIENCE
        while pair.begun() < wanted and pair.unfinished() > 2:
            assert time.monotonic() < deadline, "nothing is executed"
            pair.over.wait(0.005)
        pair.restart(chance.randrange(SERVERS))
    deadline = time.monotonic() + PATIENCE
    while left := pair.unfinished():
        assert time.monotonic() < deadline, left
        pair.over.wait(0.1)
    for follower in followers:
        follower.join(PATIENCE)
    assert {"completed": len(pair.statuses())} == pair.counts()
    assert len(pair.statuses()) >= runs
    return followers


@dataclass(frozen=True)
class Call:
    """One execution of a tool call: whose, and from when to when at most."""

    run: str
    step: int
    pid: int
    begins: float
    ends: float


def calls(pair: Pair) -> list[Call]:
    """All that were begun; one without an end ended with its process."""
    lines = pair.lines()
    found: list[Call] = []
    for at, line in enumerate(lines):
        if line["begins"]:
            same = (each for each in lines[at:] if not each["begins"])
            whose = (line["run"], line["step"], line["pid"])
            ends = [e["at"] for e in same if (e["run"], e["step"], e["pid"]) == whose]
            end = ends[0] if ends else pair.killed[line["pid"]]
            found.append(Call(*whose, line["at"], end))
    return found


def assert_each_was_executed_by_one(pair: Pair) -> None:
    """No two calls of a run overlap, and none is done again unless its server was killed on the way."""
    of_run: dict[str, list[Call]] = defaultdict(list)
    of_step: dict[tuple[str, int], list[Call]] = defaultdict(list)
    for call in calls(pair):
        of_run[call.run].append(call)
        of_step[call.run, call.step].append(call)
    for executed in of_run.values():
        executed.sort(key=lambda call: call.begins)
        assert all(a.ends <= b.begins for a, b in pairwise(executed)), executed
    again = [each[:-1] for each in of_step.values() if len(each) > 1]
    assert [] == [call for each in again for call in each if call.pid not in pair.killed]
    assert {(run, step) for run in pair.statuses() for step in range(STEPS)} == set(of_step)


def assert_nothing_is_lost_or_doubled(pair: Pair, followers: list[Follower]) -> None:
    """What clients heard is the whole journal, in order; the store keeps all its invariants."""
    for follower in followers:
        assert list(range(1, len(follower.ids) + 1)) == follower.ids
        assert 1 == follower.names.count("thread.message.completed")
        assert "thread.run.completed" == follower.names[-2]
    report = check(pair.data)
    assert [] == [found for found in report.kept if not found.note]


@pytest.mark.slow
def test_each_run_is_executed_by_one_of_two_servers(pair: Pair) -> None:
    """Some runs, some kills; both have done some of the work."""
    followers = work_through(pair, kills=2, runs=24, seed=7)
    assert_each_was_executed_by_one(pair)
    assert_nothing_is_lost_or_doubled(pair, followers)
    assert len({call.pid for call in calls(pair)}) >= SERVERS


@pytest.mark.kills
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_many_kills_of_two_servers(pair: Pair, seed: int) -> None:
    """Twenty each on a queue that lasts as long."""
    followers = work_through(pair, kills=20, runs=250, seed=seed)
    assert_each_was_executed_by_one(pair)
    assert_nothing_is_lost_or_doubled(pair, followers)
