"""What a parsing child may do to processes, itself included: a filter of system calls, and the end of all it started.

The filter comes on top of the general one (`confinement.py`). The child may leave neither its group nor its session and
start no other program; what reads a file may start nothing at all, not even a thread, and send no signal. RLIMIT_NPROC
does not say this: it does not bind root.

Where the kernel takes no filter, `end` still finds everything: the child adopts what its descendants leave behind, so
all of it stands below the child in the table of processes. It knows x86_64 and aarch64.
"""

import contextlib
import os
import platform
import signal
import struct
from collections import defaultdict
from pathlib import Path

_CHILD = {
    "x86_64": {"setpgid": 109, "setsid": 112, "vfork": 58, "execve": 59, "execveat": 322},
    "aarch64": {"setpgid": 154, "setsid": 157, "execve": 221, "execveat": 281},
}
_SIGNALS = {
    "x86_64": {"kill": 62, "tkill": 200, "tgkill": 234, "sigqueue": 129, "tgsigqueue": 297},
    "aarch64": {"kill": 129, "tkill": 130, "tgkill": 131, "sigqueue": 138, "tgsigqueue": 240},
}
_STARTS = {"x86_64": {"clone": 56, "fork": 57}, "aarch64": {"clone": 220}}
_CLONE3, _PIDFD_SEND_SIGNAL = 435, 424  # on both

# linux/bpf_common.h and linux/seccomp.h, as in the general filter, which also refuses other instruction sets.
_LOAD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_ROUNDS = (
    100  # looks at the table of processes before it gives up on somebody who starts them faster
)


def of_child() -> bytes:
    """The filter for the whole life of a child; empty for a machine without a table."""
    return _program(_CHILD.get(platform.machine(), {}))


def of_reader() -> bytes:
    """The filter for what reads a file; empty for a machine without a table."""
    machine = platform.machine()
    if machine not in _STARTS:
        return b""
    denied = _STARTS[machine] | _SIGNALS[machine] | {"pidfd_send_signal": _PIDFD_SEND_SIGNAL}
    # A library that is told that clone3 is not there tries clone.
    return _program(denied, {"clone3": _CLONE3})


def _program(denied: dict[str, int], absent: dict[str, int] | None = None) -> bytes:
    if not denied:
        return b""
    code = [(_LOAD, 0, 0, 0)]  # the number of the call is the first field
    for numbers, answer in ((denied, _EPERM), (absent or {}, _ENOSYS)):
        for number in numbers.values():
            code += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, answer)]
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def end(child: int) -> None:
    """Kill a child of this process that was not waited for, and whatever descends from it."""
    _send(child, signal.SIGSTOP)  # it adopts on, but reaps nobody: every number stays its owner's
    for _ in range(_ROUNDS):
        living = _descendants(child)
        if not living:
            break
        for each in living:
            _send(each, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # also where there is no table to look at
    _send(child, signal.SIGKILL)


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _descendants(root: int) -> list[int]:
    """Those that still run, at the moment of looking."""
    below: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = status.read_text(errors="replace").rpartition(")")[2].split()[:2]
            below[int(parent)].append((int(status.parent.name), state))
    found, looked_at = list[int](), [root]
    while looked_at:
        for process, state in below[looked_at.pop()]:
            looked_at.append(process)
            if state not in "ZX":
                found.append(process)
    return found
