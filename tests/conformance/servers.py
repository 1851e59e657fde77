"""The servers that the clients talk to: the real program, in processes of its own, over a folder of scripts.

The second one differs in one setting that the command line does not have: its runs live for two seconds, so that a
client can see one expire.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TURNS = HERE / "turns"
_START_SECONDS = 90
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Servers:
    """Two running servers.

    Attributes:
        address: of the ordinary one, as in http://127.0.0.1:8000.
        hasty: of the one whose runs live for two seconds.
        logs: what they write to stderr.
    """

    address: str
    hasty: str
    logs: tuple[Path, Path]


@contextmanager
def serving(folder: Path) -> Iterator[Servers]:
    """Both servers for the length of the block, with everything they keep in `folder`."""
    model = f"scripted:{TURNS}"
    ordinary = ["-m", "local_assistants", "serve", "--model", model, "--port", "0", "--data"]
    hasty = [str(HERE / "hasty.py"), model]
    logs = (folder / "server.log", folder / "hasty.log")
    with ExitStack() as stack:
        addresses = [
            stack.enter_context(_process([*command, str(folder / log.stem)], log))
            for command, log in zip((ordinary, hasty), logs, strict=True)
        ]
        yield Servers(addresses[0], addresses[1], logs)


@contextmanager
def _process(arguments: list[str], log: Path) -> Iterator[str]:
    """A server process; gives the address, which is the first line that it prints."""
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", *arguments],
            cwd=log.parent,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    watchdog = threading.Timer(_START_SECONDS, process.kill)
    try:
        assert process.stdout is not None
        watchdog.start()
        address = process.stdout.readline().strip()
        watchdog.cancel()
        if not address:
            raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
        yield address
    finally:
        watchdog.cancel()
        process.terminate()
        process.communicate(timeout=_STOP_SECONDS)
