"""The filter, run by a small interpreter of BPF: what it answers to which call, on both kinds of machine."""

import struct

import pytest

from local_assistants.engine.errors import SandboxUnavailable
from local_assistants.tools.code_interpreter.isolation import seccomp
from local_assistants.tools.code_interpreter.isolation.seccomp import Walls

ALLOW, KILL = "allow", "kill"
EPERM, ENOTTY, ENOSYS, ENOTSUP, EAFNOSUPPORT = 1, 25, 38, 95, 97
DONE_NOTHING = 0
BESIDE = (Walls.OWN_USER, Walls.SAME_USER)
"""Where no namespaces stand between the program and the host."""
MACHINES = sorted(seccomp.ARCHITECTURES)


def answer(
    machine: str,
    number: int,
    *arguments: int,
    audit: int | None = None,
    walls: Walls = Walls.NAMESPACES,
) -> str | int:
    """What the program of `machine` returns: allow, kill or an errno (0: told that it worked)."""
    arch = seccomp.ARCHITECTURES[machine].audit if audit is None else audit
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    program = seccomp.build(machine, walls)
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    position, accumulator = 0, 0
    while True:
        op, if_true, if_false, k = code[position]
        position += 1
        if op == 0x20:
            accumulator = struct.unpack_from("<I", data, k)[0]
        elif op == 0x54:
            accumulator &= k
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
@pytest.mark.parametrize("walls", list(Walls))
def test_room_on_the_disk_is_not_taken_in_advance(machine: str, walls: Walls) -> None:
    """C libraries write zeros instead, at a pace that can be watched."""
    assert ENOTSUP == answer(machine, seccomp.ARCHITECTURES[machine].fallocate, walls=walls)


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


@pytest.mark.parametrize("walls", BESIDE)
@pytest.mark.parametrize("machine", MACHINES)
def test_without_namespaces_all_of_the_deny_list_holds_too(machine: str, walls: Walls) -> None:
    """The stricter filter is the other one and more."""
    arch = seccomp.ARCHITECTURES[machine]
    numbers = (arch.denied | arch.past_borders).values()
    assert {EPERM} == {answer(machine, number, walls=walls) for number in numbers}
    assert EPERM == answer(machine, arch.clone, 0x10000000 | 0x11, walls=walls)
    assert ENOSYS == answer(machine, 467, walls=walls)
    assert KILL == answer(machine, 1, audit=0x40000003, walls=walls)


@pytest.mark.parametrize("walls", BESIDE)
@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("family", "kind", "expected"),
    [
        (1, 1, ALLOW),
        (1, 1 | 0o2000000 | 0o4000, ALLOW),
        (1, 2, EAFNOSUPPORT),
        (1, 5, EAFNOSUPPORT),
        (2, 1, EAFNOSUPPORT),
        (10, 2, EAFNOSUPPORT),
        (16, 3, EAFNOSUPPORT),
        (40, 1, EAFNOSUPPORT),
    ],
    ids=[
        "stream", "stream, closed on exec", "datagram", "seqpacket", "inet", "inet6", "netlink", "vsock",
    ],
)  # fmt: skip
def test_without_namespaces_sockets_are_unix_streams(
    machine: str, family: int, kind: int, expected: object, walls: Walls
) -> None:
    """A datagram could be sent to any path; pairs are bound by the same rule."""
    arch = seccomp.ARCHITECTURES[machine]
    for call in (arch.socket, arch.socketpair):
        assert expected == answer(machine, call, family, kind, walls=walls)


@pytest.mark.parametrize("machine", MACHINES)
def test_without_namespaces_other_processes_are_left_alone(machine: str) -> None:
    """Limits, priorities and schedules: one's own only; what libzmq does to its threads is not done."""
    arch = seccomp.ARCHITECTURES[machine]
    said = [
        answer(machine, arch.prlimit64, 0, walls=Walls.SAME_USER),
        answer(machine, arch.prlimit64, 4711, walls=Walls.SAME_USER),
        answer(machine, arch.setpriority, 0, 0, 19, walls=Walls.SAME_USER),
        answer(machine, arch.setpriority, 0, 4711, 19, walls=Walls.SAME_USER),
        answer(machine, arch.setpriority, 2, 0, 19, walls=Walls.SAME_USER),
    ]
    assert [ALLOW, EPERM, ALLOW, EPERM, EPERM] == said
    for call in arch.schedulers:
        assert ALLOW == answer(machine, call, 0, walls=Walls.SAME_USER)
        assert DONE_NOTHING == answer(machine, call, 4711, walls=Walls.SAME_USER)


@pytest.mark.parametrize("machine", MACHINES)
def test_without_namespaces_requests_are_those_that_programs_need(machine: str) -> None:
    """Attributes of files, leases, signals to whom one likes, and outliving the guard."""
    arch = seccomp.ARCHITECTURES[machine]
    set_flags, is_terminal, read_ahead = 0x40086602, 0x5401, 0x541B
    said = [
        answer(machine, arch.ioctl, 0, request, walls=Walls.OWN_USER)
        for request in (set_flags, is_terminal, read_ahead)
    ]
    assert [ENOTTY, ALLOW, ALLOW] == said
    lease, own, descriptor_flags = 1024, 8, 2
    said = [
        answer(machine, arch.fcntl, 0, request, walls=Walls.OWN_USER)
        for request in (lease, own, descriptor_flags)
    ]
    assert [EPERM, EPERM, ALLOW] == said
    parent_death, name = 1, 15
    said = [
        answer(machine, arch.prctl, option, walls=Walls.OWN_USER) for option in (parent_death, name)
    ]
    assert [EPERM, ALLOW] == said


@pytest.mark.parametrize("machine", MACHINES)
def test_modes_of_files_are_left_alone_where_the_user_is_the_engines(machine: str) -> None:
    """Landlock does not cover them; a user of the session's own has no files but the session's."""
    arch = seccomp.ARCHITECTURES[machine]
    for number in arch.file_modes.values():
        assert DONE_NOTHING == answer(machine, number, walls=Walls.SAME_USER)
        assert ALLOW == answer(machine, number, walls=Walls.OWN_USER)
    for number in arch.file_attributes.values():
        assert ENOTSUP == answer(machine, number, walls=Walls.SAME_USER)
        assert ALLOW == answer(machine, number, walls=Walls.OWN_USER)
