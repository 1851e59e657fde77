"""The system calls that code in a sandbox may not make, as a classic BPF program built in pure Python.

A deny list, on top of empty namespaces: what a data analyst's Python never needs and what has a history of kernel
bugs, reaches past namespaces (AF_VSOCK leads from a virtual machine to its hypervisor, and no network namespace
covers it), or uses up what the whole host or all of a user's programs share (asynchronous I/O, inotify). Numbers
newer than the newest one reviewed here answer ENOSYS, so that a library falls back as it would on an older kernel.

Where there are no namespaces (`Walls`), the filter also stands in for them: no socket but a unix stream and none
that calls anybody, nothing that acts on other processes or on files by name past Landlock.

It knows x86_64 and aarch64 and refuses others. It does not promise isolation alone. Layout of the data that the
program reads: `struct seccomp_data`, linux/seccomp.h.
"""

import enum
import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from .refusal import Refusal
from .syscalls import ARCHITECTURES, Architecture

__all__ = ["ARCHITECTURES", "Walls", "build"]

# linux/bpf_common.h: 32-bit load from the data, compare, bit test, return a constant.
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_AND = 0x54
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOTTY, _ENOSYS, _ENOTSUP, _EAFNOSUPPORT = 1, 25, 38, 95, 97
_DONE_NOTHING = 0  # "errno 0": the call is not made and its caller is told that it worked

_NEW_NAMESPACES = 0x7E020080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET,TIME}
_TIOCSTI, _TIOCLINUX = (
    0x5412,
    0x541C,
)  # type into, or paste into, the terminal of whoever started us
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_NETLINK_ROUTE = (
    0  # libzmq and getifaddrs ask it for interfaces; without it libzmq aborts the process
)
_NEWEST_REVIEWED = 466  # removexattrat, Linux 6.13; the numbers are the same on both from 424 on
_X32 = 0x40000000
_SOCK_TYPE, _SOCK_STREAM = 0xF, 1
_TERMINAL_QUESTIONS = (
    0x5401,
    0x802C542A,
    0x5413,
)  # TCGETS, TCGETS2, TIOCGWINSZ: isatty and the like
_DESCRIPTOR_REQUESTS = (0x5421, 0x5450, 0x5451, 0x541B)  # FIONBIO, FIONCLEX, FIOCLEX, FIONREAD
_PR_SET_PDEATHSIG = 1
# F_SETOWN, F_SETSIG, F_SETOWN_EX (signals to whom one likes), F_SETLEASE, F_NOTIFY (watching others' files)
_FCNTL_PAST_BORDERS = (8, 10, 15, 1024, 1026)
_PRIO_PROCESS = 0


class Walls(enum.Enum):
    """What stands between the program and the host besides the filter."""

    NAMESPACES = "namespaces"
    OWN_USER = "Landlock, and a user of its own"
    SAME_USER = "Landlock alone"


@dataclass
class _Program:
    """Instructions in order; each check is a short forward jump over one return."""

    code: list[bytes] = field(default_factory=list[bytes])

    def emit(self, op: int, k: int, if_true: int = 0, if_false: int = 0) -> None:
        self.code.append(struct.pack("<HBBI", op, if_true, if_false, k))

    def load(self, offset: int) -> None:
        self.emit(_LOAD, offset)

    def load_argument(self, index: int) -> None:
        # The low half of a 64-bit argument: families, flags and requests are 32-bit values on both machines.
        self.load(_ARGUMENTS + 8 * index)

    def give(self, action: int) -> None:
        self.emit(_RETURN, action)

    def give_if_equal(self, value: int, action: int) -> None:
        self.emit(_JUMP_EQUAL, value, 0, 1)
        self.give(action)

    def give_unless_equal(self, value: int, action: int) -> None:
        self.emit(_JUMP_EQUAL, value, 1, 0)
        self.give(action)

    def block(self, number: int, body: "_Program") -> None:
        """Run `body`, which must end in a return, for this system call only."""
        self.emit(_JUMP_EQUAL, number, 0, len(body.code))
        self.code.extend(body.code)


def _errno(number: int) -> int:
    return _ERRNO | number


def build(machine: str | None = None, walls: Walls = Walls.NAMESPACES) -> bytes:
    """The program for `machine` (default: this one), in the form that `bwrap --seccomp FD` reads.

    Raises:
        Refusal: no table for this kind of machine.
    """
    name = machine or platform.machine()
    arch = ARCHITECTURES.get(name)
    if arch is None:
        raise Refusal(
            f"no table of system calls for machine type {name!r}",
            "code_interpreter isolates on: " + ", ".join(sorted(ARCHITECTURES)),
        )
    program = _Program()
    _check_machine(program, arch)
    for number in sorted(set(arch.denied.values())):
        program.give_if_equal(number, _errno(_EPERM))
    program.give_if_equal(
        arch.clone3, _errno(_ENOSYS)
    )  # its flags lie in memory: unreadable from here
    # Gigabytes in no time, before any look at the disk; C libraries write zeros instead when it is not supported.
    program.give_if_equal(arch.fallocate, _errno(_ENOTSUP))
    program.block(arch.clone, _no_namespaces())
    if walls is Walls.NAMESPACES:
        program.block(arch.socket, _families((_AF_UNIX, _AF_INET, _AF_INET6), netlink_route=True))
        program.block(arch.socketpair, _families((_AF_UNIX,), netlink_route=False))
        program.block(arch.ioctl, _no_terminal_injection())
    else:
        _stand_in_for_namespaces(program, arch)
        if walls is Walls.SAME_USER:
            _leave_files_as_they_are(program, arch)
    program.give(_ALLOW)
    return b"".join(program.code)


def _check_machine(program: _Program, arch: Architecture) -> None:
    """Kill calls of another instruction set (int 0x80 has other numbers), refuse x32 and unknown numbers."""
    program.load(_ARCHITECTURE)
    program.emit(_JUMP_EQUAL, arch.audit, 1, 0)
    program.give(_KILL)
    program.load(_NUMBER)
    # x32 numbers have bit 30 set, so this one comparison covers them too.
    assert _NEWEST_REVIEWED < _X32
    program.emit(_JUMP_GREATER, _NEWEST_REVIEWED, 0, 1)
    program.give(_errno(_ENOSYS))


def _no_namespaces() -> _Program:
    body = _Program()
    body.load_argument(0)
    body.emit(_JUMP_ANY_BIT, _NEW_NAMESPACES, 0, 1)
    body.give(_errno(_EPERM))
    body.give(_ALLOW)
    return body


def _families(allowed: Iterable[int], *, netlink_route: bool) -> _Program:
    body = _Program()
    body.load_argument(0)
    for family in allowed:
        body.give_if_equal(family, _ALLOW)
    if netlink_route:
        body.emit(_JUMP_EQUAL, _AF_NETLINK, 0, 3)
        body.load_argument(2)
        body.give_if_equal(_NETLINK_ROUTE, _ALLOW)
    body.give(_errno(_EAFNOSUPPORT))
    return body


def _no_terminal_injection() -> _Program:
    body = _Program()
    body.load_argument(1)
    for request in (_TIOCSTI, _TIOCLINUX):
        body.give_if_equal(request, _errno(_EPERM))
    body.give(_ALLOW)
    return body


def _stand_in_for_namespaces(program: _Program, arch: Architecture) -> None:
    for number in arch.past_borders.values():
        program.give_if_equal(number, _errno(_EPERM))
    program.block(arch.socket, _unix_streams())
    program.block(arch.socketpair, _unix_streams())
    program.block(arch.ioctl, _ioctls())
    program.block(arch.prctl, _all_but(0, (_PR_SET_PDEATHSIG,)))
    program.block(arch.fcntl, _all_but(1, _FCNTL_PAST_BORDERS))
    program.block(arch.prlimit64, _only_itself(_errno(_EPERM)))
    program.block(arch.setpriority, _only_its_own_priority())
    for number in arch.schedulers:
        # libzmq gives each of its threads, by number, the priority that it has, and aborts when it may not.
        program.block(number, _only_itself(_errno(_DONE_NOTHING)))


def _leave_files_as_they_are(program: _Program, arch: Architecture) -> None:
    """Landlock does not cover modes, owners and times, so nobody's may be changed, the code's own files included.

    Libraries that copy files set them last and would fail; nothing depends on what they set, so they are told that
    it worked.
    """
    for number in arch.file_modes.values():
        program.give_if_equal(number, _errno(_DONE_NOTHING))
    for number in arch.file_attributes.values():
        program.give_if_equal(number, _errno(_ENOTSUP))


def _unix_streams() -> _Program:
    """AF_UNIX streams only: a datagram can be sent to any socket whose path is known."""
    body = _Program()
    body.load_argument(0)
    body.give_unless_equal(_AF_UNIX, _errno(_EAFNOSUPPORT))
    body.load_argument(1)
    body.emit(_AND, _SOCK_TYPE)
    body.give_unless_equal(_SOCK_STREAM, _errno(_EAFNOSUPPORT))
    body.give(_ALLOW)
    return body


def _ioctls() -> _Program:
    """Few requests: others reach attributes of files that are open for reading only."""
    body = _Program()
    body.load_argument(1)
    for request in (*_TERMINAL_QUESTIONS, *_DESCRIPTOR_REQUESTS):
        body.give_if_equal(request, _ALLOW)
    body.give(_errno(_ENOTTY))
    return body


def _all_but(argument: int, refused: Iterable[int]) -> _Program:
    body = _Program()
    body.load_argument(argument)
    for value in refused:
        body.give_if_equal(value, _errno(_EPERM))
    body.give(_ALLOW)
    return body


def _only_itself(otherwise: int) -> _Program:
    """The process in the first argument must be 0, the caller."""
    body = _Program()
    body.load_argument(0)
    body.give_unless_equal(0, otherwise)
    body.give(_ALLOW)
    return body


def _only_its_own_priority() -> _Program:
    body = _Program()
    body.load_argument(0)
    body.give_unless_equal(_PRIO_PROCESS, _errno(_EPERM))
    body.load_argument(1)
    body.give_unless_equal(0, _errno(_EPERM))
    body.give(_ALLOW)
    return body
