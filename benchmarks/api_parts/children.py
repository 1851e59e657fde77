"""The processes that take part: started, asked, measured and ended here."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

BENCHMARKS = Path(__file__).parent.parent
PATIENCE = 120
"""Seconds until a silent process counts as hanging."""

_TICK = 1000 / os.sysconf("SC_CLK_TCK")  # milliseconds


class Child:
    """A process of this benchmark; ended at the end of the `with` block."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        self._log = log
        path = f"{BENCHMARKS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, "PYTHONPATH": path},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask it to end, and wait for that."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()

    @property
    def cpu(self) -> float:
        """CPU time of all its threads so far, in milliseconds (steps of 10)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK

    def line(self) -> str:
        """The next line it prints.

        Raises:
            RuntimeError: it ended instead, or says nothing; shows the last of what it wrote to stderr.
        """
        stdout = self.process.stdout
        if stdout is None:
            raise RuntimeError("the process is not listened to")
        if not select.select([stdout], [], [], PATIENCE)[0]:
            raise RuntimeError(f"nothing came for {PATIENCE} s: {self.errors()}")
        if not (line := stdout.readline()):
            raise RuntimeError(f"a process ended: {self.errors()}")
        return line.strip()

    def errors(self) -> str:
        """What it wrote to stderr, the last of it."""
        return self._log.read_text(errors="replace")[-2000:]


class Server(Child):
    """One that prints its address first."""

    def __init__(self, command: Sequence[str | Path], log: Path) -> None:
        super().__init__(command, log)
        self.address = self.line()


class Worker(Child):
    """One that answers each line of JSON with one."""

    def __init__(self, module: str, log: Path, *arguments: str | Path) -> None:
        package = "" if "." in module else "api_parts."
        super().__init__([sys.executable, "-m", f"{package}{module}", *arguments], log)

    def ask(self, kind: str, **job: Any) -> dict[str, Any]:
        """Have a job done.

        Raises:
            RuntimeError: it died, or the servers answered with errors.
        """
        if self.process.stdin is None:
            raise RuntimeError("the process takes no jobs")
        self.process.stdin.write(json.dumps({"kind": kind, **job}) + "\n")
        self.process.stdin.flush()
        figures: dict[str, Any] = json.loads(self.line())
        return figures


def serve(data: Path, script: Path, log: Path, *, module: str = "local_assistants") -> Server:
    """`local-assistants serve` with a data folder and a script of its own."""
    command = [sys.executable, "-m", module, "serve", "--model", f"scripted:{script}"]
    return Server([*command, "--data", data, "--port", "0"], log)
