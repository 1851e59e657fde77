"""The kernel's first code, run inside the sandbox: limits, sockets handed in, then ipykernel as it is.

It runs in the interpreter's environment and imports nothing of the engine. Reads /run/kernel/launch.json
({"listeners": {socket name: descriptor}, "limits": {...}, "preload": [module]}) and the connection file beside it.

Nothing here is a security border: model-written code runs in the same process and may undo all but the hard limits,
which the kernel of the operating system keeps.
"""

import importlib
import json
import os
import resource
import select
import socket
import sys
from typing import Any

FOLDER = "/run/kernel"
_SHOWN = ("text/plain", "image/png", "image/jpeg")
_STREAM_CHARS = (
    1_000_000  # of one stdout message; more is cut here so that the host need not drop it all
)


def main(folder: str) -> None:
    """Become the kernel; returns when it was asked to shut down, or at once when nobody waits for it any more."""
    with open(f"{folder}/launch.json", encoding="utf-8") as file:
        settings = json.load(file)
    _limit(settings["limits"])
    kernelapp = importlib.import_module("ipykernel.kernelapp")
    _take_sockets(kernelapp, settings["listeners"])
    _cut_long_streams()
    _spare_loopback()
    importlib.import_module("ipykernel.zmqshell").ZMQInteractiveShell.ask_exit = _stay
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
        (
            "RLIMIT_DATA",
            limits["memory_bytes"],
        ),  # AS would refuse libraries that only reserve addresses
        ("RLIMIT_NPROC", limits["processes"]),
        ("RLIMIT_NOFILE", limits["open_files"]),
        ("RLIMIT_FSIZE", limits["file_bytes"]),
        ("RLIMIT_CORE", 0),
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
        socket.bind(f"ipc:///tmp/kernel-{descriptor}")  # the name is not used, only required

    def bind_of_app(app: Any, socket: Any, port: int) -> int:
        bind(socket, listeners[str(port)])
        return port

    def bind_heartbeat(thread: Any) -> None:
        bind(thread.socket, listeners[str(thread.port)])

    kernelapp.IPKernelApp._try_bind_socket = bind_of_app
    heartbeat.Heartbeat._try_bind_socket = bind_heartbeat


def _cut_long_streams() -> None:
    """Shorten a huge print here: the host drops messages above its limit whole."""
    session = importlib.import_module("jupyter_client.session").Session
    make = session.msg

    def make_cut(self: Any, kind: str, content: Any = None, *args: Any, **keywords: Any) -> Any:
        text = content.get("text") if kind == "stream" and content else None
        if isinstance(text, str) and len(text) > _STREAM_CHARS:
            left_out = len(text) - _STREAM_CHARS
            content["text"] = (
                f"{text[:_STREAM_CHARS]}\n[{left_out} more characters were left out]\n"
            )
        return make(self, kind, content, *args, **keywords)

    session.msg = make_cut


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
