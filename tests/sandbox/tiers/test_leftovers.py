"""When a session or an engine is gone, however it went, nothing of it runs on and nothing lies about."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.environment import Environment
from local_assistants.tools.code_interpreter.isolation import processes

from .rows import WORKED_OFTEN, Engine, Row

OFTEN = WORKED_OFTEN

_PATIENCE = 10.0
_LOOKS = 100  # at all processes, to be sure that one which is another every few milliseconds is not there
_CLINGING = """
import subprocess, sys
daemon = '''
import os, signal, time  # {mark}
for number in range(1, 65):
    try: signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError): pass
os.closerange(0, 4096)
{body}
'''
twice = "import os, sys\\nif os.fork(): os._exit(0)\\nos.setsid()\\nif os.fork(): os._exit(0)\\n"
subprocess.run([sys.executable, "-c", twice + daemon])
"""
_ENDED = "too many background processes: they were ended"
"""Said at the end of a call that left many: of a hopper, on a busy machine, dozens still wait to be reaped."""
_SLEEPER = "time.sleep(3600)"
_HOPPER = """
while True:
    try:
        if os.fork(): os._exit(0)
    except OSError: pass  # as many as there may be: on a busy machine ends are noticed late
    time.sleep(0.002)
"""


@pytest.fixture
def own(row: Row, environment: Environment) -> Iterator[Engine]:
    """An engine that the test may kill."""
    made = Engine(row, environment)
    yield made
    if made.process.poll() is None:
        made.close()
    else:
        with contextlib.suppress(ProcessLookupError):
            os.kill(made.facts["process"], signal.SIGKILL)  # the victim, which no engine ends now
        made.forget()


@pytest.mark.parametrize("body", [_SLEEPER, _HOPPER], ids=["sleeper", "hopper"])
def test_nothing_outlives_its_session(engine: Engine, body: str) -> None:
    """A daemon that left its parents and ignores all signals, and one that is a new process each millisecond."""
    mark = f"mark-{time.monotonic_ns()}"
    said = engine.call(_CLINGING.format(mark=mark, body=body), thread=mark)["logs"]
    assert _is_there(mark) or _ENDED in said
    engine.ask("rest")
    assert [] == _still(mark)


@pytest.mark.parametrize("body", [_SLEEPER, _HOPPER], ids=["sleeper", "hopper"])
def test_nothing_outlives_a_killed_engine(own: Engine, body: str) -> None:
    """SIGKILL leaves the engine no time for anything."""
    mark = f"mark-{time.monotonic_ns()}"
    said = own.call(_CLINGING.format(mark=mark, body=body), thread="left")["logs"]
    assert _is_there(mark) or _ENDED in said
    started = list(processes.descendants(own.process.pid))
    assert len(started) >= 3
    own.process.send_signal(signal.SIGKILL)
    own.process.wait()
    assert [] == _still(mark)
    assert [] == _still_of_a_sandbox(started)


def test_nothing_outlives_a_killed_guard(engine: Engine) -> None:
    """SIGKILL to whoever took the daemon on: another guard ends it, or the engine when the session's user is freed."""
    mark = f"mark-{time.monotonic_ns()}"
    engine.call(_CLINGING.format(mark=mark, body=_SLEEPER), thread=mark)
    (daemon,) = _seen(mark)
    os.kill(_parent(daemon), signal.SIGKILL)
    if engine.row.tier == "B" and not engine.row.plain:
        engine.ask("rest")
    assert [] == _still(mark)


def test_an_interrupted_call_leaves_no_process(engine: Engine) -> None:
    """The interrupt reaches the kernel alone; what it had started must not spin on."""
    mark = f"mark-{time.monotonic_ns()}"
    code = _CLINGING.format(mark=mark, body=_SLEEPER) + "\nwhile True: pass"
    engine.call(code, thread="interrupted", wall_seconds=1.0)
    assert [] == _still(mark)


def test_the_next_engine_sweeps_what_a_killed_one_left(
    own: Engine, environment: Environment
) -> None:
    """Folders of sockets, mount points, copies of users' files."""
    if not own.row.plain:
        return  # whose folders are whose is only told apart by an owner who has no others
    before = _folders(own)
    own.call("1", thread="left")
    own.process.send_signal(signal.SIGKILL)
    own.process.wait()
    time.sleep(0.5)
    later = Engine(own.row, environment)
    later.call("1", thread="later")
    later.close()
    assert _folders(own) <= before


def _folders(engine: Engine) -> set[str]:
    """What lies in temporary places and belongs to the engine's user, but for the tests' own folders."""
    uid = engine.hello["uid"]
    return {
        str(path)
        for place in ("/tmp", "/run", "/var/tmp", "/dev/shm")
        for path in Path(place).glob("*")
        if _owner(path) == uid and not path.name.startswith("row-")
    }


def _owner(path: Path) -> int | None:
    with contextlib.suppress(FileNotFoundError):  # another program's, and gone meanwhile
        return path.lstat().st_uid
    return None


def _seen(mark: str) -> list[int]:
    """Processes with the mark in their arguments; zombies have none."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def _is_there(mark: str) -> bool:
    """Whether it was seen in some looks: one could fall between two hops, on a busy machine many."""
    return any(_seen(mark) for _ in range(_LOOKS))


def _still(mark: str) -> list[int]:
    """Those that are there after some patience."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if not _is_there(mark):
            return []
    return _seen(mark) or [-1]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _still_of_a_sandbox(pids: list[int]) -> list[int]:
    """Those that run after some patience."""
    until = time.monotonic() + _PATIENCE
    while (left := [pid for pid in pids if _is_of_a_sandbox(pid)]) and time.monotonic() < until:
        time.sleep(0.05)
    return left


def _is_of_a_sandbox(pid: int) -> bool:
    """Whether it still runs, and is not the victim's `sleep`, which belongs to the test."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return status != "Z" and b"sleep" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
