"""The servers that the clients talk to: the real program, in processes of its own, over a folder of scripts.

The first asks for keys, and each key opens a project of its own, so that clients can work side by side. The second is
hasty.py: runs that expire soon, streams that break, no keys.
"""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TURNS = HERE / "turns"
_PROGRAM = ("-m", "local_assistants")
_START_SECONDS = 90
_STOP_SECONDS = 30


@dataclass(frozen=True)
class Servers:
    """Two running servers.

    Attributes:
        address: of the ordinary one, as in http://127.0.0.1:8000.
        hasty: of the one described in hasty.py.
        keys: a key to each project of the first one.
        log: what the first one writes to stderr.
    """

    address: str
    hasty: str
    keys: dict[str, str]
    log: Path


@contextmanager
def serving(folder: Path, projects: Sequence[str]) -> Iterator[Servers]:
    """Both servers for the length of the block, with everything they keep in `folder`."""
    model, data, log = f"scripted:{TURNS}", str(folder / "data"), folder / "server.log"
    keys = {project: _key(project, data) for project in projects}
    ordinary = [*_PROGRAM, "serve", "--model", model, "--port", "0", "--data", data]
    hasty = [str(HERE / "hasty.py"), model, str(folder / "hasty")]
    with (
        _process(ordinary, log) as address,
        _process(hasty, folder / "hasty.log") as hasty_address,
    ):
        yield Servers(address, hasty_address, keys, log)


def _key(project: str, data: str) -> str:
    """A new key, made as an operator makes one."""
    plain = re.sub(r"\W+", "-", project)
    command = [sys.executable, "-P", *_PROGRAM, "keys", "create", "--project", plain]
    made = subprocess.run(
        [*command, "--data", data], env=_environment(), capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


def _environment() -> dict[str, str]:
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@contextmanager
def _process(arguments: list[str], log: Path) -> Iterator[str]:
    """A server process; gives the address, which is the first line that it prints."""
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", *arguments],
            cwd=log.parent,
            env=_environment(),
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
