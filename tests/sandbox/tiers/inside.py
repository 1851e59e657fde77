"""What attempts in the sandbox are written with: this text is put before each of them. Standard library only."""

import ctypes
import errno
import os
from collections.abc import Callable

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> int:
    """A function of the C library by its name; OSError when it gives -1."""
    ctypes.set_errno(0)
    result: int = getattr(libc, name)(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


def system(number: int, *arguments: int) -> int:
    """A system call by its number; OSError when it fails."""
    return call("syscall", ctypes.c_long(number), *(ctypes.c_long(value) for value in arguments))


def opened(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor, for attempts that need one."""
    return os.open(path, flags)


def outcome(attempt: Callable[[], object]) -> str:
    """What came of it: "done" with the value, the name of the error number, or the exception's."""
    try:
        return f"done {attempt()!r}"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
