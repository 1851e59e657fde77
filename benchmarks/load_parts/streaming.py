"""Many runs that are executed and streamed at the same time, each to a client of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _report import Goal, median, p99
from api_parts import seeds
from api_parts.children import Worker

from load_parts.figures import Figures, say
from load_parts.servers import MIB, LoadedServer

WORDS = 24
PER_SECOND = 4.0  # words; so that all runs speak at the same time
STARTS = (
    150.0  # runs that a second brings into progress, at the least; until then the first ones wait
)
WARM = 50

ENOUGH = 500
"""Streams from which on their memory says something of one; what the server needs anyway is more than that of a few."""

MORE_MEMORY = 256 * 1024
"""Bytes that one more streaming run may cost: a laptop has room for a thousand of them."""


def measure(root: Path, load: Worker, count: int) -> Figures:
    """`count` runs at once: every event of every stream is there, in order, and as the journal has it."""
    figures = Figures()
    pause = max(1.0, count / STARTS)
    (scripts := root / "stream-scripts").mkdir()
    pace = {"tokens_per_second": PER_SECOND}
    seeds.write_script(scripts / "default.yaml", "{{user}}", delay=pause, **pace)
    seeds.write_script(scripts / "quick.yaml", "{{user}}")
    places = f"[runs]\nmax_concurrent_runs = {max(count, WARM)}\n"
    with LoadedServer(root, "streams", scripts, settings=places) as server:
        assistants = [server.assistant(load, model) for model in ("quick", "default")]
        warm, spoken = ({"assistant": each, "words": WORDS} for each in assistants)
        load.ask("streams", address=server.address, count=WARM, **warm)
        say(f"{count} runs at once are streamed")
        before = server.at_rest()
        with watched(server) as seen:
            told = load.ask("streams", address=server.address, count=count, **spoken)
        after = server.at_rest(before.files)
    figures.none("streams: errors, events lost, doubled or out of order", told["errors"])
    spans = told["spans"]
    each = (max(seen) - before.memory) / count
    most = at_once(spans)
    figures.goals.append(Goal("streams: runs in progress at once", most, count, at_least=True))
    if count >= ENOUGH:
        limit = MORE_MEMORY / 1024
        figures.goals.append(Goal("streams: KiB of memory for one more", each / 1024, limit))
    nominal = pause + WORDS / PER_SECOND
    late = [ended - marked - nominal for _, marked, ended in spans]
    starts = [1000 * (marked - began) for began, marked, _ in spans]
    rows = figures.add
    rows(f"streams: runs in progress at once, of {count}", most, "")
    rows("streams: events told", told["events"], "")
    rows("streams: events a second, over all", told["events"] / told["wall"], "/s")
    rows("streams: from the request to in progress", median(starts), "ms", p99(starts))
    rows("streams: ends later than its words need", 1000 * median(late), "ms", 1000 * p99(late))
    rows("streams: memory of the server before", before.memory / MIB, "MiB")
    rows("streams: memory at the most", max(seen) / MIB, "MiB")
    rows("streams: memory afterwards", after.memory / MIB, "MiB")
    rows("streams: memory of one more", each / 1024, "KiB")
    figures.goals.append(
        Goal("streams: more files open than before", after.files - before.files, 0)
    )
    first = min(began for began, _, _ in spans)
    figures.plots["streams"] = [[time - first for time in span] for span in spans]
    figures.plots["stream_memory"] = [memory / MIB for memory in seen]
    return figures


def at_once(spans: list[list[float]]) -> int:
    """How many of the runs (asked for, in progress, over) were in progress at the same moment, at the most."""
    changes = sorted([(ended, -1) for _, _, ended in spans] + [(begun, 1) for _, begun, _ in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most


@contextmanager
def watched(server: LoadedServer, every: float = 0.25) -> Iterator[list[int]]:
    """The memory of the server, looked at for the length of the block."""
    seen = [server.memory]
    over = threading.Event()

    def look() -> None:
        while not over.wait(every):
            seen.append(server.memory)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
