"""The disk is full for a while in the middle of indexing: no file is failed by it, all are done when there is room."""

import contextlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.counting_embedder import CountingEmbedder

SECONDS = 0.02  # that a text takes: the disk is full in the middle of it
FILES, CHUNKS = 3, 40
PATIENCE = 60.0
_MOUNTED = 'mount -t tmpfs -o size=24m none "$0" && exec "$@"'


def _ways_to_mount() -> list[str]:
    """How to get a small disk of one's own here, if at all: as root, or in a user namespace."""
    for flags in ("--mount", "-Urm"):
        trial = ["unshare", flags, "sh", "-c", _MOUNTED, "/mnt", "true"]
        with contextlib.suppress(OSError):
            if subprocess.run(trial, capture_output=True, check=False).returncode == 0:
                return [flags]
    return []


@dataclass
class Host:
    """A server whose disk can be full; `mount`: the flags of unshare that give it one, "" for a limit on its files."""

    data: Path
    notes: Path
    mount: str
    process: "subprocess.Popen[str] | None" = None
    client: httpx.Client = field(default_factory=httpx.Client)

    def start(self) -> None:
        """Start the server."""
        disk = ["unshare", self.mount, "sh", "-c", _MOUNTED, str(self.data)] if self.mount else []
        command = [sys.executable, "-m", "tests.support.indexing_server", str(self.data)]
        with (self.notes / "log").open("w") as log:
            self.process = subprocess.Popen(
                [*disk, *command, str(SECONDS), str(self.notes)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        self.client = httpx.Client(base_url=f"{address}/v1", timeout=30)

    def end(self) -> None:
        """End it."""
        if self.process is not None:
            self.client.close()
            self.process.kill()
            self.process.communicate()

    @property
    def _pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def _ballast(self) -> Path:
        return Path(f"/proc/{self._pid}/root{self.data}/ballast")

    def fill(self) -> None:
        """Leave no room for anything."""
        if not self.mount:
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
            return
        with contextlib.suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(4096))

    def free(self) -> None:
        """Give the room back."""
        if self.mount:
            self._ballast.unlink()
        else:
            unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(self._pid, resource.RLIMIT_FSIZE, unlimited)

    def post(self, path: str, **sent: Any) -> Any:
        """The answer to a POST that has to succeed."""
        return self.client.post(path, **sent).raise_for_status().json()

    def embedded(self) -> int:
        """How many texts the model has had."""
        return CountingEmbedder(self.notes / "model").embedded

    def progress(self, store_id: str) -> Any:
        """What the server tells of its files in progress."""
        path = f"/local/vector_stores/{store_id}/progress"
        return self.client.get(self.client.base_url.join(path)).raise_for_status().json()


@pytest.fixture(params=["", *_ways_to_mount()], ids=lambda way: f"mount{way}" if way else "limit")
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Host]:
    """A server on a disk of its own, or on one of which it may write no more."""
    data, notes = tmp_path / "data", tmp_path / "notes"
    data.mkdir()
    notes.mkdir()
    made = Host(data, notes, request.param)
    try:
        made.start()
        yield made
    finally:
        made.end()


def until(holds: Callable[[], object]) -> None:
    """Wait for it."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def filled_store(host: Host) -> tuple[str, Sequence[str]]:
    """A vector store with files on their way into it; their ids."""
    ids: list[str] = []
    for number in range(FILES):
        words = f"quokka{number}x"
        text = "\n\n".join(f"{words} {n} " + f"stone{n % 7} river " * 90 for n in range(CHUNKS))
        file = {"file": (f"{number}.txt", text.encode())}
        ids.append(host.post("/files", files=file, data={"purpose": "assistants"})["id"])
    return host.post("/vector_stores", json={"file_ids": ids})["id"], ids


def test_a_full_disk_fails_no_file(host: Host) -> None:
    """They wait, progress says for what, and go on where they stopped once there is room."""
    store_id, ids = filled_store(host)
    until(lambda: host.embedded() >= CHUNKS)
    host.fill()
    until(lambda: all(one["setback"] for one in host.progress(store_id)["files"]))
    waiting = host.progress(store_id)
    until(lambda: max(one["setback"]["attempts"] for one in host.progress(store_id)["files"]) >= 2)
    said = host.post(f"/vector_stores/{store_id}/search", json={"query": "quokka1x"})
    host.free()
    until(lambda: not host.progress(store_id)["files"])
    store = host.client.get(f"/vector_stores/{store_id}").json()
    log = (host.notes / "log").read_text()

    counts = waiting["file_counts"]
    assert (0, FILES) == (counts["failed"], counts["in_progress"] + counts["completed"])
    reasons = {one["setback"]["reason"] for one in waiting["files"]}
    assert [] == [reason for reason in reasons if "disk" not in reason or str(host.data) in reason]
    assert ids[1] in {hit["file_id"] for hit in said["data"]}
    assert FILES == store["file_counts"]["completed"]
    assert f"{host.data}/store.db" in log
    assert host.embedded() <= FILES * (
        CHUNKS + 8 + 2 * 32
    )  # only the batches under way were in vain
