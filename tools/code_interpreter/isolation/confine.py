"""The outermost process of a tier B sandbox: confines a program, then watches over it. A program of its own.

Run by the engine as `python -I -S confine.py FD`; FD is a descriptor with the order as JSON (`landlock.py`). It forks:
the child takes away its own rights and becomes the program, the parent stays as the guard. All that the program starts
becomes, when orphaned, the guard's child; when the program ends, when the engine ends, or when the engine says so
(SIGTERM), the guard kills all of it at once and ends with the program's exit code as a shell would say it.

Where sessions share the engine's user there are two guards, one the other's child: should somebody kill one, the
other does its work. Where a session has a user of its own, the engine finds by that what a killed guard left.

What confines: Landlock for files (and, from ABI 6 on, for signals), a seccomp filter, a user of its own where the
engine is root, rlimits. Whatever cannot be put in force ends the sandbox before the program begins.

The guard's one dangerous act is `kill(-1)`. It reaches the sandbox alone because the guard itself is confined: to the
session's user, or, without one, to a Landlock domain of which the program's is a part. Both are tried out first.

Standard library only. It knows nothing of kernels and tools.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import stat
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_CHILD_SUBREAPER = 1, 22, 24, 36
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION = 0x20080522
_CAPABILITIES = 64  # numbers that the kernel could know

# linux/landlock.h; the three calls have the same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _PATH_BENEATH = 444, 445, 446, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_REMOVE, _MAKE_DIR, _MAKE_REG, _MAKE_FIFO, _MAKE_SYM = 16 | 32, 128, 256, 1024, 4096
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # how many file rights it knows; 16 from 5 on
_ALL_RIGHTS = 16
_NET_FROM, _ALL_NET = 4, 3  # bind and connect of TCP
_SCOPES_FROM, _ALL_SCOPES = 6, 3  # abstract unix sockets and signals stay within the domain
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_WRITE = (
    _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE | _MAKE_DIR | _MAKE_REG | _MAKE_FIFO
    | _MAKE_SYM | _REFER | _TRUNCATE
)  # fmt: skip

_KILLED = 128 + signal.SIGKILL
_UNCONFINED = 125  # the exit code when confinement failed; nothing was run then

_HEARD = {signal.SIGTERM, signal.SIGCHLD}
_PAUSE = 0.005  # seconds

_libc = ctypes.CDLL(None, use_errno=True)


def main(descriptor: int) -> NoReturn:
    """Confine and run what the order says; the exit code is the program's."""
    with open(descriptor, encoding="utf-8") as file:
        order: dict[str, Any] = json.load(file)
    signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if "end" in order:  # nothing to start: a guard was killed, and its work is done in its place
        _keep_to(*order["end"])
        _end(0)
    try:
        program = _start(order)
        _stand_guard(order)
    except BaseException as error:
        _say(error)
        os._exit(_UNCONFINED)  # the program, if there is one already, dies with its guard
    _watch(program)


def _start(order: dict[str, Any]) -> int:
    """Fork the program; gives its pid."""
    if os.getppid() != order["engine"]:
        raise OSError("the engine has ended")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    rules = _ruleset(order)
    if order["user"] is None:
        _enter_domain(rules, order["engine"])
        _double(order, rules)
    guard = os.getpid()
    program = os.fork()
    if program == 0:
        _become(order, rules, guard)
    os.close(rules)
    return program


def _double(order: dict[str, Any], rules: int) -> None:
    """Fork: the first guard stays and watches the second, which goes on from here as if the first were the engine."""
    first = os.getpid()
    second = os.fork()
    if second:
        os.close(rules)
        _stand_guard(order)
        _watch(second)
    order["engine"] = first
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _restrict(rules)  # a domain within the first one's: a signal to all must not reach the first


def _stand_guard(order: dict[str, Any]) -> None:
    """In the parent: hold nothing of the program's, give up being root, and end with the engine."""
    os.closerange(0, 2)
    for descriptor in order["descriptors"]:
        os.close(descriptor)  # else the program's sockets would outlive it
    if order["user"] is not None:
        _keep_to(*order["user"])
    _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != order["engine"]:
        _end(_KILLED)


def _keep_to(user: int, keeper: int) -> None:
    """Let the guard reach the session's user and not be reached by it: its real user is another one."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(keeper, user, keeper)
    if os.getresuid() != (keeper, user, keeper):
        raise OSError("the guard could not give up being root")


def _enter_domain(rules: int, engine: int) -> None:
    """Confine the guard like its program, and be sure that its signals do not leave the sandbox."""
    _restrict(rules)
    try:
        os.kill(engine, 0)
    except PermissionError:
        return
    raise OSError("Landlock lets signals out of the sandbox")


def _watch(program: int) -> NoReturn:
    """Reap until the program ends or the engine wants it to."""
    while True:
        if signal.sigwait(_HEARD) == signal.SIGTERM:
            _end(_KILLED)
        for pid, status in _reaped():
            if pid == program:
                code = os.waitstatus_to_exitcode(status)
                _end(code if code >= 0 else 128 - code)


def _reaped() -> Iterator[tuple[int, int]]:
    """Children that have ended, with their status."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def _end(code: int) -> NoReturn:
    """Kill all that is left, see it go, and end. One call reaches them all: nothing can fork its way past it."""
    while True:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(-1, signal.SIGKILL)
        for _ in _reaped():
            pass
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            os._exit(code)
        time.sleep(_PAUSE)  # again: a child that was not yet the session's user heard nothing


def _become(order: dict[str, Any], rules: int, guard: int) -> NoReturn:
    """In the child: give up everything, then be the program."""
    try:
        _as_new()
        _drop_bounds()
        if order["user"] is not None:
            _take_user(order["user"][0], order["groups"])
        _drop_capabilities()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != guard:
            os._exit(_KILLED)
        os.chdir(order["folder"])
        for name, value in order["rlimits"].items():
            _limit(getattr(resource, name), value)
        _restrict(rules)
        _filter_calls(bytes.fromhex(order["filter"]))
        os.execve(order["argv"][0], order["argv"], order["environment"])
    except BaseException as error:
        _say(error)
        os._exit(_UNCONFINED)


def _as_new() -> None:
    """What a program expects of whoever starts it."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")  # where memory ends, the guard must outlive what it guards


def _take_user(user: int, groups: list[int]) -> None:
    os.setgroups(groups)
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    if (os.getresuid(), os.getresgid()) != ((user,) * 3, (user,) * 3):
        raise OSError("the program could not be given a user of its own")


def _drop_bounds() -> None:
    """Capabilities that no program started later could gain; only root may, and only root needs to."""
    if os.geteuid() == 0:
        for number in range(_CAPABILITIES):
            _libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)


def _drop_capabilities() -> None:
    _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, none = struct.pack("=Ii", _CAPABILITY_VERSION, 0), bytes(24)
    _checked("capset", _libc.capset(header, none))


def _limit(number: int, value: int) -> None:
    _, hard = resource.getrlimit(number)
    lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(number, (lowest, lowest))


def _ruleset(order: dict[str, Any]) -> int:
    """A descriptor of the Landlock rules: what may be read, what may be written too, and nothing else."""
    abi: int = order["abi"]
    handled = (1 << _RIGHTS_OF_ABI.get(abi, _ALL_RIGHTS)) - 1
    fields = [handled]
    if abi >= _NET_FROM:
        fields.append(_ALL_NET)
    if abi >= _SCOPES_FROM:
        fields.append(_ALL_SCOPES)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    for rights, paths in ((_READ, order["read"]), (_WRITE, order["write"])):
        for path in paths:
            _allow(rules, path, rights & handled)
    for path in order["devices"]:
        _allow(rules, path, _READ_FILE | _WRITE_FILE)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _restrict(rules: int) -> None:
    _call(_RESTRICT_SELF, rules, 0)


def _filter_calls(program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    pointer = ctypes.c_void_p(ctypes.addressof(code))
    header = struct.pack("@HP", len(program) // 8, pointer.value or 0)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, header)


def _call(number: int, *arguments: int | bytes | None) -> int:
    sized = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(f"landlock ({number})", _libc.syscall(ctypes.c_long(number), *sized))


def _prctl(option: int, value: int, more: bytes | int = 0) -> None:
    last = ctypes.c_ulong(more) if isinstance(more, int) else more
    _checked(f"prctl {option}", _libc.prctl(option, ctypes.c_ulong(value), last, 0, 0))


def _checked(what: str, result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _say(error: BaseException) -> None:
    os.write(2, f"the sandbox could not be put in force: {error}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
