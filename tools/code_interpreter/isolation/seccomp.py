"""The system calls that code in the sandbox may not make, as a classic BPF program built in pure Python.

A deny list, on top of empty namespaces: what a data analyst's Python never needs and what has a history of
kernel bugs or reaches past namespaces (AF_VSOCK leads from a virtual machine to its hypervisor, and no network
namespace covers it). Numbers newer than the newest one reviewed here answer ENOSYS, so that a library falls back
as it would on an older kernel.

It knows x86_64 and aarch64 and refuses others. It does not promise isolation alone: files, processes and the
network are the namespaces' work. Layout of the data that the program reads: `struct seccomp_data`, linux/seccomp.h.
"""

import platform
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from ....engine.errors import SandboxUnavailable

# linux/bpf_common.h: 32-bit load from the data, compare, bit test, return a constant.
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_EPERM, _ENOSYS, _EAFNOSUPPORT = 1, 38, 97

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

_COMMON = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_getfd": 438,
    "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "statmount": 457, "listmount": 458,
}  # fmt: skip

_X86_64 = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "mount": 165, "umount2": 166,
    "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250, "kexec_load": 246,
    "kexec_file_load": 320, "create_module": 174, "init_module": 175, "delete_module": 176, "query_module": 178,
    "finit_module": 313, "swapon": 167, "swapoff": 168, "acct": 163, "quotactl": 179, "reboot": 169,
    "syslog": 103, "open_by_handle_at": 304, "fanotify_init": 300, "personality": 135, "settimeofday": 164,
    "clock_settime": 227, "clock_adjtime": 305, "adjtimex": 159, "shmget": 29, "shmat": 30, "shmctl": 31,
    "shmdt": 67, "semget": 64, "semop": 65, "semctl": 66, "semtimedop": 220, "msgget": 68, "msgsnd": 69,
    "msgrcv": 70, "msgctl": 71, "mq_open": 240, "mq_unlink": 241, "memfd_create": 319, "seccomp": 317,
    "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "uselib": 134,
    "vhangup": 153, "nfsservctl": 180, "_sysctl": 156, "sysfs": 139, "ustat": 136, "lookup_dcookie": 212,
}  # fmt: skip

_AARCH64 = {
    "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "mount": 40, "umount2": 39,
    "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "bpf": 280, "perf_event_open": 241,
    "userfaultfd": 282, "add_key": 217, "request_key": 218, "keyctl": 219, "kexec_load": 104,
    "kexec_file_load": 294, "init_module": 105, "delete_module": 106, "finit_module": 273, "swapon": 224,
    "swapoff": 225, "acct": 89, "quotactl": 60, "reboot": 142, "syslog": 116, "open_by_handle_at": 265,
    "fanotify_init": 262, "personality": 92, "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266,
    "adjtimex": 171, "shmget": 194, "shmctl": 195, "shmat": 196, "shmdt": 197, "semget": 190, "semctl": 191,
    "semtimedop": 192, "semop": 193, "msgget": 186, "msgctl": 187, "msgrcv": 188, "msgsnd": 189, "mq_open": 180,
    "mq_unlink": 181, "memfd_create": 279, "seccomp": 277, "sethostname": 161, "setdomainname": 162,
    "vhangup": 58, "nfsservctl": 42, "lookup_dcookie": 18,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """Numbers of one machine kind: its audit constant and the system calls that need a look at arguments."""

    audit: int
    clone: int
    socket: int
    socketpair: int
    ioctl: int
    denied: dict[str, int]
    clone3: int = 435


ARCHITECTURES = {
    "x86_64": Architecture(
        audit=0xC000003E, clone=56, socket=41, socketpair=53, ioctl=16, denied=_X86_64 | _COMMON
    ),
    "aarch64": Architecture(
        audit=0xC00000B7, clone=220, socket=198, socketpair=199, ioctl=29, denied=_AARCH64 | _COMMON
    ),
}


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

    def block(self, number: int, body: "_Program") -> None:
        """Run `body`, which must end in a return, for this system call only."""
        self.emit(_JUMP_EQUAL, number, 0, len(body.code))
        self.code.extend(body.code)


def _errno(number: int) -> int:
    return _ERRNO | number


def build(machine: str | None = None) -> bytes:
    """The program for `machine` (default: this one), in the form that `bwrap --seccomp FD` reads.

    Raises:
        SandboxUnavailable: no table for this kind of machine.
    """
    name = machine or platform.machine()
    arch = ARCHITECTURES.get(name)
    if arch is None:
        raise SandboxUnavailable(
            f"no seccomp table for machine type {name!r}; code_interpreter isolates on: "
            + ", ".join(sorted(ARCHITECTURES))
        )
    program = _Program()
    _check_machine(program, arch)
    for number in sorted(set(arch.denied.values())):
        program.give_if_equal(number, _errno(_EPERM))
    program.give_if_equal(
        arch.clone3, _errno(_ENOSYS)
    )  # its flags lie in memory: unreadable from here
    program.block(arch.clone, _no_namespaces())
    program.block(arch.socket, _families((_AF_UNIX, _AF_INET, _AF_INET6), netlink_route=True))
    program.block(arch.socketpair, _families((_AF_UNIX,), netlink_route=False))
    program.block(arch.ioctl, _no_terminal_injection())
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
