"""The parsing child: `python -m local_assistants.tools.file_search.parsing.child SOCKET LIMITS`.

It lives long, for imports take longer than most files. It serves one order after another: a packet with the file's
name, and with it two open descriptors, the file and a pipe for the answer. A short text file, for which no library is
needed, it reads itself; any other one a fork of it reads, which then ends. So no file meets what another one left in
memory, none can end more than its own reading, and what a parser leaks is given back.

It says that it has taken an order, and afterwards with which status the reading ended. It ends with its supervisor.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import BinaryIO, NoReturn

from ....engine.errors import AssistantsError
from . import answers, reading, refusals
from .confinement import confine, confine_reader
from .limits import ParseLimits

READY = b"ready"
TAKEN = b"taken"
LONGEST_ORDER = 1 << 16  # bytes
_READ_HERE = 4 << 20  # bytes of a text file; for longer ones a fork costs little


def serve(link: socket.socket, limits: ParseLimits) -> None:
    """Take orders until the other end of `link` is closed."""
    link.send(READY)
    while True:
        name, descriptors, _, _ = socket.recv_fds(link, LONGEST_ORDER, 2)
        if not name:
            return
        link.send(TAKEN)
        file, answer = descriptors
        try:
            status = _fulfil(link, name.decode(), (file, answer), limits)
        finally:
            for descriptor in descriptors:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        link.send(str(status).encode())


def _fulfil(
    link: socket.socket, filename: str, descriptors: tuple[int, int], limits: ParseLimits
) -> int | None:
    """Read a file here or in a fork; the status with which that ended, 0 here, None when it left processes behind."""
    file, answer = descriptors
    if reading.is_plain(filename) and os.fstat(file).st_size <= _READ_HERE:
        _write(answer, _answer(file, filename, limits))
        return 0
    if reading.get_ready(filename):  # a fork that had to import would do so for each file
        gc.collect()
        gc.freeze()  # else the first collection in a fork would copy every page
    mine, of_fork = os.pipe()  # `mine` hangs up when the fork ends
    fork = os.fork()
    if fork == 0:
        link.close()  # the next order is none of its business
        _read_and_end(descriptors, filename, limits)
    os.close(of_fork)
    os.close(answer)
    _wait_for(mine, link, fork)
    os.close(mine)
    status = os.waitpid(fork, 0)[1]
    return status if _is_alone() else None


def _is_alone() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def _wait_for(fork_pipe: int, link: socket.socket, fork: int) -> None:
    """Until the fork has ended; kill it when the supervisor has."""
    poller = select.poll()
    poller.register(fork_pipe, 0)
    poller.register(link, select.POLLRDHUP)
    if fork_pipe not in dict(poller.poll()):
        os.kill(fork, signal.SIGKILL)


def _read_and_end(descriptors: tuple[int, int], filename: str, limits: ParseLimits) -> NoReturn:
    """The fork's whole life. The clock is a second line: the supervisor's is stricter."""
    code = 1
    try:
        seconds = int(limits.seconds) + 1
        confine_reader(seconds)
        signal.alarm(seconds)
        file, answer = descriptors
        _write(answer, _answer(file, filename, limits))
        code = 0
    finally:
        os._exit(code)


def _answer(file: int, filename: str, limits: ParseLimits) -> bytes:
    try:
        with open(file, "rb", closefd=False) as stream:
            return answers.of_document(_read(stream, filename, limits))
    except AssistantsError as error:
        return answers.of_error(error)
    except MemoryError:
        return answers.of_error(refusals.too_hungry(limits.memory_bytes))


def _read(stream: BinaryIO, filename: str, limits: ParseLimits) -> "reading.Document":
    try:
        return reading.read_document(stream, filename, limits)
    except RecursionError:
        raise refusals.invalid("it is nested too deeply") from None
    except OSError as error:
        raise refusals.invalid(f"it cannot be read ({error.strerror})") from None


def _write(pipe: int, answer: bytes) -> None:
    with open(pipe, "wb", closefd=False) as stream:
        stream.write(answer)


def main() -> None:
    """Serve the socket that the command line names."""
    descriptor, limits = sys.argv[1:]
    settings = ParseLimits(**json.loads(limits))
    confine(settings.memory_bytes)
    with socket.socket(fileno=int(descriptor)) as link:
        serve(link, settings)


if __name__ == "__main__":
    main()
