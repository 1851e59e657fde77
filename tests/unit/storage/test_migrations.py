"""The schema's history: from nothing, from an older schema with data, never from a newer one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlite_utils.db import Database

from local_assistants.engine import objects
from local_assistants.engine.errors import StorageFault
from local_assistants.engine.objects import (
    Assistant,
    File,
    FileIds,
    Thread,
    ToolResources,
    VectorStore,
    Wire,
)
from local_assistants.engine.ports import Chunk, Extract, PageQuery
from local_assistants.engine.states import RUN, RunStatus, StoreStatus
from local_assistants.storage import SQLiteStore, migrations
from local_assistants.storage.transaction import SQLiteTransaction
from tests.contract.store import samples

if TYPE_CHECKING:
    from sqlite3 import Connection


def m9999_later(db: Database) -> None:
    """A step that this version does not have."""
    db.table("threads").add_column("title", str, not_null_default="untitled")


def m9998_views(db: Database) -> None:
    """A good step before one that fails."""
    db.create_view("recent", "SELECT id FROM threads")


def m9999_broken(db: Database) -> None:
    """A step that fails half-way."""
    db.table("threads").add_column("title", str)
    raise ValueError("on purpose")


@pytest.fixture
def connection(tmp_path: Path) -> "Iterator[Connection]":
    """An empty database in autocommit mode."""
    opened = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    yield opened
    opened.close()


def test_an_empty_database_gets_the_whole_schema(connection: sqlite3.Connection) -> None:
    """All tables are there, and the steps are recorded by name."""
    names = [step.__name__ for step in migrations.STEPS]
    assert names == migrations.migrate(connection)
    tables = set(Database(connection).table_names())
    assert {"threads", "runs", "run_events", "transcript", "chunks", "chunk_words"} <= tables
    recorded = connection.execute("SELECT name FROM _sqlite_migrations").fetchall()
    assert names == [name for (name,) in recorded]


def test_a_second_time_changes_nothing(connection: sqlite3.Connection) -> None:
    """Applied steps are not applied again."""
    migrations.migrate(connection)
    schema = Database(connection).schema
    assert [] == migrations.migrate(connection)
    assert schema == Database(connection).schema


async def test_a_full_database_of_the_first_schema_keeps_its_data(tmp_path: Path) -> None:
    """A later step is applied to stored objects, and they are still there."""
    thread = Thread(id="thread_1", created_at=1)
    store = SQLiteStore.open(tmp_path / "store.db")
    await store.write(lambda tx: tx.put(thread))
    await store.close()
    with sqlite3.connect(tmp_path / "store.db", isolation_level=None) as connection:
        assert ["m9999_later"] == migrations.migrate(connection, [*migrations.STEPS, m9999_later])
        rows = connection.execute("SELECT id, title FROM threads").fetchall()
        body = connection.execute("SELECT body FROM threads").fetchone()[0]
    connection.close()
    assert rows == [("thread_1", "untitled")]
    assert thread == Thread.model_validate_json(body)


FIRST_RELEASE: list[tuple[str, objects.Wire, dict[str, str | int]]] = [
    ("assistants", samples.assistant(), {}),
    ("threads", samples.thread(), {}),
    ("messages", samples.message(), {"thread_id": "thread_1", "status": "completed"}),
    ("runs", samples.run(), {"thread_id": "thread_1", "status": "queued"}),
    ("files", samples.file(), {"purpose": "assistants"}),
    ("vector_stores", samples.vector_store(), {"status": "completed"}),
    ("file_batches", samples.batch(), {"vector_store_id": "vs_1", "status": "in_progress"}),
]


def first_release(path: Path) -> None:
    """A database as the first release left it, with one object of most kinds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrations.migrate(connection, migrations.STEPS[:1])
        for table, obj, columns in FIRST_RELEASE:
            row = {"id": str(getattr(obj, "id")), "created_at": 100} | columns  # noqa: B009
            row["body"] = obj.model_dump_json()
            names = ", ".join(row)
            places = ", ".join(f":{name}" for name in row)
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", row)


async def test_what_was_made_before_there_were_projects_is_the_default_ones(tmp_path: Path) -> None:
    """It is found there, in the lists too, and nowhere else; a run that waited is still in the queue."""
    first_release(tmp_path / "store.db")
    store = SQLiteStore.open(tmp_path / "store.db")
    try:
        for _, obj, _ in FIRST_RELEASE:
            kind, key = type(obj), str(getattr(obj, "id"))  # noqa: B009
            for project, there in (("default", True), ("other", False)):
                view = store.scoped(project)
                found = await view.read(lambda tx, k=kind, i=key: tx.get(k, i))  # type: ignore[misc]
                page, _ = await view.read(lambda tx, k=kind: tx.page(k, PageQuery()))  # type: ignore[misc]
                assert (obj, [obj]) == (found, page) if there else (found, page) == (None, [])
        claimed = await store.write(lambda tx: tx.claim_run("worker", 0.0, 10.0))
        assert claimed is not None
    finally:
        await store.close()


def test_a_step_that_fails_leaves_the_database_as_it_was(connection: sqlite3.Connection) -> None:
    """Neither its half nor the good step before it stays, so the old version still opens the file."""
    migrations.migrate(connection)
    schema = Database(connection).schema
    with pytest.raises(ValueError, match="on purpose"):
        migrations.migrate(connection, [*migrations.STEPS, m9998_views, m9999_broken])
    assert schema == Database(connection).schema
    assert [] == migrations.migrate(connection)


async def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """The message names the step and what to do; the file stays as it is."""
    path = tmp_path / "store.db"
    await SQLiteStore.open(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.migrate(connection, [*migrations.STEPS, m9999_later])
    connection.close()
    before = path.read_bytes()
    with pytest.raises(
        StorageFault, match=r"newer version .* m9999_later.* Update local-assistants"
    ):
        SQLiteStore.open(path)
    assert before == path.read_bytes()


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """It gets no tables of ours and stays as it is."""
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (id)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StorageFault, match="another program"):
        SQLiteStore.open(path)
    assert before == path.read_bytes()


def test_the_schema_names_the_statuses_of_the_state_table(connection: sqlite3.Connection) -> None:
    """The partial indexes of runs hold exactly the statuses that are not final."""
    migrations.migrate(connection)
    for index in ("runs_active", "runs_expiring"):
        query = "SELECT sql FROM sqlite_master WHERE name = ?"
        (sql,) = connection.execute(query, (index,)).fetchone()
        assert {status for status in RunStatus if f"'{status}'" in sql} == set(
            RunStatus
        ) - RUN.final


async def test_a_queue_of_before_is_divided_by_projects(tmp_path: Path) -> None:
    """Runs stored by the version before belong to the projects of their threads."""
    with closing(sqlite3.connect(tmp_path / "store.db", isolation_level=None)) as connection:
        migrations.migrate(connection, migrations.STEPS[:3])
        for number, project in enumerate(("alpha", "alpha", "default"), start=1):
            run = samples.run(number)
            connection.execute(
                "INSERT INTO threads (id, project, created_at, body) VALUES (?, ?, 1, '{}')",
                (run.thread_id, project),
            )
            connection.execute(
                "INSERT INTO runs (id, thread_id, status, created_at, body) VALUES (?, ?, 'queued', 1, ?)",
                (run.id, run.thread_id, run.model_dump_json()),
            )
    store = SQLiteStore.open(tmp_path / "store.db")
    try:
        claimed = await store.write(lambda tx: [tx.claim_run("a", 0.0, 10.0) for _ in range(3)])
        counts = [
            await store.scoped(project).read(lambda tx: tx.count_queued())
            for project in ("alpha", "default")
        ]
    finally:
        await store.close()
    assert ["run_1", "run_3", "run_2"] == [run.id for run in claimed if run is not None]
    assert [2, 1] == counts


def test_what_was_stored_before_uploads_is_indexed_by_them(connection: sqlite3.Connection) -> None:
    """Files that expire, stores that expire and who lists a file are found in data of the schema before."""
    migrations.migrate(connection, migrations.STEPS[:2])
    file = File(id="file-1", purpose="vision", filename="a", bytes=1, created_at=1, expires_at=50)
    store = VectorStore(id="vs_1", created_at=1, status=StoreStatus.COMPLETED, expires_at=60)
    listed = ToolResources(code_interpreter=FileIds(file_ids=("file-1", "file-1")))
    thread = Thread(id="thread_1", created_at=1, tool_resources=listed)
    assistant = Assistant(id="asst_1", created_at=1, model="m", tool_resources=listed)
    bare = Thread(id="thread_2", created_at=1)
    rows: list[tuple[str, str, Wire]] = [
        ("vector_stores", "status", store),
        ("files", "purpose", file),
        ("threads", "", thread),
        ("threads", "", bare),
        ("assistants", "", assistant),
    ]
    for table, column, obj in rows:
        body = obj.model_dump_json()
        known = {"id": json.loads(body)["id"], "created_at": 1, "body": body}
        known |= {column: getattr(obj, column)} if column else {}
        marks = ", ".join("?" * len(known))
        connection.execute(
            f"INSERT INTO {table} ({', '.join(known)}) VALUES ({marks})", list(known.values())
        )
    assert "m0003_uploads" in migrations.migrate(connection)
    tx = SQLiteTransaction(connection)

    assert [file] == tx.due(File, 50)
    assert [store] == tx.due(VectorStore, 60)
    assert [[], [], 50] == [tx.due(File, 49), tx.due(VectorStore, 59), tx.next_due()]
    assert ["asst_1"] == tx.owners_of_file(Assistant, "file-1")
    assert ["thread_1"] == tx.owners_of_file(Thread, "file-1")


def before_the_library(connection: sqlite3.Connection) -> None:
    """A database with texts as the version before `m0006_library` left it: two stores, interleaved chunks."""
    migrations.migrate(connection, migrations.STEPS[:5])
    for number in (1, 2):
        store = samples.vector_store(number)
        connection.execute(
            "INSERT INTO vector_stores (id, status, created_at, body) VALUES (?, 'completed', 1, ?)",
            (store.id, store.model_dump_json()),
        )
    attached = samples.store_file(1, attributes={"year": 2020, "final": True})
    connection.execute(
        "INSERT INTO vector_store_files (id, vector_store_id, file_id, status, usage_bytes, created_at, body)"
        " VALUES ('vs_1/file-1', 'vs_1', 'file-1', 'completed', 9, 1, ?)",
        (attached.model_dump_json(),),
    )
    file = samples.file(1, filename="walrus.pdf")
    connection.execute(
        "INSERT INTO files (id, purpose, created_at, body) VALUES ('file-1', 'assistants', 1, ?)",
        (file.model_dump_json(),),
    )
    for n in range(6):
        store_id, file_id = f"vs_{1 + n % 2}", f"file-{1 + n % 2}"
        connection.execute(
            """INSERT INTO chunks (id, vector_store_id, file_id, position, heading, text, start, "end", page, vector)
            VALUES (?, ?, ?, ?, 'heading', ?, ?, ?, 3, ?)""",
            (
                f"{store_id}/{file_id}/{n // 2}",
                store_id,
                file_id,
                n // 2,
                f"tusk number{n}",
                n,
                n + 9,
                None if n == 5 else bytes([n]),
            ),
        )


def test_what_was_indexed_before_is_searched_without_embedding_again(
    connection: sqlite3.Connection,
) -> None:
    """Text, vectors, words and attributes are all there; words of a deleted text are not."""
    before_the_library(connection)
    connection.execute("DELETE FROM chunks WHERE id = 'vs_2/file-2/1'")
    assert "m0006_library" in migrations.migrate(connection)
    tx = SQLiteTransaction(connection)

    first = Chunk(
        "vs_1/file-1/1", "vs_1", "file-1", 1, "tusk number2", 2, 11, 3, "heading", b"\x02"
    )
    assert [first] == tx.chunks(["vs_1/file-1/1"])
    assert [("vs_2/file-2/0", b"\x01")] == tx.store_vectors("vs_2")
    assert [3, 1] == [tx.count_vectors("vs_1"), tx.count_vectors("vs_2")]
    assert ["vs_2/file-2/2"] == [one.id for one in tx.chunks_to_embed("vs_2", "file-2", 9)]
    found = {id_ for id_, _ in tx.match_chunks(["vs_2"], "tusks heading", 9)}
    assert found == {"vs_2/file-2/0", "vs_2/file-2/2"}
    assert [] == tx.match_chunks(["vs_2"], "number3", 9)
    spec = {"type": "eq", "key": "final", "value": True}
    assert {("vs_1", "file-1")} == tx.matching_files(["vs_1"], spec)


def test_what_was_indexed_before_has_extracts(connection: sqlite3.Connection) -> None:
    """By which the file is found; since its content is not known, it stands in for no other file."""
    before_the_library(connection)
    migrations.migrate(connection)
    tx = SQLiteTransaction(connection)

    expected = Extract("vs_1", "file-1", "", "", "walrus.pdf", 36, 3, "tusk number0", complete=True)
    assert expected == tx.extract("vs_1", "file-1")
    other = tx.extract("vs_2", "file-2")
    assert (other and (other.filename, other.complete)) == ("", False)
    assert ["vs_1/file-1"] == [key for key, _ in tx.match_files(["vs_1"], "walrus", 9)]


def test_texts_added_later_come_behind_those_of_before(connection: sqlite3.Connection) -> None:
    """New chunks and extracts have rows of their own in the ranges that the step gave out."""
    before_the_library(connection)
    migrations.migrate(connection)
    tx = SQLiteTransaction(connection)
    tx.put_chunks([samples.chunk(7, "tusk", id="vs_1/file-9/0", file_id="file-9")])
    tx.put_extract(Extract("vs_1", "file-9", "c", "r", "new.pdf", 4, 1))
    assert len(tx.match_chunks(["vs_1"], "tusk", 9)) == 4
    assert len(tx.match_chunks(["vs_1", "vs_2"], "tusk", 9)) == 7
    assert ["vs_1/file-9"] == [key for key, _ in tx.match_files(["vs_1"], "new", 9)]
    assert ["vs_1/file-1/0", "vs_1/file-1/1", "vs_1/file-1/2"] == tx.delete_chunks("vs_1", "file-1")
    assert tx.count_vectors("vs_1") == 0
