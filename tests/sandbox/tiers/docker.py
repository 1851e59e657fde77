"""What Docker takes from a container by default, for an engine under test: system calls and capabilities.

The default list of moby is a list of what is allowed; of the calls that matter to a sandbox, this holds what it
refuses. Numbers come from the sandbox's own tables: here they only make the surroundings, they prove nothing.
"""

import platform
import struct

from local_assistants.tools.code_interpreter.isolation.seccomp import ARCHITECTURES

CAPABILITIES = (0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31)
"""CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD,
AUDIT_WRITE, SETFCAP."""

_REFUSED = (
    "acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module", "delete_module", "fanotify_init",
    "finit_module", "fsconfig", "fsmount", "fsopen", "fspick", "init_module", "io_uring_enter", "io_uring_register",
    "io_uring_setup", "ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie", "mount",
    "mount_setattr", "move_mount", "nfsservctl", "open_by_handle_at", "open_tree", "perf_event_open", "pidfd_getfd",
    "pivot_root", "query_module", "quotactl", "quotactl_fd", "reboot", "request_key", "setdomainname", "sethostname",
    "setns", "settimeofday", "swapoff", "swapon", "sysfs", "syslog", "umount2", "unshare", "uselib", "userfaultfd",
    "ustat", "vhangup", "_sysctl",
)  # fmt: skip
_NEW_NAMESPACES = 0x7E020000
_AF_VSOCK = 40

_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_NUMBER, _FIRST_ARGUMENT = 0, 16  # offsets in struct seccomp_data
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026


def program() -> bytes:
    """The filter for this machine, as classic BPF."""
    machine = ARCHITECTURES[platform.machine()]
    code = [_instruction(_LOAD, _NUMBER)]
    for name in _REFUSED:
        if name in machine.denied:  # some exist on one kind of machine only
            code += _if_equal(machine.denied[name], _instruction(_RETURN, _EPERM))
    code += _if_equal(machine.clone3, _instruction(_RETURN, _ENOSYS))
    code += _if_equal(
        machine.clone,
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_JUMP_ANY_BIT, _NEW_NAMESPACES, 0, 1),
        _instruction(_RETURN, _EPERM),
        _instruction(_RETURN, _ALLOW),
    )
    code += _if_equal(
        machine.socket,
        _instruction(_LOAD, _FIRST_ARGUMENT),
        _instruction(_JUMP_EQUAL, _AF_VSOCK, 0, 1),
        _instruction(_RETURN, _EPERM),
        _instruction(_RETURN, _ALLOW),
    )
    return b"".join([*code, _instruction(_RETURN, _ALLOW)])


def _if_equal(number: int, *body: bytes) -> list[bytes]:
    """`body`, which ends in a return, for this system call only."""
    return [_instruction(_JUMP_EQUAL, number, 0, len(body)), *body]


def _instruction(op: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", op, if_true, if_false, value)
