"""Servers under load: started with settings of their own, and looked at from outside while they work."""

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from api_parts.children import Server, Worker

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Look:
    """What a server has at one moment.

    Attributes:
        memory: bytes of its process, what it shares with others counted in part (PSS).
        files: open descriptors.
        processes: all that descend from it, itself included.
        temporary: files in its temporary folder.
        kept: files in its data folder, the database's own left out.
    """

    memory: int
    files: int
    processes: int
    temporary: int
    kept: int


class LoadedServer(Server):
    """`local-assistants serve` on a data folder, with scripts for models and a temporary folder of its own."""

    def __init__(self, root: Path, name: str, scripts: Path, *, settings: str = "") -> None:
        self.data = root / name
        self._temporary = root / f"{name}-tmp"
        self._temporary.mkdir(exist_ok=True)
        (root / f"{name}.toml").write_text(settings)
        command = [sys.executable, "-m", "local_assistants", "serve", "--port", "0"]
        command += ["--model", f"scripted:{scripts}", "--data", str(self.data)]
        command += ["--settings", str(root / f"{name}.toml")]
        environment = ["env", f"TMPDIR={self._temporary}"]
        super().__init__([*environment, *command], root / f"{name}.log")

    def assistant(self, load: Worker, model: str) -> str:
        """A new assistant's id."""
        asked = [["POST", "/v1/assistants", {"model": model}]]
        told = load.ask("requests", address=self.address, clients=1, requests=asked, keep=True)
        return str(json.loads(told["answers"][0])["id"])

    @property
    def memory(self) -> int:
        """Bytes of its process (PSS)."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
        return int(line.split()[1]) * 1024

    def look(self) -> Look:
        """What it has now."""
        pid = self.process.pid
        return Look(
            memory=self.memory,
            files=len(os.listdir(f"/proc/{pid}/fd")),
            processes=len(descendants(pid)),
            temporary=_count(self._temporary),
            kept=_count(self.data, leave_out="store.db"),
        )

    def at_rest(self, files: int = 0, patience: float = 5.0) -> Look:
        """What it has once its clients are gone: when it has no more than so many files open, or after a while."""
        end = time.perf_counter() + patience
        while (seen := self.look()).files > files and time.perf_counter() < end:
            time.sleep(0.2)
        return seen

    def statuses(self) -> dict[str, int]:
        """How many runs there are of each status, read beside the server."""
        with closing(sqlite3.connect(f"file:{self.data / 'store.db'}?mode=ro", uri=True)) as db:
            return dict(db.execute("SELECT status, count(*) FROM runs GROUP BY status").fetchall())

    def until(self, status: str, count: int, patience: float = 300.0) -> float:
        """Wait until there are `count` runs of a status; how long that took, in seconds.

        Raises:
            RuntimeError: it did not come to that; tells what there is.
        """
        began = time.perf_counter()
        while (found := self.statuses()).get(status, 0) != count:
            if time.perf_counter() - began > patience:
                raise RuntimeError(f"{count} runs were to be {status}, and there are {found}")
            time.sleep(0.1)
        return time.perf_counter() - began


def descendants(pid: int) -> set[int]:
    """The process and all that it started, and they."""
    parents: dict[int, int] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            parents[int(entry)] = int(fields[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _count(folder: Path, leave_out: str = "\0") -> int:
    return sum(
        1 for path in folder.rglob("*") if path.is_file() and not path.name.startswith(leave_out)
    )
