"""The SQL itself: every statement fits the schema, finds its index, and costs a project nothing of the others."""

import re
import sqlite3
from collections.abc import Callable, Iterator
from importlib.resources import files

import pytest

from local_assistants.engine import objects
from local_assistants.engine.ports import Chunk, PageQuery
from local_assistants.storage import rows, statements
from local_assistants.storage.erasing import Eraser
from local_assistants.storage.scoped import ScopedTransaction
from local_assistants.storage.transaction import SQLiteTransaction
from tests.support.database import database, instructions


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database in memory with the schema."""
    with database() as opened:
        yield opened


def plan(connection: sqlite3.Connection, sql: str) -> str:
    """What SQLite means to do, one step a line."""
    values = dict.fromkeys(re.findall(r":(\w+)", sql))
    steps = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    return "\n".join(step[3] for step in steps)


@pytest.mark.parametrize("name", sorted(statements.named()))
def test_every_named_statement_fits_the_schema(connection: sqlite3.Connection, name: str) -> None:
    """It can be prepared, and no table of objects is read from end to end."""
    steps = plan(connection, statements.named()[name])
    assert not re.search(
        r"SCAN (runs|run_events|transcript|chunks|vector_store_files|files|uploads|vector_stores|listed_files|f|c|m)\b",
        steps,
    ), steps


def test_every_statement_says_why() -> None:
    """A comment line follows each name."""
    text = (files("local_assistants.storage") / "queries.sql").read_text("utf-8")
    blocks = re.findall(r"^-- name: \w+\n(.*)$", text, re.MULTILINE)
    assert len(blocks) == len(statements.named())
    assert all(line.startswith("-- ") for line in blocks)


def words_agree(connection: sqlite3.Connection) -> bool:
    """Whether the word index holds exactly the words of the chunks; FTS5 compares them itself."""
    try:
        connection.execute(
            "INSERT INTO chunk_words (chunk_words, rank) VALUES ('integrity-check', 1)"
        )
    except sqlite3.DatabaseError:
        return False
    return True


def test_the_word_index_agrees_with_the_chunks_after_every_kind_of_change(
    connection: sqlite3.Connection,
) -> None:
    """Insert, replacement, deletion of a file and of a store leave no word behind."""
    tx = SQLiteTransaction(connection)
    tx.put_chunks(
        Chunk(
            f"c{n}", f"vs_{n % 2}", f"file-{n % 4}", n, f"word{n} walrus", 0, 9, heading=f"part {n}"
        )
        for n in range(20)
    )
    assert words_agree(connection)
    tx.put_chunks([Chunk("c3", "vs_1", "file-3", 3, "penguin", 0, 7, heading="other")])
    assert words_agree(connection)
    assert tx.delete_chunks("vs_1", "file-3")
    assert words_agree(connection)
    eraser = Eraser(connection, 0.0)
    while connection.execute("SELECT * FROM files_to_erase").fetchone():
        eraser.step()
    assert words_agree(connection)
    assert tx.delete_chunks("vs_0")
    assert words_agree(connection)
    connection.execute("DROP TRIGGER chunks_drop_words")
    connection.execute("DELETE FROM chunks WHERE file_id = 'file-1'")
    assert not words_agree(connection)  # the check sees what it is for


LISTS: list[tuple[type[objects.Wire], tuple[str, ...]]] = [
    (objects.Assistant, ()),
    (objects.Thread, ()),
    (objects.Message, ("thread_id",)),
    (objects.Message, ("thread_id", "run_id")),
    (objects.Run, ("thread_id",)),
    (objects.Run, ("status",)),
    (objects.RunStep, ("run_id",)),
    (objects.RunStep, ("thread_id", "run_id")),
    (objects.RunStep, ("run_id", "status")),
    (objects.File, ()),
    (objects.File, ("purpose",)),
    (objects.File, ("purpose", "alive_at")),
    (objects.UploadRecord, ("status",)),
    (objects.UploadPartRecord, ("upload_id",)),
    (objects.VectorStore, ()),
    (objects.VectorStoreFile, ("vector_store_id",)),
    (objects.VectorStoreFile, ("vector_store_id", "status")),
    (objects.VectorStoreFile, ("batch_id",)),
    (objects.VectorStoreFile, ("batch_id", "status")),
    (objects.VectorStoreFile, ("status",)),
    (objects.FileBatch, ("vector_store_id",)),
    (objects.FileBatch, ("status",)),
]


@pytest.mark.parametrize(("kind", "columns"), LISTS)
@pytest.mark.parametrize("cursor", [False, True])
def test_no_list_is_sorted_or_filtered_row_by_row(
    connection: sqlite3.Connection, kind: type[objects.Wire], columns: tuple[str, ...], cursor: bool
) -> None:
    """A page is read in order from an index on its filter, or from the table when there is none."""
    query = PageQuery(where=dict.fromkeys(columns, "x"))
    steps = plan(connection, rows.table_of(kind).page(query, after=cursor, before=False))
    assert "TEMP B-TREE" not in steps
    if columns:
        assert re.search(r"USING (INDEX|INTEGER PRIMARY KEY)", steps), steps


OF_PROJECT = [each for each in LISTS if each[1] != ("status",)]  # those are the background's


@pytest.mark.parametrize(("kind", "columns"), OF_PROJECT)
@pytest.mark.parametrize("cursor", [False, True])
def test_a_projects_list_is_read_in_order_from_an_index(
    connection: sqlite3.Connection, kind: type[objects.Wire], columns: tuple[str, ...], cursor: bool
) -> None:
    """Of its own rows; whose they are is looked up by id, and no row of another project is passed over."""
    table = rows.table_of(kind, rows.SCOPED)
    query = PageQuery(where=dict.fromkeys(columns, "x"))
    steps = plan(connection, table.page(query, after=cursor, before=False))
    index = (
        f"USING INDEX {table.name}_of_project"
        if not table.root
        else "USING IN(DEX|TEGER PRIMARY KEY)"
    )
    assert re.search(index, steps.splitlines()[0]), steps
    assert "TEMP B-TREE" not in steps
    assert "SCAN" not in steps, steps


@pytest.mark.parametrize("kind", rows.SCOPED)
@pytest.mark.parametrize("statement", ["get", "delete", "put"])
def test_one_object_of_a_project_is_found_by_ids_alone(
    connection: sqlite3.Connection, kind: type[objects.Wire], statement: str
) -> None:
    """Its own and its root object's: the project is compared, never searched."""
    steps = plan(connection, getattr(rows.table_of(kind, rows.SCOPED), statement))
    assert "_of_project" not in steps, steps
    assert not re.search(r"SCAN (?!CONSTANT)", steps), steps


def add_threads(connection: sqlite3.Connection, project: str, number: int) -> None:
    """New threads of a project, made by SQL, each with one message."""
    connection.execute(
        """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
        INSERT INTO threads (id, project, created_at, body)
        SELECT printf('%s%06d', ?, i), ?, 1, '{"id":"t","created_at":1}' FROM n""",
        (number, project, project),
    )
    connection.execute(
        """INSERT INTO messages (id, thread_id, status, created_at, body)
        SELECT 'm' || id, id, 'completed', 1,
          '{"id":"m","created_at":1,"thread_id":"t","status":"completed","role":"user"}'
        FROM threads WHERE id NOT IN (SELECT thread_id FROM messages)"""
    )


def test_a_project_does_not_pay_for_the_others(connection: sqlite3.Connection) -> None:
    """A page, a cursor and a single object cost the same instructions beside 20,000 objects of another project."""
    add_threads(connection, "ours", 50)
    own, last = [
        connection.execute("SELECT id FROM threads WHERE seq = ?", (seq,)).fetchone()[0]
        for seq in (1, 40)
    ]
    tx = ScopedTransaction(SQLiteTransaction(connection), "ours")
    asked: list[Callable[[], object]] = [
        lambda: tx.page(objects.Thread, PageQuery()),
        lambda: tx.page(objects.Thread, PageQuery(after=last)),
        lambda: tx.page(objects.Message, PageQuery({"thread_id": own})),
        lambda: tx.get(objects.Thread, own),
        lambda: tx.get(objects.Message, f"m{own}"),
    ]
    alone = [instructions(connection, query) for query in asked]
    add_threads(connection, "theirs", 20_000)
    assert alone == [instructions(connection, query) for query in asked]
