"""A long queue: as many runs as may wait, then one too many, then all of them are executed."""

import time
from pathlib import Path
from typing import Any

import yaml
from _report import Goal, median, p99
from api_parts import seeds
from api_parts.children import Worker

from load_parts.figures import Figures, say
from load_parts.servers import MIB, LoadedServer

PLACES = 32
CLIENTS = 64
WORDS = 5
SLICE = 1000  # runs of one job


def measure(root: Path, load: Worker, count: int) -> Figures:
    """`count` runs wait behind some that never end; when these are cancelled, each of them is played, whole."""
    figures = Figures()
    (scripts := root / "queue-scripts").mkdir()
    seeds.write_script(scripts / "default.yaml", "{{user}}")
    (scripts / "hang.yaml").write_text(yaml.safe_dump({"turns": [{"hang": True}]}))
    settings = f"[runs]\nmax_concurrent_runs = {PLACES}\nmax_queued_runs = {count}\n"
    with LoadedServer(root, "queue", scripts, settings=settings) as server:
        common: dict[str, Any] = {"address": server.address, "clients": CLIENTS, "words": WORDS}
        blocks = server.assistant(load, "hang")
        blocking = load.ask("queue", assistant=blocks, first=0, count=PLACES, **common)
        server.until("in_progress", PLACES)
        common["assistant"] = server.assistant(load, "default")
        before = server.memory
        say(f"{count} runs are queued")
        filled = _fill(load, count, common)
        waiting = server.statuses().get("queued", 0)
        memory = server.memory
        over = load.ask("requests", requests=[_one_more(common)], status=429, **common)
        ends = [["POST", f"/v1/threads/{t}/runs/{r}/cancel", {}] for _, t, r, _ in blocking["runs"]]
        cancelled = load.ask("requests", requests=ends, **common)
        began = time.perf_counter()
        say("they are executed")
        server.until("completed", count)
        took = time.perf_counter() - began
        say("their journals are read")
        events, lost = _journals(load, filled["runs"], common)
    errors = [*filled["errors"], *over["errors"], *cancelled["errors"]]
    figures.none("queue: errors", errors)
    figures.none("queue: journals with events lost, doubled or out of order", lost)
    figures.goals.append(Goal("queue: runs that wait at once", waiting, count, at_least=True))
    rows = figures.add
    rows(f"queue: runs that wait at once, of {count}", waiting, "")
    rows("queue: a run is queued", median(filled["took"]), "ms", p99(filled["took"]))
    rows("queue: runs queued a second", count / filled["wall"], "/s")
    rows("queue: runs executed a second", count / took, "/s")
    rows("queue: events in their journals", events, "")
    rows("queue: memory of a waiting run", (memory - before) / count / 1024, "KiB")
    rows("queue: memory of the server, full", memory / MIB, "MiB")
    figures.plots["queue"] = {"took": filled["took"], "executed": count / took}
    return figures


def _one_more(common: dict[str, Any]) -> list[Any]:
    return ["POST", "/v1/threads/runs", {"assistant_id": common["assistant"]}]


def _fill(load: Worker, count: int, common: dict[str, Any]) -> dict[str, Any]:
    """Queue the runs in jobs, none of which takes too long."""
    all_of_them: dict[str, Any] = {"runs": [], "errors": [], "took": [], "wall": 0.0}
    for first in range(0, count, SLICE):
        some = min(SLICE, count - first)
        told = load.ask("queue", first=first, count=some, **common)
        for name in all_of_them:
            all_of_them[name] += told[name]
    return all_of_them


def _journals(load: Worker, runs: list[Any], common: dict[str, Any]) -> tuple[int, list[str]]:
    events, errors = 0, list[str]()
    for first in range(0, len(runs), SLICE):
        told = load.ask("journals", runs=runs[first : first + SLICE], **common)
        events += told["events"]
        errors += told["errors"]
    return events, errors
