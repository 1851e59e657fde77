"""The filter, run by a small interpreter of BPF: what it answers to which call, on both kinds of machine."""

import struct

import pytest

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.tools.code_interpreter.isolation import seccomp

ALLOW, KILL = "allow", "kill"
EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
MACHINES = sorted(seccomp.ARCHITECTURES)


def answer(machine: str, number: int, *arguments: int, audit: int | None = None) -> str | int:
    """What the program of `machine` returns: allow, kill or an errno."""
    arch = seccomp.ARCHITECTURES[machine].audit if audit is None else audit
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    program = seccomp.build(machine)
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    position, accumulator = 0, 0
    while True:
        op, if_true, if_false, k = code[position]
        position += 1
        if op == 0x20:
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif op == 0x06:
            return _named(k)
        else:
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x45: bool(accumulator & k)}[op]
            position += if_true if holds else if_false


def _named(action: int) -> str | int:
    if action == 0x7FFF0000:
        return ALLOW
    return KILL if action == 0x80000000 else action & 0xFFFF


@pytest.mark.parametrize("machine", MACHINES)
def test_denied_calls_answer_eperm(machine: str) -> None:
    """Every call of the deny list, and none falls through."""
    denied = seccomp.ARCHITECTURES[machine].denied
    assert {EPERM} == {answer(machine, number) for number in denied.values()}


@pytest.mark.parametrize("machine", MACHINES)
def test_the_calls_of_everyday_work_are_allowed(machine: str) -> None:
    """read, write, mmap, execve, futex and the like."""
    everyday = {
        "x86_64": (0, 1, 9, 10, 59, 202, 257, 41 - 41, 39),
        "aarch64": (63, 64, 222, 226, 221, 98, 56, 172),
    }[machine]
    assert {ALLOW} == {answer(machine, number) for number in everyday}


@pytest.mark.parametrize("machine", MACHINES)
def test_another_instruction_set_is_killed(machine: str) -> None:
    """int 0x80 has other numbers, so its calls would pass by the list."""
    assert KILL == answer(machine, 1, audit=0x40000003)


@pytest.mark.parametrize("number", [467, 500, 0x40000000, 0x40000001, 0xFFFFFFFF])
@pytest.mark.parametrize("machine", MACHINES)
def test_unknown_and_x32_numbers_do_not_exist(machine: str, number: int) -> None:
    """Libraries fall back as on an older kernel."""
    assert ENOSYS == answer(machine, number)


@pytest.mark.parametrize("machine", MACHINES)
def test_clone_makes_threads_but_no_namespaces(machine: str) -> None:
    """The flags decide; clone3 hides its flags and does not exist."""
    arch = seccomp.ARCHITECTURES[machine]
    assert ALLOW == answer(machine, arch.clone, 0x3D0F00)
    assert EPERM == answer(machine, arch.clone, 0x10000000 | 0x11)
    assert EPERM == answer(machine, arch.clone, 0x00020000)
    assert ENOSYS == answer(machine, arch.clone3)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("family", "protocol", "expected"),
    [
        (1, 0, ALLOW),
        (2, 0, ALLOW),
        (10, 0, ALLOW),
        (16, 0, ALLOW),
        (16, 2, EAFNOSUPPORT),
        (40, 0, EAFNOSUPPORT),
        (17, 0, EAFNOSUPPORT),
        (38, 0, EAFNOSUPPORT),
    ],
    ids=["unix", "inet", "inet6", "route", "other netlink", "vsock", "packet", "alg"],
)
def test_socket_families(machine: str, family: int, protocol: int, expected: object) -> None:
    """What zmq needs is there, the rest is not supported."""
    socket = seccomp.ARCHITECTURES[machine].socket
    assert expected == answer(machine, socket, family, 3, protocol)


@pytest.mark.parametrize("machine", MACHINES)
def test_terminals_cannot_be_typed_into(machine: str) -> None:
    """TIOCSTI and TIOCLINUX are refused, other requests pass."""
    ioctl = seccomp.ARCHITECTURES[machine].ioctl
    assert EPERM == answer(machine, ioctl, 0, 0x5412)
    assert EPERM == answer(machine, ioctl, 0, 0x541C)
    assert ALLOW == answer(machine, ioctl, 0, 0x5401)


def test_an_unknown_machine_is_refused() -> None:
    """Without a table there is no filter, and without a filter nothing is run."""
    with pytest.raises(SandboxUnavailable, match="riscv64"):
        seccomp.build("riscv64")
