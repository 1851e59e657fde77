"""The signals that stop a server: the first asks it to, the second ends the process at once.

At once is what `kill -9` does: whatever was acknowledged is on disk, runs are taken up again when their leases have
lapsed, and children die with the process. A server that was asked and does not end is ended the same way. Knows
nothing of what there is to stop.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = (signal.SIGINT, signal.SIGTERM)
_AT_ONCE = b"Ended at once. What was acknowledged is kept; runs go on at the next start.\n"
TOO_LATE = b"The server did not end in time. What was acknowledged is kept; runs go on at the next start.\n"


@contextmanager
def stop_signals(ask: Callable[[], None], deadline: float) -> Iterator[None]:
    """For the length of the block have `ask` called on the running loop at the first signal.

    To be entered on the main thread; `deadline` is in seconds from that signal.
    """
    loop = asyncio.get_running_loop()
    timers: list[threading.Timer] = []

    def stop(number: int, frame: FrameType | None) -> None:
        del frame
        if timers:
            _end(_AT_ONCE, 128 + number)
        timer = threading.Timer(deadline, _end, (TOO_LATE, 1))  # a blocked loop could not do it
        timer.daemon = True
        timers.append(timer)
        timer.start()
        loop.call_soon_threadsafe(ask)

    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for timer in timers:
            timer.cancel()


def _end(said: bytes, status: int) -> None:
    os.write(2, said)
    os._exit(status)
