"""Signals end a server's process even where its loop cannot."""

import signal
import subprocess
import sys

from local_assistants.server import signals

BLOCKED = """
import asyncio, os, signal, time
from local_assistants.server.signals import stop_signals

async def main():
    asked = asyncio.Event()
    with stop_signals(asked.set, deadline=0.1):
        os.kill(os.getpid(), signal.SIGTERM)
        await asked.wait()
        print("asked", flush=True)
        time.sleep(100)

asyncio.run(main())
"""


def test_a_server_that_does_not_end_is_ended() -> None:
    """It was asked, and does something else that never comes to an end."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60, check=False
    )
    assert (1, "asked\n") == (done.returncode, done.stdout)
    assert signals.TOO_LATE.decode() == done.stderr


async def test_the_signals_are_given_back() -> None:
    """Whoever had them before has them after."""
    before = [signal.getsignal(number) for number in signals.STOPPING]
    with signals.stop_signals(lambda: None, 1.0):
        assert before != [signal.getsignal(number) for number in signals.STOPPING]
    assert before == [signal.getsignal(number) for number in signals.STOPPING]
