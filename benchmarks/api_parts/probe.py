"""`local-assistants serve` with a stopwatch in its event loop; for the loop's stalls only, being slower.

    python -m api_parts.probe serve --model scripted:FILE --data FOLDER --port 0

SIGUSR1 begins anew; on SIGUSR2 the process writes one line of JSON to stderr: the longest single callback (on a busy
machine part of that is others' work), the most CPU one took (collecting garbage included), and the worst delay of a
timer that is due every 5 ms, which is how long anything had to wait for its turn among the others.
"""

import asyncio
import json
import signal
import sys
import time
from typing import Any

from local_assistants import __main__, serving

_INTERVAL = 0.005


class Stopwatch:
    """Times every callback of the loop."""

    def __init__(self) -> None:
        self._run = asyncio.Handle._run  # type: ignore[attr-defined]
        self.reset()

    def reset(self) -> None:
        self.longest, self.name, self.delay = 0.0, "", 0.0
        self.cpu = 0.0
        self.over = 0
        self.callbacks = 0

    def timed(self, handle: Any) -> None:
        """In place of Handle._run."""
        began, worked = time.perf_counter(), time.thread_time()
        self._run(handle)
        took, work = time.perf_counter() - began, time.thread_time() - worked
        self.cpu = max(self.cpu, work)
        self.callbacks += 1
        self.over += took > 0.02
        if took > self.longest:
            self.longest, self.name = took, repr(handle)

    async def tick(self) -> None:
        """Look how late a timer is."""
        while True:
            due = time.perf_counter() + _INTERVAL
            await asyncio.sleep(_INTERVAL)
            self.delay = max(self.delay, time.perf_counter() - due)

    def tell(self) -> None:
        figures = {
            "longest_ms": 1000 * self.longest,
            "longest_cpu_ms": 1000 * self.cpu,
            "name": self.name,
            "over_20_ms": self.over,
            "callbacks": self.callbacks,
            "delay_ms": 1000 * self.delay,
        }
        print(json.dumps(figures), file=sys.stderr, flush=True)


def main() -> None:
    """Patch, then serve."""
    watch = Stopwatch()
    asyncio.Handle._run = lambda handle: watch.timed(handle)  # type: ignore[attr-defined]
    serve_forever = serving.serve_forever

    async def watched(*args: Any, **named: Any) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, watch.reset)
        loop.add_signal_handler(signal.SIGUSR2, watch.tell)
        ticking = asyncio.create_task(watch.tick())
        try:
            await serve_forever(*args, **named)
        finally:
            ticking.cancel()

    serving.serve_forever = watched  # type: ignore[assignment]
    __main__.main()


if __name__ == "__main__":
    main()
