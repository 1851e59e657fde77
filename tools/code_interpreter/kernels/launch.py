"""The kernel's first code, run inside the sandbox: limits, sockets handed in, then ipykernel as it is.

It runs in the interpreter's environment and imports nothing of the engine. Reads /run/kernel/launch.json
({"listeners": {socket name: descriptor}, "limits": {...}, "preload": [module]}) and the connection file beside it.

Nothing here is a security border: model-written code runs in the same process and may undo all but the hard limits,
which the kernel of the operating system keeps.
"""

import array
import codecs
import fcntl
import importlib
import json
import os
import resource
import select
import socket
import sys
import termios
import threading
from typing import Any, cast

FOLDER = "/run/kernel"
_PIECE = 65536  # bytes; what a pipe holds
_PICTURES = ("image/png", "image/jpeg")
_SHOWN = ("text/plain", *_PICTURES)
_WAITING = 10_000  # messages that the host has not read yet; who has more to say waits
_REST = "\n[the rest of what this call wrote was left out]\n"
_TEXTS = ("text", "text/plain", "ename", "evalue")  # in messages; tracebacks are lists of such


def main(folder: str) -> None:
    """Become the kernel; returns when it was asked to shut down, or at once when nobody waits for it any more."""
    with open(f"{folder}/launch.json", encoding="utf-8") as file:
        settings = json.load(file)
    _limit(settings["limits"])
    kernelapp = importlib.import_module("ipykernel.kernelapp")
    _take_sockets(kernelapp, settings["listeners"])
    _cut_long_texts(settings["limits"]["log_chars"])
    _end_displays(settings["limits"]["log_chars"], settings["limits"]["images"])
    _spare_loopback()
    importlib.import_module("ipykernel.zmqshell").ZMQInteractiveShell.ask_exit = _stay
    sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "inside"))
    for module in settings["preload"]:
        importlib.import_module(module)
    if _abandoned():
        return
    kernelapp.IPKernelApp.launch_instance(
        [
            "-f",
            f"{folder}/kernel.json",
            "--HistoryManager.enabled=False",
            "--IPKernelApp.log_level=ERROR",
            # ipykernel sleeps before each reply in case output needs the time; the host waits for all output anyway.
            "--Kernel._execute_sleep=0",
            # No other form of a value is passed on, so none is made: a table as HTML takes longer than as text.
            *(f"--DisplayFormatter.active_types={kind}" for kind in _SHOWN),
        ]
    )


def _abandoned() -> bool:
    """Whether the engine is gone, or has given this sandbox up; it holds the other end of our stderr.

    bwrap's processes die with their parents, but only once each has asked the kernel for that. Whose parent died
    before would live for ever. Asked late: by now all of them have.
    """
    engine_reads = select.poll()
    engine_reads.register(2, 0)
    return any(event & select.POLLERR for _, event in engine_reads.poll(0))


def _limit(limits: dict[str, int]) -> None:
    """Set here and not before the sandbox: NPROC is then counted for this user namespace alone."""
    for name, value in (
        ("RLIMIT_DATA", limits["memory_bytes"]),  # AS refuses libraries that only reserve addresses
        ("RLIMIT_NPROC", limits["processes"]),
        ("RLIMIT_NOFILE", limits["open_files"]),
        ("RLIMIT_FSIZE", limits["file_bytes"]),
        (
            "RLIMIT_CORE",
            1,
        ),  # as 0, but it also keeps a host's collector of crashes from being started
    ):
        number = getattr(resource, name)
        _, hard = resource.getrlimit(number)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (lowest, lowest))
    os.nice(limits["nice"])


def _take_sockets(kernelapp: Any, listeners: dict[str, int]) -> None:
    """Let ZeroMQ accept on descriptors that the host bound, instead of binding paths of its own."""
    zmq = importlib.import_module("zmq")
    heartbeat = importlib.import_module("ipykernel.heartbeat")

    def bind(socket: Any, descriptor: int) -> None:
        socket.setsockopt(zmq.USE_FD, descriptor)
        socket.setsockopt(zmq.SNDHWM, _WAITING)
        if socket.socket_type in (zmq.PUB, zmq.XPUB):
            # By default these drop what is too much: output, and the word that the call is over.
            socket.setsockopt(zmq.XPUB_NODROP, 1)
        socket.bind(f"ipc:///tmp/kernel-{descriptor}")  # the name is not used, only required

    def bind_of_app(app: Any, socket: Any, port: int) -> int:
        bind(socket, listeners[str(port)])
        return port

    def bind_heartbeat(thread: Any) -> None:
        bind(thread.socket, listeners[str(thread.port)])

    kernelapp.IPKernelApp._try_bind_socket = bind_of_app
    heartbeat.Heartbeat._try_bind_socket = bind_heartbeat


def _cut_long_texts(most: int) -> None:
    """Of any text, keep the `most` characters that the host would keep of a whole call: it costs nobody the rest."""
    session = importlib.import_module("jupyter_client.session").Session
    make = session.msg

    def make_cut(self: Any, kind: str, content: Any = None, *args: Any, **keywords: Any) -> Any:
        return make(self, kind, _cut(content, most + len(_REST)), *args, **keywords)

    session.msg = make_cut
    stream = importlib.import_module("ipykernel.iostream").OutStream
    stream._watch_pipe_fd = _listen_to_descriptor
    stream.taking = None  # until its thread is there to listen
    _cut_at_the_source(stream, most)
    _flush_what_is_there(stream)


def _cut(content: Any, most: int) -> Any:
    """A message's content with its texts cut; what else is in it stays, whatever it is."""
    if not content or not isinstance(content, dict):
        return content
    known = cast("dict[str, Any]", content)
    cut = {key: _start(value, most) if key in _TEXTS else value for key, value in known.items()}
    if "data" in cut:
        cut["data"] = _cut(cut["data"], most)
    if "traceback" in cut:
        cut["traceback"] = [_start(line, most) for line in cut["traceback"]]
    return cut


def _start(text: Any, most: int) -> Any:
    if not isinstance(text, str) or len(text) <= most:
        return text
    return f"{text[:most]}\n[{len(text) - most} more characters were left out]\n"


def _cut_at_the_source(stream: Any, most: int) -> None:
    """Do not even collect more than `most` characters in one call: a loop that prints goes on, and says nothing."""
    write, set_parent = stream.write, stream.set_parent

    def write_start(self: Any, text: Any) -> Any:
        if not isinstance(text, str):
            return write(self, text)  # raises what a stream raises
        room = most - getattr(self, "said", 0)
        if len(text) <= room:
            self.said = most - room + len(text)
            return write(self, text)
        if room >= 0:
            self.said = most + 1
            write(self, text[:room] + _REST)
        return len(text)

    def begin_anew(self: Any, parent: Any) -> Any:
        self.said = 0
        return set_parent(self, parent)

    stream.write, stream.set_parent = write_start, begin_anew


def _end_displays(most_chars: int, most_pictures: int) -> None:
    """Display no more in one call than the host keeps, and one more, of which it tells that it was too much."""
    publisher = importlib.import_module("ipykernel.zmqshell").ZMQDisplayPublisher
    publish, set_parent = publisher.publish, publisher.set_parent

    def publish_start(self: Any, data: Any, *args: Any, **keywords: Any) -> None:
        if isinstance(data, dict):
            kind = "pictures" if any(name in data for name in _PICTURES) else "chars"
            room = self.rooms[kind]
            if room < 0:
                return
            text = str(cast("dict[str, Any]", data).get("text/plain", ""))
            self.rooms[kind] = room - (len(text) + 1 if kind == "chars" else 1)
        publish(self, data, *args, **keywords)

    def begin_anew(self: Any, parent: Any) -> Any:
        self.rooms = {"chars": most_chars, "pictures": most_pictures}
        return set_parent(self, parent)

    publisher.publish, publisher.set_parent = publish_start, begin_anew
    publisher.rooms = {"chars": most_chars, "pictures": most_pictures}


def _flush_what_is_there(stream: Any) -> None:
    """Without text there is nothing to wait for: ipykernel's flush visits another thread and back, four times a call.

    Text that is on its way already is in that thread's hands, and so before whatever it is given next. What a child
    wrote to the descriptor before it ended is part of the call, even if nobody has come to read it yet.
    """
    flush = stream.flush

    def flush_text(self: Any) -> None:
        if self.taking is not None and self._is_master_process():
            self.taking.take()
        if self._buffers:
            flush(self)

    stream.flush = flush_text


class _Taking:
    """Takes what goes to the raw descriptor, in pieces of a size; echoes it nowhere: the engine reads that slowly."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        # Held from reading to writing: when it is free, nothing is on its way.
        self._one = threading.Lock()

    def take(self) -> None:
        """Pass on what is there now; does not wait for more."""
        waiting = array.array("i", [0])
        with self._one:
            fcntl.ioctl(self._stream._fid, termios.FIONREAD, waiting)
            if waiting[0]:
                self._stream.write(self._decoder.decode(os.read(self._stream._fid, _PIECE)))


def _listen_to_descriptor(stream: Any) -> None:
    """Take whatever comes, until nobody can write any more."""
    stream.taking = _Taking(stream)
    something = select.poll()
    something.register(stream._fid, select.POLLIN)
    while any(event & select.POLLIN for _, event in something.poll()):
        stream.taking.take()


def _spare_loopback() -> None:
    """Without TCP (tier B), take ipykernel's pipe for the output of forked children away: libzmq would abort."""
    try:
        socket.socket(socket.AF_INET).close()
    except OSError:
        thread = importlib.import_module("ipykernel.iostream").IOPubThread
        thread._setup_pipe_in = _without_pipe


def _without_pipe(thread: Any) -> None:
    thread._pipe_uuid, thread._pipe_flag = b"", False


def _stay(_shell: Any) -> None:
    """Models end their programs with exit(); the session is not theirs to end."""


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else FOLDER)
