"""Stored bytes change behind the server: nobody is given them, what is sound goes on, `db check` names the rest."""

import os
import random
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.storage.blobs import place_of
from local_assistants.storage.checking import check
from tests.support.live_server import LiveServer, playing

HELLO = [{"text": "Hello there."}]
PAGE = 4096


class Site:
    """A server over a folder, one life after the other, and a client for it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._settings = playing(HELLO, folder)
        self.client = httpx.Client()

    def __enter__(self) -> "Site":
        self._server = LiveServer(self._settings)
        self.client = httpx.Client(base_url=f"{self._server.start()}/v1", timeout=60)
        return self

    def __exit__(self, *exc: object) -> None:
        self.client.close()
        self._server.stop()

    def post(self, path: str, **sent: Any) -> Any:
        """The answer to a POST that has to succeed."""
        return self.client.post(path, **sent).raise_for_status().json()

    def file(self, content: bytes, purpose: str) -> str:
        """An uploaded file."""
        sent = {"file": ("data.csv", content)}
        return str(self.post("/files", files=sent, data={"purpose": purpose})["id"])

    def error(self, method: str, path: str, **sent: Any) -> tuple[int, str]:
        """Status and message of what is refused."""
        answer = self.client.request(method, path, **sent)
        return answer.status_code, answer.json()["error"]["message"]

    def broken(self) -> set[tuple[str, str]]:
        """What `db check` finds: invariants with their objects."""
        return {(one.invariant.name, one.subject) for one in check(self.data).kept}


def flipped(path: Path) -> None:
    """One bit is another."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shortened(path: Path) -> None:
    """The end is gone."""
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [flipped, shortened, Path.unlink])
def test_a_damaged_file_is_given_to_nobody(tmp_path: Path, harm: Any) -> None:
    """No download, no search, no upload is made of it; errors say so, other files stay, and a new copy helps."""
    with Site(tmp_path) as site:
        part_of = site.post(
            "/uploads",
            json={"filename": "a.csv", "purpose": "batch", "bytes": 9, "mime_type": "text/csv"},
        )["id"]
        part = site.post(f"/uploads/{part_of}/parts", files={"data": ("a", b"a,b\n1,2\n\n")})["id"]
        bad, good = site.file(b"a,b\n1,2\n" * 500, "batch"), site.file(b"a,b\n3,4\n", "batch")
        for key in (bad, part):
            harm(place_of(site.data / "blobs", key))
        download = site.error("GET", f"/files/{bad}/content")
        completion = site.error("POST", f"/uploads/{part_of}/complete", json={"part_ids": [part]})
        other = site.client.get(f"/files/{good}/content").content
        found = {subject for _, subject in site.broken()}
        deleted = site.client.delete(f"/files/{bad}").json()["deleted"]
        upload = site.client.post(f"/uploads/{part_of}/cancel").json()["status"]

    for status, message in (download, completion):
        assert 500 == status
        assert "Restore it from a backup or upload it again." in message
        assert str(tmp_path) not in message
    assert b"a,b\n3,4\n" == other
    assert {bad, part} == found
    assert (True, "cancelled") == (deleted, upload)


def test_a_run_is_not_given_a_damaged_file(tmp_path: Path) -> None:
    """It fails and names the file; without the file the next one completes."""
    with Site(tmp_path) as site:
        bad = site.file(b"a,b\n1,2\n" * 500, "assistants")
        tools = [{"type": "code_interpreter"}]
        assistant = site.post("/assistants", json={"model": "scripted", "tools": tools})["id"]
        attached = [{"file_id": bad, "tools": tools}]
        message = {"role": "user", "content": "Sum it up.", "attachments": attached}
        thread = site.post("/threads", json={"messages": [message]})["id"]
        flipped(place_of(site.data / "blobs", bad))
        body = {"assistant_id": assistant, "stream": True}
        first = site.client.post(f"/threads/{thread}/runs", json=body).text
        site.client.delete(f"/files/{bad}").raise_for_status()
        second = site.client.post(f"/threads/{thread}/runs", json=body).text

    assert "thread.run.failed" in first
    assert f"The content of file {bad} is damaged" in first
    assert "thread.run.completed" in second


def test_a_damaged_file_is_not_indexed(tmp_path: Path) -> None:
    """It is failed in its vector store, with the reason."""
    with Site(tmp_path) as site:
        bad = site.file(b"Words of no interest. " * 50, "assistants")
        flipped(place_of(site.data / "blobs", bad))
        store = site.post("/vector_stores", json={"file_ids": [bad]})["id"]
        path, deadline = f"/vector_stores/{store}/files/{bad}", time.monotonic() + 60
        while (file := site.client.get(path).json())["status"] == "in_progress":
            assert time.monotonic() < deadline
            time.sleep(0.02)

    assert ("failed", "server_error") == (file["status"], file["last_error"]["code"])
    assert f"The content of file {bad} is damaged" in file["last_error"]["message"]


def filled(folder: Path) -> str:
    """A data folder with many pages, its log emptied; the id of a thread with messages."""
    with Site(folder) as site:
        threads = [
            site.post("/threads", json={"messages": [{"role": "user", "content": "x" * 3000}] * 8})
            for _ in range(12)
        ]
    with closing(sqlite3.connect(folder / "data" / "store.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return str(threads[0]["id"])


def overwrite(database: Path, page: int) -> None:
    """Noise where a page was."""
    with database.open("r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(random.Random(page).randbytes(PAGE))


def test_a_damaged_page_of_the_database_is_told(tmp_path: Path) -> None:
    """What lies on it is refused with what helps, the rest is served; a backup brings all of it back."""
    thread = filled(tmp_path)
    data, copy = tmp_path / "data", tmp_path / "copy"
    shutil.copytree(data, copy)
    overwrite(data / "store.db", table_root(data / "store.db", "messages"))
    with Site(tmp_path) as site:
        status, message = site.error("GET", f"/threads/{thread}/messages")
        intact = site.client.get(f"/threads/{thread}").status_code
        made = site.post("/assistants", json={"model": "scripted"})["id"]
        kept = site.client.get(f"/assistants/{made}").status_code
        broken = {invariant for invariant, _ in site.broken()}
    shutil.rmtree(data)
    shutil.copytree(copy, data)
    with Site(tmp_path) as site:
        restored = site.client.get(f"/threads/{thread}/messages").json()["data"]

    assert (500, "The database failed: it is damaged; restore it from a backup.") == (
        status,
        message,
    )
    assert (200, 200, 8) == (intact, kept, len(restored))
    assert "database-intact" in broken


def table_root(database: Path, table: str) -> int:
    """The page that every look at a table begins with."""
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
    return int(page)


@pytest.mark.parametrize(
    ("page", "said"), [(0, "it is not a database"), (1, "it is damaged")], ids=["header", "schema"]
)
def test_a_database_that_cannot_be_read_is_not_served(tmp_path: Path, page: int, said: str) -> None:
    """The server does not start, says what helps, and changes nothing in the file."""
    filled(tmp_path)
    database = tmp_path / "data" / "store.db"
    with database.open("r+b") as file:
        file.seek(100 * page)
        file.write(random.Random(page).randbytes(100 if page == 0 else PAGE - 100))
    before = database.read_bytes()
    with pytest.raises(StorageFault, match=f"{said}; restore it from a backup"), Site(tmp_path):
        pass

    assert before == database.read_bytes()
