"""The checker: a store that the product made is clean, and each invariant that is broken is named."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local_assistants.engine import invariants
from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import Thread
from local_assistants.storage import presence
from local_assistants.storage.blobs import place_of, places
from local_assistants.storage.checking import Report, check
from local_assistants.storage.checking.look import connected, statements_of_checks
from local_assistants.storage.checking.report import MOST
from local_assistants.storage.migrations import STEPS
from local_assistants.storage.sqlite import SQLiteStore
from tests.support.furnished import furnish


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the product made; never changed."""
    folder = tmp_path_factory.mktemp("furnished")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(furnish(folder))
    return folder


@pytest.fixture
def folder(furnished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(furnished, tmp_path / "data"))


@pytest.fixture
def served(folder: Path) -> Iterator[Path]:
    """The copy, with a server at work on it, as it says."""
    with presence.at_work(folder):
        yield folder


def sql(folder: Path, *statements: str) -> None:
    """Change the database as no product would."""
    with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            changed = connection.execute(statement).rowcount
            assert changed != 0, f"breaks nothing: {statement}"


def broken(folder: Path) -> set[str]:
    """Names of what is broken."""
    return set(check(folder).counts)


def subjects(report: Report, invariant: invariants.Invariant) -> list[str]:
    """Who breaks it."""
    return [one.subject for one in report.kept if one.invariant is invariant and not one.note]


def test_what_the_product_made_is_clean(furnished: Path) -> None:
    """Runs with every end, changed and deleted things, files, uploads and vector stores."""
    report = check(furnished)
    with closing(sqlite3.connect(furnished / "store.db")) as connection:
        ends = {row[0] for row in connection.execute("SELECT DISTINCT status FROM runs")}
        rows = {
            name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in (
                "upload_parts",
                "chunk_vectors",
                "listed_files",
                "file_attributes",
                "storage_periods",
            )
        }

    assert [] == [(one.invariant.name, one.subject, one.seen) for one in report.kept]
    assert {"completed", "failed", "cancelled", "expired", "incomplete"} <= ends
    assert all(rows.values()), rows
    assert report.rows > 500


BODY = "json_set(body, '$.{}', {}) "
OTHER_MODEL = BODY.format("model", "'other'")
OVER = "(SELECT id FROM runs WHERE status = 'completed' LIMIT 1)"

BREAKS: dict[str, tuple[str, ...]] = {
    "schema-whole": ("DROP TRIGGER chunks_drop_words",),
    "references": ("UPDATE transcript SET thread_id = 'thread_none' WHERE seq = 1",),
    "object-readable": ("UPDATE assistants SET body = '{}' WHERE seq = 1",),
    "columns-agree": ("UPDATE threads SET created_at = 1 WHERE seq = 1",),
    "status-legal": ("UPDATE run_steps SET status = 'asleep' WHERE seq = 1",),
    "fields-fit": (
        f"UPDATE runs SET body = {BODY.format('completed_at', 'NULL')} WHERE id = {OVER}",
    ),
    "project-of-run": (f"UPDATE runs SET project = 'theirs' WHERE id = {OVER}",),
    "listed-files": ("DELETE FROM listed_files WHERE kind = 'threads'",),
    "step-has-run": ("UPDATE run_steps SET run_id = 'run_none' WHERE seq = 1",),
    "message-has-thread": ("UPDATE messages SET thread_id = 'thread_none' WHERE seq = 1",),
    "message-has-run": ("UPDATE messages SET run_id = 'run_none' WHERE run_id IS NOT NULL",),
    "one-active-run": (
        "DROP INDEX runs_active",
        "UPDATE runs SET status = 'queued', thread_id = (SELECT thread_id FROM runs ORDER BY seq LIMIT 1) "
        "WHERE seq IN (SELECT seq FROM runs ORDER BY seq LIMIT 2)",
    ),
    "finished-run-closed": (f"UPDATE run_steps SET status = 'in_progress' WHERE run_id = {OVER}",),
    "finished-run-free": (
        f"UPDATE runs SET lease_owner = 'me', lease_until = 1 WHERE id = {OVER}",
    ),
    "message-once": ("DELETE FROM run_steps WHERE body LIKE '%message_creation%'",),
    "transcript-once": (
        "INSERT INTO transcript (thread_id, message_id) SELECT thread_id, id FROM messages "
        "WHERE run_id IS NULL LIMIT 1",
    ),
    "message-in-transcript": ("DELETE FROM transcript WHERE run_id IS NULL",),
    "journal-numbered": (f"DELETE FROM run_events WHERE run_id = {OVER} AND seq = 3",),
    "journal-path": (
        f"DELETE FROM run_events WHERE run_id = {OVER} AND name = 'thread.run.in_progress'",
    ),
    "journal-agrees": (f"UPDATE runs SET body = {OTHER_MODEL} WHERE id = {OVER}",),
    "upload-parts": ("DELETE FROM upload_parts WHERE seq = (SELECT max(seq) FROM upload_parts)",),
    "store-files": ("UPDATE vector_store_files SET file_id = 'file-none' WHERE seq = 1",),
    "store-counts": (
        f"UPDATE vector_stores SET body = {BODY.format('file_counts.total', '7')} WHERE seq = 1",
    ),
    "batch-counts": ("UPDATE file_batches SET status = 'in_progress'",),
    "storage-ledger": (
        "UPDATE storage_periods SET usage_bytes = usage_bytes + 1 WHERE until IS NULL",
    ),
    "file-attributes": ("DELETE FROM file_attributes WHERE name = 'year'",),
    "text-ranges": ("UPDATE text_stores SET chunks = chunks + 1 WHERE number = 1",),
    "file-texts": ("DELETE FROM extracts WHERE seq = (SELECT min(seq) FROM extracts)",),
    "vectors-agree": (
        "UPDATE chunk_vectors SET vector = x'00000000' WHERE chunk = (SELECT min(chunk) FROM chunk_vectors)",
    ),
    "words-agree": (
        "DROP TRIGGER chunks_change_words",
        "UPDATE chunks SET text = 'penguins' WHERE seq = (SELECT min(seq) FROM chunks)",
    ),
}
"""Invariants that a change of the database breaks, and such a change; the others have tests of their own below."""


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_in_the_database_is_named(folder: Path, name: str) -> None:
    """By its invariant, with the id of an object and what was seen; what belongs together is named together."""
    sql(folder, *BREAKS[name])
    report = check(folder)
    found = [one for one in report.kept if one.invariant.name == name]

    assert not report.ok
    assert found, report.counts
    assert all(one.subject and one.seen and not one.note for one in found)


def keys(folder: Path) -> list[str]:
    """Keys of all bytes."""
    return sorted(place.name for place in places(folder / "blobs"))


def indexed_file(folder: Path) -> Path:
    """Where the bytes of a file lie whose digest is known."""
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        (key,) = connection.execute(
            "SELECT s.file_id FROM vector_store_files AS s JOIN extracts AS e USING (vector_store_id, file_id)"
        ).fetchone()
    return place_of(folder / "blobs", key)


def test_a_damaged_page_is_named(folder: Path) -> None:
    """SQLite's own check finds it, and the checker goes on as far as it can."""
    path = folder / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'messages_of_thread'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(os.urandom(size))

    assert "database-intact" in broken(folder)


@pytest.mark.parametrize("left", [None, b"short"])
def test_missing_bytes_are_named(folder: Path, left: bytes | None) -> None:
    """All gone or some, of any file; by its id."""
    place = indexed_file(folder)
    place.unlink()
    if left is not None:
        place.write_bytes(left)

    assert [place.name] == subjects(check(folder), invariants.FILE_BYTES)


def test_changed_bytes_of_an_indexed_file_are_named(folder: Path) -> None:
    """By the digest that was kept when it was read; sizes alone do not tell."""
    place = indexed_file(folder)
    place.write_bytes(place.read_bytes()[:-1] + b"?")

    assert [place.name] == subjects(check(folder), invariants.FILE_CONTENT)
    assert check(folder, read_files=False).ok


def test_bytes_that_nothing_names_are_a_note_until_a_server_should_have_removed_them(
    served: Path,
) -> None:
    """Young ones may be on their way to their record; without a server all of them wait."""
    place = place_of(served / "blobs", "file-stray")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"x")
    young = check(served)
    then = time.time() - 3 * 3600
    os.utime(place, (then, then))
    old = check(served)

    assert (True, {"stray-bytes": 1}) == (young.ok, dict(young.notes))
    assert ["file-stray"] == subjects(old, invariants.STRAY_BYTES)


def test_old_bytes_that_nothing_names_wait_for_the_next_server(folder: Path) -> None:
    """Which removes them, so they are a note."""
    place = place_of(folder / "blobs", "file-stray")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"x")
    os.utime(place, (1, 1))

    assert (True, {"stray-bytes": 1}) == ((found := check(folder)).ok, dict(found.notes))


LAPSED = (
    "UPDATE runs SET status = 'in_progress', lease_owner = 'gone', lease_until = 1 WHERE seq = 1"
)


@pytest.mark.slow
def test_a_run_that_nobody_works_on_is_stuck_while_a_server_is_at_work(served: Path) -> None:
    """Its lease has lapsed and nobody takes it up for seconds; its time was over long ago."""
    sql(served, LAPSED, "UPDATE runs SET expires_at = 1 WHERE seq = 1")
    assert {"run-has-owner", "run-in-time"} <= broken(served)


def test_a_run_that_nobody_works_on_waits_for_the_next_server(folder: Path) -> None:
    """Without one it is a note."""
    sql(folder, LAPSED, "UPDATE runs SET expires_at = 1 WHERE seq = 1")
    report = check(folder)

    assert {"run-has-owner": 1, "run-in-time": 1} == dict(report.notes)
    assert not {"run-has-owner", "run-in-time"} & set(report.counts)


def test_every_invariant_is_looked_at_and_broken_by_a_test() -> None:
    """One that nothing can break is no check."""
    elsewhere = {
        "database-intact",
        "file-bytes",
        "file-content",
        "stray-bytes",
        "run-has-owner",
        "run-in-time",
    }
    names = [one.name for one in invariants.INVARIANTS]

    assert sorted(names) == sorted({*BREAKS, *elsewhere})
    assert set(statements_of_checks()) <= {name.replace("-", "_") for name in names}


def test_a_table_full_of_findings_does_not_fill_the_memory(folder: Path) -> None:
    """Some are kept, all are counted."""
    sql(
        folder,
        *(
            f"INSERT INTO transcript (thread_id, message_id) VALUES ('thread_1', 'msg_no{n}')"
            for n in range(50)
        ),
    )
    report = check(folder)

    assert 50 == report.counts["message-in-transcript"]
    assert MOST == sum(one.invariant is invariants.MESSAGE_IN_TRANSCRIPT for one in report.kept)


async def test_it_looks_beside_whoever_writes(folder: Path) -> None:
    """A write goes on meanwhile; the look is one snapshot, and changes nothing."""
    store = SQLiteStore.open(folder / "store.db")
    checking = asyncio.create_task(asyncio.to_thread(check, folder))
    written = 0
    while not checking.done():
        thread = Thread(id=f"thread_new{written}", created_at=1)
        await store.write(lambda tx, new=thread: tx.put(new))  # type: ignore[misc]
        written += 1
    await store.close()

    assert (await checking).ok
    assert written > 0


def test_the_look_cannot_write(folder: Path) -> None:
    """Not even by mistake."""
    with connected(folder / "store.db") as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM threads")


def test_nothing_in_the_folder_changes(folder: Path) -> None:
    """But for SQLite's own files beside the database."""

    def content() -> dict[str, bytes]:
        found = (path for path in folder.rglob("*") if path.is_file())
        return {str(path): path.read_bytes() for path in found if "store.db-" not in path.name}

    before = content()
    check(folder)
    assert before == content()


LAST = STEPS[-1].__name__


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (f"DELETE FROM _sqlite_migrations WHERE name = '{LAST}'", "older version"),
        (
            f"UPDATE _sqlite_migrations SET name = 'm9999_later' WHERE name = '{LAST}'",
            "newer version",
        ),
    ],
)
def test_a_database_of_another_version_is_not_looked_at(
    folder: Path, change: str, says: str
) -> None:
    """Its tables mean something else."""
    sql(folder, change)
    with pytest.raises(StorageFault, match=says):
        check(folder)


def test_no_database_and_no_database_of_ours_are_refused(tmp_path: Path) -> None:
    """And none is made."""
    with pytest.raises(StorageFault, match="There is no database"):
        check(tmp_path)
    (tmp_path / "store.db").write_bytes(b"no database" * 100)
    with pytest.raises(StorageFault, match="not a database"):
        check(tmp_path)
