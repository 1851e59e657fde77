"""`local-assistants serve` in a process of its own, on a disk that a test may break.

A disk is the words of a shell that mount it at "$0", in a mount namespace that only the server has; it goes with the
server. Words that mount nothing only limit the server. Without any, the data folder lies where the test put it.
"""

import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

PATIENCE = 60.0
Json = dict[str, Any]
Turns = Sequence[Json]


def until(holds: Callable[[], object], what: str = "it did not come about") -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def mountable(disk: str, folder: Path) -> bool:
    """Whether such a disk can be had here."""
    trial = _in_namespace(disk, folder, ["true"])
    with contextlib.suppress(OSError):
        return subprocess.run(trial, capture_output=True, check=False).returncode == 0
    return False


def _in_namespace(disk: str, data: Path, command: Sequence[str]) -> list[str]:
    apart = ["unshare", "--mount"] if "mount" in disk else []
    return [*apart, "sh", "-c", f'{disk} && exec "$@"', str(data), *command]


class Served:
    """A server over `folder`/data. `log` is what it said; `client` asks it."""

    def __init__(self, folder: Path, turns: Turns, *, disk: str = "") -> None:
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.client = httpx.Client()
        self._log = folder / "log"
        self._disk = disk
        script = folder / "script.yaml"
        script.write_text(yaml.safe_dump({"turns": list(turns)}))
        self._model = f"scripted:{script}"
        self._process: subprocess.Popen[str] | None = None

    def start(self, *options: str) -> None:
        """Start it, and wait until it can be asked."""
        command = [sys.executable, "-m", "local_assistants", "serve", "--port", "0", *options]
        command += ["--model", self._model, "--data", str(self.data)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                _in_namespace(self._disk, self.data, command) if self._disk else command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        address = self._process.stdout.readline().strip()
        assert address.startswith("http"), f"{address}\n{self.log}"
        self.client = httpx.Client(base_url=f"{address}/v1", timeout=PATIENCE)

    def kill(self) -> None:
        """End it as the kernel would."""
        if self._process is not None:
            self.client.close()
            self._process.kill()
            self._process.communicate()
            self._process = None

    @property
    def log(self) -> str:
        """What all its lives have said."""
        return self._log.read_text()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def disk(self) -> Path:
        """The data folder as the server sees it; only as long as it lives."""
        return Path(f"/proc/{self.pid}/root{self.data}")

    def on_its_disk(self, *command: str) -> None:
        """Run a command where the server's disk is."""
        subprocess.run(["nsenter", "-t", str(self.pid), "-m", *command], check=True)

    def broken(self) -> Json:
        """The invariants that do not hold in its data folder, as `db check` sees them."""
        command = [sys.executable, "-m", "local_assistants", "db", "check", "--json"]
        if self._disk and self._process is not None:
            command = ["nsenter", "-t", str(self.pid), "-m", *command]
        done = subprocess.run(
            [*command, "--data", str(self.data)], capture_output=True, text=True, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        broken: Json = json.loads(done.stdout)["broken"]
        return broken

    def fill(self) -> None:
        """Leave no room for anything; without a disk of its own, the kernel refuses whatever makes a file longer."""
        if not self._disk:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            return
        with contextlib.suppress(OSError), (self.disk / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    def free(self) -> None:
        """Give the room back."""
        if not self._disk:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, unlimited)
            return
        (self.disk / "ballast").unlink()

    def get(self, path: str) -> Any:
        """The answer to a GET that has to succeed."""
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        """The answer to a POST that has to succeed."""
        return self.client.post(path, json=body).raise_for_status().json()

    def thread(self, text: str = "Go on.") -> str:
        """A thread with a message."""
        return str(self.post("/threads", messages=[{"role": "user", "content": text}])["id"])

    def refuses(self) -> str:
        """The error of a start that does not succeed."""
        with contextlib.suppress(AssertionError):
            self.start()
            raise RuntimeError("the server has started")
        assert self._process is not None
        assert self._process.wait(PATIENCE) > 0
        return self.log

    def run(self, thread: str) -> str:
        """A run on it, with an assistant of its own."""
        assistant = self.post("/assistants", model="scripted")["id"]
        return str(self.post(f"/threads/{thread}/runs", assistant_id=assistant)["id"])

    def ended(self, thread: str, run: str) -> Json:
        """The run once it is over."""
        over = ("completed", "failed", "incomplete", "cancelled", "expired")
        found: Json = {}

        def is_over() -> bool:
            found.update(self.get(f"/threads/{thread}/runs/{run}"))
            return found["status"] in over

        until(is_over, "the run does not end")
        return found

    def texts(self, thread: str) -> list[str]:
        """What was said, oldest first."""
        messages = self.get(f"/threads/{thread}/messages?order=asc&limit=100")["data"]
        return ["".join(part["text"]["value"] for part in one["content"]) for one in messages]
