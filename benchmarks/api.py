"""What the HTTP API itself costs: runs, streams and pages, with a model that takes no time.

A real `local-assistants serve` on a data folder of its own, loaded by another process; beside it a bare FastAPI
endpoint that streams the same bytes, and the embedded engine. All take turns, and the figures are medians over the
rounds. README.md, beside this file, says what each row is.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from _report import RESULTS
from api_parts import limits, results, seeds
from api_parts.children import Server, Worker, serve
from api_parts.rounds import ATTACH, WATCHERS, Figures, Round, Stage

DELTAS = 2000  # of the run that late subscribers read
LIVE_DELTAS = 1000
SPEED = 1000.0  # tokens/s of the live run: more than 200 followers can be told of
MANY = 100_000  # messages
FEW = 100


def say(text: str) -> None:
    """What it is at, for who waits."""
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


async def _seed_journal(data: Path, script: Path) -> seeds.Journaled:
    async with seeds.engine_on(data, script, seeds.AT_ONCE) as services:
        return await seeds.journal_run(services, DELTAS)


async def _seed_pages(data: Path, script: Path, sizes: list[int]) -> list[str]:
    async with seeds.engine_on(data, script, seeds.AT_ONCE) as services:
        return await seeds.fill_threads(services, sizes)


@contextmanager
def stage(root: Path) -> Iterator[Stage]:
    """All processes, on seeded data."""
    (recordings := root / "recordings").mkdir()
    echo = seeds.write_script(root / "echo.yaml", "{{user}}")
    text = " ".join(f"word{n}" for n in range(LIVE_DELTAS))
    live = seeds.write_script(root / "live.yaml", text, delay=ATTACH, tokens_per_second=SPEED)
    say(f"a run of {DELTAS} deltas is journaled")
    journaled = asyncio.run(_seed_journal(root / "ours", echo))
    say(f"{MANY} messages are stored")
    few = asyncio.run(_seed_pages(root / "few", echo, [FEW]))
    many = asyncio.run(_seed_pages(root / "many", echo, [FEW, MANY]))
    say("the servers are started")
    with ExitStack() as children:
        start = children.enter_context

        def server(name: str, used: Path, module: str = "local_assistants") -> Server:
            return start(serve(root / name, used, root / f"{name}.log", module=module))

        ours, small, large = server("ours", echo), server("few", echo), server("many", echo)
        second = start(serve(root / "many", echo, root / "second.log"))
        bare = [sys.executable, "-m", "api_parts.bare", recordings]
        yield Stage(
            ours=ours,
            live=server("live", live, "api_parts.live"),
            probed=server("probed", echo, "api_parts.probe"),
            bare=start(Server(bare, root / "bare.log")),
            embedded=start(Worker("embedded", root / "embedded.log", root / "embedded", echo)),
            load=start(Worker("load", root / "load.log")),
            recordings=recordings,
            journaled=journaled,
            pages=_pages(
                (small.address, few[0]), (large.address, many[0]), (second.address, many[1])
            ),
        )


def _pages(*threads: tuple[str, str]) -> list[tuple[str, str, str]]:
    """Name, address and path of what is listed: the newest page of a thread, and the oldest.

    Each thread is asked for at a server of its own, or the one that is asked more often would be the warmer one.
    """
    names = ("few", "others", "same")
    return [
        (f"{name} {order}", address, f"/v1/threads/{thread_id}/messages?order={order}")
        for order in ("desc", "asc")
        for name, (address, thread_id) in zip(names, threads, strict=True)
    ]


def measure(rounds: int) -> Figures:
    """Everything, `rounds` times; what takes long less often."""
    RESULTS.mkdir(exist_ok=True)
    figures = Figures()
    figures.notes["load_average_before"] = os.getloadavg()
    # not in the system's temporary folder, which may be in memory
    with tempfile.TemporaryDirectory(prefix="api-", dir=RESULTS) as folder:
        root = Path(folder)
        with stage(root) as ready:
            one = Round(ready, figures)
            one.prepare()
            played = ready.embedded.ask("journal", deltas=DELTAS)["run_id"]
            for number in range(1, rounds + 1):
                say(f"round {number} of {rounds}: runs")
                figures.samples["flush"] += limits.flushes(root)
                figures.rounds["loopback"].append(limits.loopback())
                one.runs()
                one.list_pages(40)
                say(f"round {number} of {rounds}: streams")
                one.journal(1, 5)
                one.live(1)
                one.embedded_journal(played)
                if number <= max(1, rounds // 2):
                    one.journal(WATCHERS, 1)
                    one.live(WATCHERS)
                    one.stalls()
    figures.notes["load_average_after"] = os.getloadavg()
    return figures


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="exit 1 when a goal is missed")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    began = time.monotonic()
    figures = measure(options.rounds)
    say(f"done after {time.monotonic() - began:.0f} s")
    return results.tell(figures, check=options.check)


if __name__ == "__main__":
    raise SystemExit(main())
