"""The self-test's own program, run inside the sandbox: tries what must not work and prints what held, as JSON.

Keys are what code could do if the value were false. Standard library only. What it is told (`main`) leads to things
of the host that were put there to be reached for.
"""

import contextlib
import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

_CLONE_NEWUSER = 0x10000000
_PR_GET_SECCOMP = 21
_DAEMON_SECONDS = 20


def main(told: dict[str, Any]) -> None:
    """Print {what code could do: whether it cannot}."""
    outcome = {**_network(told), **_processes(told), **_files(told)}
    for descriptor in told["descriptors"]:
        _leave_a_daemon(descriptor)
    print(json.dumps(outcome))  # noqa: T201 - the answer


def _network(told: dict[str, Any]) -> dict[str, bool]:
    return {
        "see the host's network": _fails(_interfaces) or _interfaces() == ["lo"],
        "call a server of the host": _fails(
            lambda: socket.create_connection(("127.0.0.1", told["port"]), timeout=2).close()
        ),
        "call a unix socket of the host": _fails(lambda: _call(told["stream"])),
        "call an abstract unix socket of the host": _fails(lambda: _call("\0" + told["abstract"])),
        "send to a unix socket of the host": _fails(lambda: _send(told["datagram"])),
        "reach a hypervisor (AF_VSOCK)": _fails(lambda: socket.socket(40, socket.SOCK_STREAM)),
        "open raw packets": _fails(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
    }


def _processes(told: dict[str, Any]) -> dict[str, bool]:
    libc = ctypes.CDLL(None, use_errno=True)
    engine = told["engine"]
    return {
        "make namespaces": libc.unshare(_CLONE_NEWUSER) != 0,
        "make system calls unfiltered": libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) == 2,
        "be root": 0 not in (os.getuid(), os.geteuid(), os.getgid()),
        "see other processes": _fails(lambda: os.listdir("/proc")) or os.getpid() < 16,
        "signal the engine": engine is None or _fails(lambda: os.kill(engine, 0)),
        "change the priority of the engine": engine is None
        or _fails(lambda: os.setpriority(os.PRIO_PROCESS, engine, told["nice"])),
        "trace processes": libc.ptrace(0, 0, 0, 0) != 0,
    }


def _files(told: dict[str, Any]) -> dict[str, bool]:
    for change in _changes(told["file"], f"{told['data']}/.linked"):
        with contextlib.suppress(OSError):
            change()  # the host looks whether it came to anything
    return {
        "read files of the engine": _cannot_read(told["file"]),
        "write to the system": _cannot_write("/usr/probe"),
        "write to the interpreter": _cannot_write(f"{sys.prefix}/probe"),
        "write to the base interpreter": _cannot_write(f"{sys.base_prefix}/probe"),
        "write outside its folders": _cannot_write("/probe"),
        "set kernel parameters": _cannot_write("/proc/sys/kernel/core_pattern"),
        "not write its own folder": not _cannot_write(f"{told['data']}/.probe"),
        **{f"see {path}": not os.path.lexists(path) for path in told["hidden"]},
        **{f"read {path}": _cannot_read(path) for path in told["unreadable"]},
    }


def _changes(path: str, inside: str) -> list[Callable[[], object]]:
    return [
        lambda: os.chmod(path, 0o777),
        lambda: os.utime(path, (0, 0)),
        lambda: os.truncate(path, 0),
        lambda: os.close(os.open(path, os.O_WRONLY | os.O_APPEND)),
        lambda: os.setxattr(path, "user.probe", b"1"),
        lambda: os.link(path, inside),
        lambda: os.rename(path, f"{path}.moved"),
        lambda: os.unlink(path),
    ]


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _call(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(address)


def _send(address: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"probe", address)


def _leave_a_daemon(descriptor: int) -> None:
    """Start a process that leaves its parent and its session, holding the descriptor while it lives."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for each in (1, 2):
                os.close(each)
            time.sleep(_DAEMON_SECONDS)
        os._exit(0)
    os.wait()
    os.close(descriptor)


def _fails(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return True
    return False


def _cannot_write(path: str) -> bool:
    return _fails(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT)))


def _cannot_read(path: str) -> bool:
    """Neither what a file holds nor what is in a folder."""
    return _fails(lambda: os.close(os.open(path, os.O_RDONLY)))


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        main(json.load(file))
