"""When the engine is gone, so is everything it started."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation import processes
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.kernels import launch

_ENGINE = """
import asyncio, sys, time
from pathlib import Path
from local_assistants.tools.code_interpreter import environment
from local_assistants.tools.code_interpreter.isolation import probe
from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.isolation.job import Job

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


def test_a_kernel_that_nobody_waits_for_ends_by_itself(
    environment: Environment, tmp_path: Path
) -> None:
    """Had the engine died while bwrap was setting up, no signal would come; the launcher sees it by its stderr."""
    settings: dict[str, object] = {"listeners": {}, "limits": asdict(Limits()), "preload": []}
    (tmp_path / "launch.json").write_text(json.dumps(settings))
    kernel = subprocess.Popen(
        [str(environment.python), "-I", str(launch.__file__), str(tmp_path)], stderr=subprocess.PIPE
    )
    assert kernel.stderr is not None
    kernel.stderr.close()
    assert 0 == kernel.wait(30)


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
