"""The self-test's own program, run inside the sandbox: tries what must not work and prints what held, as JSON.

Keys are what code could do if the value were false. Standard library only.
"""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable

_CLONE_NEWUSER = 0x10000000
_PR_GET_SECCOMP = 21


def main() -> None:
    """Print {what code could do: whether it cannot}."""
    libc = ctypes.CDLL(None, use_errno=True)
    hidden = json.loads(sys.argv[1])
    outcome = {
        "see the host's network": [name for _, name in socket.if_nameindex()] == ["lo"],
        "reach a hypervisor (AF_VSOCK)": _fails(lambda: socket.socket(40, socket.SOCK_STREAM)),
        "open raw packets": _fails(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)),
        "make namespaces": libc.unshare(_CLONE_NEWUSER) != 0,
        "make system calls unfiltered": libc.prctl(_PR_GET_SECCOMP, 0, 0, 0, 0) == 2,
        "be root": 0 not in (os.getuid(), os.geteuid(), os.getgid()),
        "see other processes": os.getpid() < 16,
        "write to the system": _cannot_write("/usr/probe"),
        "write to the interpreter": _cannot_write(f"{sys.prefix}/probe"),
        "write to the base interpreter": _cannot_write(f"{sys.base_prefix}/probe"),
        "write outside its folders": _cannot_write("/probe"),
        "set kernel parameters": _cannot_write("/proc/sys/kernel/core_pattern"),
        "not write its own folder": not _cannot_write("/mnt/data/.probe"),
        **{f"see {path}": not os.path.lexists(path) for path in hidden},
    }
    print(json.dumps(outcome))  # noqa: T201 - the answer


def _fails(action: Callable[[], object]) -> bool:
    try:
        action()
    except OSError:
        return True
    return False


def _cannot_write(path: str) -> bool:
    return _fails(lambda: os.close(os.open(path, os.O_WRONLY | os.O_CREAT)))


if __name__ == "__main__":
    main()
