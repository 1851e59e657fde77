"""When the engine is gone, so is everything it started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from local_assistants.tools.code_interpreter import processes
from local_assistants.tools.code_interpreter.environment import Environment

_ENGINE = """
import asyncio, sys, time
from pathlib import Path
from local_assistants.tools.code_interpreter import environment, probe
from local_assistants.tools.code_interpreter.limits import Limits
from local_assistants.tools.code_interpreter.sandbox import Job

async def main():
    found = environment.find(Path(sys.argv[1]))
    sandbox = await probe.find_sandbox(found, Limits())
    code = "import subprocess, time; subprocess.Popen(['sleep', '300']); print('up', flush=True); time.sleep(300)"
    await sandbox.start(Job(argv=("-c", code)), stdout=1)
    await asyncio.sleep(300)

asyncio.run(main())
"""


def test_nothing_outlives_a_killed_engine(environment: Environment) -> None:
    """After SIGKILL of the engine its sandbox and all processes in it are gone."""
    engine = subprocess.Popen(
        [sys.executable, "-c", _ENGINE, str(environment.prefix)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    with engine:
        assert engine.stdout is not None
        assert b"up\n" == engine.stdout.readline()
        started = list(processes.descendants(engine.pid))
        assert len(started) >= 4
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    assert [] == _still_there(started)


def _still_there(pids: list[int]) -> list[int]:
    """Which of them live after a second of patience; zombies are dead."""
    left = pids
    for _ in range(50):
        left = [pid for pid in left if _alive(pid)]
        if not left:
            break
        time.sleep(0.05)
    return left


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
