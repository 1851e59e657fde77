"""What durability costs: acknowledged writes a second with synchronous=FULL against NORMAL, by writers at a time.

Each writer stores one message, waits until that is acknowledged, and stores the next, through the store's own port.
FULL and NORMAL take turns round by round on the same disk; the goal is on the median of the rounds' own ratios. Beside
them the two limits: a flush of the disk, and one connection that commits each message by itself. README.md, beside this
file, says what each row is.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import _plot
from _report import RESULTS, Goal, Row, median, p99, report
from api_parts.limits import flushes

from local_assistants.engine.clock import RandomIds
from local_assistants.engine.objects import Message, Thread
from local_assistants.engine.requests import CreateMessage
from local_assistants.engine.states import MessageStatus
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore, connect
from local_assistants.storage.transaction import SQLiteTransaction

WRITERS = (1, 8, 64)
LEVELS = (SQLiteSettings("full"), SQLiteSettings("normal"))
GOAL = 0.5

Samples = dict[str, list[float]]


def new_message(thread: Thread, ids: RandomIds) -> Message:
    """A message of a hundred words."""
    return Message(
        id=ids.new("message"),
        created_at=int(time.time()),
        thread_id=thread.id,
        status=MessageStatus.COMPLETED,
        role="user",
        content=CreateMessage(role="user", content="some words " * 50).parts(),
    )


def _put(message: Message, tx: SQLiteTransaction) -> None:
    tx.put(message)


async def written(
    store: SQLiteStore, make: Callable[[], Message], writers: int, seconds: float
) -> tuple[float, list[float]]:
    """Acknowledged writes a second, and how long each took in milliseconds."""
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def writer() -> None:
        while (began := time.perf_counter()) < end:
            await store.write(partial(_put, make()))
            took.append(1000 * (time.perf_counter() - began))

    began = time.perf_counter()
    await asyncio.gather(*(writer() for _ in range(writers)))
    return len(took) / (time.perf_counter() - began), took


def alone(path: Path, settings: SQLiteSettings, make: Callable[[], Message], count: int) -> float:
    """Writes a second of one connection that commits each by itself: what nobody groups."""
    with closing(connect(path, settings)) as connection:
        tx = SQLiteTransaction(connection)
        began = time.perf_counter()
        for _ in range(count):
            connection.execute("BEGIN IMMEDIATE")
            tx.put(make())
            connection.execute("COMMIT")
        return count / (time.perf_counter() - began)


async def one_round(
    folder: Path, number: int, seconds: float, rates: Samples, took: Samples
) -> None:
    """Both levels with every number of writers; who comes first changes from round to round."""
    levels = LEVELS if number % 2 else LEVELS[::-1]
    ids = RandomIds()
    thread = Thread(id=ids.new("thread"), created_at=int(time.time()))

    def make() -> Message:
        return new_message(thread, ids)

    for writers in WRITERS:
        for level in levels:
            path = folder / f"{number}-{writers}-{level.durability}.db"
            store = SQLiteStore.open(path, level)
            await store.write(lambda tx: tx.put(thread))
            rate, times = await written(store, make, writers, seconds)
            await store.close()
            rates[f"{level.durability} {writers}"].append(rate)
            took[f"{level.durability} {writers}"] += times
            if writers == 1:
                rates[f"{level.durability} alone"].append(alone(path, level, make, 300))


def measure(rounds: int, seconds: float) -> tuple[Samples, Samples]:
    """Rates by level and writers, one a round, and the times of all writes."""
    RESULTS.mkdir(exist_ok=True)
    rates: Samples = defaultdict(list)
    took: Samples = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="durability-", dir=RESULTS) as folder:
        for number in range(1, rounds + 1):
            print(f"[{time.strftime('%H:%M:%S')}] round {number} of {rounds}", file=sys.stderr)
            took["flush"] += flushes(Path(folder))
            asyncio.run(one_round(Path(folder), number, seconds, rates, took))
    return rates, took


def ratio(rates: Samples, of: str) -> float:
    """FULL to NORMAL: the median of the rounds' own ratios."""
    pairs = zip(rates[f"full {of}"], rates[f"normal {of}"], strict=True)
    return median([full / normal for full, normal in pairs])


def tell(rates: Samples, took: Samples, *, check: bool) -> int:
    """Print, keep, draw and judge; the exit status."""
    rows = [Row("disk: 4 KiB written and flushed", median(took["flush"]), "ms", p99(took["flush"]))]
    for of in ("alone", *map(str, WRITERS)):
        who = "one connection, each by itself" if of == "alone" else f"{of} at a time"
        full, normal = f"full {of}", f"normal {of}"
        rows += [
            Row(f"{who}: FULL", median(rates[full]), "writes/s", None, ratio(rates, of), "NORMAL"),
            Row(f"{who}: NORMAL", median(rates[normal]), "writes/s"),
        ]
        rows += [
            Row(f"{who}: a write, {level.upper()}", median(took[name]), "ms", p99(took[name]))
            for level, name in (("full", full), ("normal", normal))
            if took[name]
        ]
    goals = [
        Goal("FULL against NORMAL, 64 writers at a time", ratio(rates, "64"), GOAL, at_least=True)
    ]
    drawing = Path(__file__).parent / "load_parts" / "drawing_durability.py"
    _plot.draw(drawing, {"writers": WRITERS, "rates": rates}, RESULTS / "durability.png")
    notes = {"rates": rates, "load_average_after": os.getloadavg()}
    return report("durability", rows, goals, check=check, notes=notes)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when the goal is missed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=1.5, help="of each level and number of writers"
    )
    options = parser.parse_args()
    return tell(*measure(options.rounds, options.seconds), check=options.check)


if __name__ == "__main__":
    raise SystemExit(main())
