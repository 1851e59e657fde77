"""What a parsing child gives up before it sees its first file.

Files come to it as open descriptors, so it needs no file system: with Landlock it can read Python's own folders, for
imports, and nothing else; seccomp filters leave it no network and no way out of its group of processes, and what reads
a file in it no way to start or to signal a process. Limits on memory and on writing hold everywhere.

Landlock and the filter are a second line, behind the child's being a process of its own: on a kernel that lacks them
the child works without. It promises nothing about processor time, which is the supervisor's.
"""

import contextlib
import ctypes
import os
import resource
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from ....engine import errors
from ...code_interpreter.isolation.refusal import Refusal
from ...code_interpreter.isolation.seccomp import Walls, build
from . import offspring

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_PR_SET_CHILD_SUBREAPER = 36
# linux/landlock.h; the calls have the same numbers on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1, 4, 8
_RIGHTS_OF_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # how many rights over files it knows; 16 from 5 on
_NET_FROM, _SCOPES_FROM = 4, 6
_LIBRARIES = (
    "/usr/lib",
    "/lib",
    "/usr/lib64",
    "/lib64",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
)

_libc = ctypes.CDLL(None, use_errno=True)


def confine(memory: int) -> bool:
    """Bind this process to `memory` bytes and to reading Python's folders, for good; whether all of it is in force."""
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),  # a parser has nothing to write but its pipe
        (
            resource.RLIMIT_CORE,
            1,
        ),  # as 0, but it also keeps a host's collector of crashes from being started
    ):
        bound(kind, value)
    # Each by itself: a kernel without Landlock has a filter all the same.
    walls = (_renounce_privileges, _adopt, _restrict_files, _filter)
    in_force = [_in_force(wall) for wall in walls]
    return all(in_force)


def confine_reader(seconds: int) -> bool:
    """Bind what reads a single file: to its time, and to being one process with one thread; whether all is in force."""
    bound(resource.RLIMIT_CPU, seconds)
    bound(resource.RLIMIT_NPROC, 0)  # where the filter is not to be had; it does not bind root
    return _in_force(lambda: _filter_calls(offspring.of_reader()))


def _in_force(wall: Callable[[], None]) -> bool:
    try:
        wall()
    except (OSError, Refusal):
        return False
    return True


def _renounce_privileges() -> None:
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def _adopt() -> None:
    """Become the parent of what descendants leave behind, so that the supervisor finds it."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def _filter() -> None:
    _filter_calls(build(walls=Walls.SAME_USER))
    _filter_calls(offspring.of_child())


def bound(kind: int, value: int) -> None:
    """Set a limit of this process, or keep a lower one."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _restrict_files() -> None:
    abi = _landlock(_CREATE_RULESET, None, 0, _ASK_VERSION)
    fields = [(1 << _RIGHTS_OF_ABI.get(abi, 16)) - 1]
    if abi >= _NET_FROM:
        fields.append(3)  # bind and connect
    if abi >= _SCOPES_FROM:
        fields.append(3)  # abstract sockets and signals
    handled = struct.pack(f"={len(fields)}Q", *fields)
    rules = _landlock(_CREATE_RULESET, handled, len(handled), 0)
    for folder in _readable():
        with contextlib.suppress(FileNotFoundError):
            _allow(rules, folder)
    _landlock(_RESTRICT_SELF, rules, 0)
    os.close(rules)


def _readable() -> Iterator[str]:
    """Where imports come from: the interpreter, its packages, and the rooms that parsing is made of."""
    yield from _LIBRARIES
    installed = [os.path.realpath(each) for each in (sys.prefix, sys.base_prefix, sys.exec_prefix)]
    yield from installed
    yield from (each for each in sys.path if "site-packages" in each)
    here = Path(__file__).resolve()
    yield from (str(here.parents[2]), str(Path(errors.__file__).resolve().parent))


def _allow(rules: int, path: str) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_EXECUTE | _READ_DIR if os.path.isdir(path) else 0)
        _landlock(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _landlock(number: int, *arguments: int | bytes | None) -> int:
    sized = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *sized))


def _filter_calls(program: bytes) -> None:
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and where they are
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    mode = ctypes.c_ulong(_SECCOMP_MODE_FILTER)
    _checked(_libc.prctl(_PR_SET_SECCOMP, mode, header, 0, 0))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
