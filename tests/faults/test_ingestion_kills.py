"""Server and worker are killed at any moment of indexing: what was acknowledged is there, and is not embedded again."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.counting_embedder import CountingEmbedder, digest_of

SECONDS = 0.004  # that a text takes: so a kill meets files in all stages
CHUNKS = 40  # of a file, about: more than a batch


@dataclass
class Site:
    """A data folder, the server over it as long as it lives, and what it has acknowledged."""

    data: Path
    process: "subprocess.Popen[str] | None" = None
    client: httpx.Client = field(default_factory=httpx.Client)
    store_id: str = ""
    files: dict[str, str] = field(default_factory=dict[str, str])  # id: its own word
    stored: dict[str, int] = field(default_factory=dict[str, int])  # text: how often embedded

    def start(self) -> None:
        """Start the server, and have a vector store."""
        command = [sys.executable, "-m", "tests.support.indexing_server"]
        self.process = subprocess.Popen(
            [*command, str(self.data), str(SECONDS)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().strip()
        self.client = httpx.Client(base_url=f"{address}/v1", timeout=30)
        if not self.store_id:
            self.store_id = self.post("/vector_stores", json={})["id"]

    def post(self, path: str, **sent: Any) -> Any:
        """The answer to a POST that has to succeed."""
        return self.client.post(path, **sent).raise_for_status().json()

    def add(self, number: int) -> None:
        """Upload a file and put it into the store; it counts from the moment that this is acknowledged."""
        word = f"quokka{number}x"
        text = "\n\n".join(f"{word} {n} " + f"stone{n % 7} river " * 90 for n in range(CHUNKS))
        upload = {"file": (f"{number}.txt", text.encode())}
        file = self.post("/files", files=upload, data={"purpose": "assistants"})
        self.post(f"/vector_stores/{self.store_id}/files", json={"file_id": file["id"]})
        self.files[file["id"]] = word

    def statuses(self) -> dict[str, str]:
        """The status of each file of the store."""
        found: dict[str, str] = {}
        query: dict[str, Any] = {"limit": 100, "order": "asc"}
        while True:
            page = self.client.get(f"/vector_stores/{self.store_id}/files", params=query).json()
            found |= {item["id"]: item["status"] for item in page["data"]}
            if not page["has_more"]:
                return found
            query["after"] = page["last_id"]

    def search(self, text: str) -> list[str]:
        """Ids of the files found."""
        path = f"/vector_stores/{self.store_id}/search"
        return [hit["file_id"] for hit in self.post(path, json={"query": text})["data"]]

    def wait_until_done(self) -> dict[str, str]:
        """The statuses when nothing is in progress any more."""
        deadline = time.monotonic() + 60
        while "in_progress" in (statuses := self.statuses()).values():
            assert time.monotonic() < deadline, statuses
            time.sleep(0.05)
        return statuses

    def work_on(self, chance: random.Random) -> None:
        """Let it embed some texts more, or none, and reach any moment between two of its steps."""
        more = chance.choice((0, 1, 40, 80, 120))
        wanted, deadline = self.embedded().total() + more, time.monotonic() + 10
        while self.embedded().total() < wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.15))

    def kill_worker(self) -> None:
        """End the worker process, if there is one, as the kernel would."""
        assert self.process is not None
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with contextlib.suppress(OSError):
                if b"ingestion.serve" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)

    def kill(self) -> None:
        """End the server as the kernel would, and wait until it is gone."""
        if self.process is not None:
            self.client.close()
            self.process.kill()
            self.process.communicate()

    def embedded(self) -> "Counter[str]":
        """How often each text was embedded, queries not counted."""
        return Counter(CountingEmbedder(self.data / "model").texts)

    def note(self) -> None:
        """Remember, for texts whose vectors are stored now, how often they were embedded."""
        statement = "SELECT c.text FROM chunks AS c JOIN chunk_vectors AS v ON v.chunk = c.seq"
        counts = self.embedded()
        with closing(sqlite3.connect(self.data / "store.db")) as connection:
            for (text,) in connection.execute(statement):
                digest = digest_of(text)  # file names that are numbers are not embedded
                assert counts[digest], "a vector without an embedding"
                self.stored.setdefault(digest, counts[digest])

    def assert_nothing_stored_was_embedded_again(self) -> None:
        """What has a vector keeps it."""
        counts = self.embedded()
        assert [] == [digest for digest, count in self.stored.items() if counts[digest] != count]

    def whole(self, file_id: str) -> bool:
        """Whether all chunks of a file have their vectors, read behind the server's back."""
        statement = (
            "SELECT count(*), count(v.chunk) FROM chunks AS c LEFT JOIN chunk_vectors AS v ON v.chunk = c.seq "
            "WHERE c.file_id = ?"
        )
        with closing(sqlite3.connect(self.data / "store.db")) as connection:
            chunks, vectors = connection.execute(statement, (file_id,)).fetchone()
        return bool(0 < chunks == vectors)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A running server on an empty folder."""
    made = Site(tmp_path)
    try:
        made.start()
        yield made
    finally:
        made.kill()


def survive_kills(site: Site, kills: int, seed: int) -> None:
    """Index and kill, and look after each kill whether all is there."""
    chance = random.Random(seed)
    for number in range(kills):
        site.add(2 * number)
        site.add(2 * number + 1)
        site.work_on(chance)
        if chance.random() < 0.33:
            site.kill_worker()
            site.work_on(chance)
        before = site.statuses()
        site.kill()
        site.note()
        site.start()
        look_after(site, before, chance)


def look_after(site: Site, before: dict[str, str], chance: random.Random) -> None:
    """Nothing acknowledged is lost; what was complete answers at once, and by what is stored alone."""
    assert set(site.files) == set(site.statuses())
    done = [file_id for file_id, status in before.items() if status == "completed"]
    for file_id in chance.sample(done, min(3, len(done))):
        assert file_id == site.search(site.files[file_id])[0]
        assert site.whole(file_id)
    after = site.statuses()
    assert {after[file_id] for file_id in done} <= {"completed"}
    site.assert_nothing_stored_was_embedded_again()


def check_the_end(site: Site) -> None:
    """Every file is complete and found."""
    statuses = site.wait_until_done()
    assert dict.fromkeys(site.files, "completed") == statuses
    assert all(site.whole(file_id) for file_id in site.files)
    for file_id, word in site.files.items():
        assert file_id == site.search(word)[0]
    site.assert_nothing_stored_was_embedded_again()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_indexing_survives_a_dozen_kills(site: Site) -> None:
    """Of the server, of its worker, and of both."""
    survive_kills(site, 12, seed=1)
    check_the_end(site)


@pytest.mark.kills
@pytest.mark.timeout(1800)
def test_indexing_survives_a_hundred_kills(site: Site) -> None:
    """The same, 100 of 100 times."""
    survive_kills(site, 100, seed=2)
    check_the_end(site)
