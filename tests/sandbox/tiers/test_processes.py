"""Processes of the host and of other sessions are neither seen, nor signalled, nor looked into, nor slowed down."""

import ast
import grp
from collections.abc import Sequence

import pytest

from .rows import Engine, breaches

_NOGROUP = 65534
PRETENDED = ("done None", "done 0")
NOBODY = ("ESRCH", "EPERM", "EACCES", "ENOENT", "ENOSYS")


def test_processes_outside_cannot_be_signalled(engine: Engine) -> None:
    """Neither the engine, nor another program of its user, nor another session, be it to see whether they are there."""
    attempts = [
        "os.kill({pid}, 0)",
        "call('tgkill', {pid}, {pid}, 0)",
        "signal.pidfd_send_signal(os.pidfd_open({pid}), 0)",
        "os.killpg({pid}, 0)",
    ]
    outcomes = engine.each(_on_all(engine, attempts), "import signal")
    assert {} == breaches(outcomes, (*NOBODY, "EINVAL"))


def test_signals_by_way_of_a_file_do_not_get_out(engine: Engine) -> None:
    """A pipe can be told to send any signal to its owner, and anybody can be made its owner."""
    setup = (
        "import fcntl, signal\n"
        "F_SETSIG = 10\n"
        "reading, writing = os.pipe()\n"
        "fcntl.fcntl(reading, F_SETSIG, signal.SIGKILL)\n"
        "fcntl.fcntl(reading, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)"
    )
    engine.tries("(fcntl.fcntl(reading, fcntl.F_SETOWN, $process), os.write(writing, b'x'))", setup)
    assert engine.ask("state")["alive"]


def test_everybody_is_nobody_else(engine: Engine) -> None:
    """A signal to all that may be signalled ends no process outside."""
    setup = "import signal\nif os.fork() == 0:\n    signal.pause()"
    engine.tries("os.kill(-1, signal.SIGKILL)", setup)
    assert engine.ask("state")["alive"]
    assert set(engine.facts["other"]) <= set(engine.ask("state")["pids"])


def test_processes_outside_cannot_be_looked_into(engine: Engine) -> None:
    """Their memory, arguments and open files are under /proc."""
    setup = "def seen(path): return os.listdir(path) if os.path.isdir(path) else open(path, 'rb').read(1)"
    names = ("mem", "environ", "maps", "cmdline", "fd", "root", "cwd", "ns/net")
    attempts = _on_all(engine, [f"seen('/proc/{{pid}}/{name}')" for name in names])
    assert {} == breaches(engine.each(attempts, setup), NOBODY)


def test_processes_outside_cannot_be_touched(engine: Engine) -> None:
    """Limits, priorities and processors of a process with one's own user are everybody's to set."""
    attempts = [
        "resource.prlimit({pid}, resource.RLIMIT_NOFILE)",
        "resource.prlimit({pid}, resource.RLIMIT_CPU, (1 << 40, resource.RLIM_INFINITY))",
        "os.setpriority(os.PRIO_PROCESS, {pid}, 19)",
        "os.setpriority(os.PRIO_PGRP, {pid}, 19)",
        "os.sched_setaffinity({pid}, [0])",
        "os.sched_setscheduler({pid}, os.SCHED_IDLE, os.sched_param(0))",
        "system(ioprio_set, 1, {pid}, 3 << 13)",
        "call('process_vm_readv', {pid}, None, 0, None, 0, 0)",
        "call('ptrace', 16, {pid}, 0, 0)",
    ]
    setup = "import platform, resource\nioprio_set = 251 if platform.machine() == 'x86_64' else 30"
    before = _treatment(engine)
    outcomes = engine.each(_on_all(engine, attempts), setup)
    assert before == _treatment(engine)
    assert {} == breaches(outcomes, (*NOBODY, *PRETENDED))


@pytest.mark.parametrize(
    "attempt", ["os.setpriority(os.PRIO_USER, 0, 19)", "system(ioprio_set, 3, 0, 3 << 13)"]
)
def test_all_of_a_user_cannot_be_slowed_down(engine: Engine, attempt: str) -> None:
    """The user's other processes are the engine and all sessions."""
    setup = "import platform\nioprio_set = 251 if platform.machine() == 'x86_64' else 30"
    before = _treatment(engine)
    engine.tries(attempt, setup)
    assert before == _treatment(engine)


def test_the_processes_of_the_host_are_not_listed(engine: Engine) -> None:
    """Where there is a list, it is short and starts at the sandbox's own first process."""
    seen = engine.tries("sum(name.isdigit() for name in os.listdir('/proc'))")
    assert seen in ("ENOENT", "EACCES", *(f"done {number}" for number in range(5)))


def test_the_program_has_no_capability(engine: Engine) -> None:
    """Neither now nor after another exec."""
    setup = (
        "import struct\n"
        "header = struct.pack('Ii', 0x20080522, 0)\n"
        "held = ctypes.create_string_buffer(24)\n"
        "def capabilities(): call('capget', header, held); return any(held.raw)"
    )
    assert "done False" == engine.tries("capabilities()", setup)
    assert "done 1" == engine.tries("libc.prctl(39, 0, 0, 0, 0)")  # PR_GET_NO_NEW_PRIVS


def test_nobody_is_root(engine: Engine) -> None:
    """Neither as the program sees it nor on the host; and a user's further groups do not come along."""
    assert "done False" == engine.tries("0 in (*os.getresuid(), *os.getresgid())")
    engine.run("open('mine.txt', 'w').write('x')", session="owner")
    owner = engine.look([f"{engine.folder}/programs/owner/data/mine.txt"])[0][1]
    assert 0 != owner
    groups: list[int] = ast.literal_eval(engine.tries("os.getgroups()").removeprefix("done "))
    known = {entry.gr_gid for entry in grp.getgrall()} - {_NOGROUP}
    assert known.isdisjoint(groups)


def test_there_is_no_terminal(engine: Engine) -> None:
    """A terminal of the operator's could be typed into."""
    assert engine.tries("os.open('/dev/tty', os.O_RDWR)") in ("ENXIO", "EACCES", "ENOENT", "EIO")
    assert engine.tries("os.ttyname(0)") == "ENOTTY"


def _pids(engine: Engine) -> list[int]:
    """Of the victims; of the other session its program, the last below what the engine started."""
    return [engine.facts["process"], engine.facts["engine"], engine.facts["other"][-1]]


def _on_all(engine: Engine, attempts: Sequence[str]) -> list[str]:
    """Each attempt on each victim."""
    return [attempt.format(pid=pid) for attempt in attempts for pid in _pids(engine)]


def _treatment(engine: Engine) -> list[object]:
    return [engine.ask("treatment", pid=pid) for pid in _pids(engine)]
