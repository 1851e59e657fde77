"""Every schema that was ever released is brought up to this one, empty and full, with a copy of what it was."""

import asyncio
import base64
import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from local_assistants.engine.errors import StorageFault
from local_assistants.storage import migrations
from local_assistants.storage.backup import make_backup
from local_assistants.storage.checking import check
from local_assistants.storage.exporting.kinds import KINDS, VECTOR, Kind, rows_of
from local_assistants.storage.exporting.loading import Loader
from local_assistants.storage.sqlite import SQLiteSettings, SQLiteStore, prepare
from tests.support.furnished import furnish

Rows = dict[str, list[dict[str, Any]]]
EARLIER = range(1, len(migrations.STEPS))
LAST = len(migrations.STEPS) - 1
WITH_PARTS = 3  # the step that brought parts of uploads
WITH_RANGES = 6  # and ranges of texts


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the product made; never changed."""
    folder = tmp_path_factory.mktemp("furnished")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(furnish(folder))
    return folder


def contents(folder: Path) -> Rows:
    """Everything that a dump would hold."""
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        return {kind.name: list(rows_of(connection, kind)) for kind in KINDS}


def schema(path: Path) -> set[str]:
    """The statements that made it, by table, index, trigger and view."""
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT type || ' ' || name || ' ' || coalesce(sql, '') FROM sqlite_master"
        return {text.replace('"', "") for (text,) in connection.execute(sql)}


def at_schema(path: Path, steps: int) -> sqlite3.Connection:
    """An empty database of an earlier schema."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    migrations.migrate(connection, migrations.STEPS[:steps])
    return connection


def fill(connection: sqlite3.Connection, rows: Rows, steps: int) -> None:
    """What that version could have stored of these rows."""
    loader = Loader(connection)
    for kind in KINDS:
        columns = set(kind.columns(connection))
        for row in rows[kind.name] if columns else ():
            if steps < WITH_PARTS and row.get("status") == "pending":
                continue  # such an upload has parts
            old = {name: value for name, value in row.items() if name in columns | {VECTOR}}
            if steps < WITH_RANGES and kind.name == "chunks":
                _put_with_vector(connection, kind, old)
            else:
                loader.put(kind, old)


def _put_with_vector(connection: sqlite3.Connection, kind: Kind, row: dict[str, Any]) -> None:
    vector = row[VECTOR]
    row = {**row, VECTOR: None if vector is None else base64.b64decode(vector)}
    names = ", ".join(f'"{name}"' for name in row)
    places = ", ".join(f":{name}" for name in row)
    connection.execute(f"INSERT INTO {kind.name} ({names}) VALUES ({places})", row)


@pytest.mark.parametrize("steps", EARLIER)
def test_an_empty_database_of_an_earlier_schema_gets_this_one(steps: int, tmp_path: Path) -> None:
    """The same tables, indexes and triggers as a new one has."""
    at_schema(tmp_path / "old" / "store.db", steps).close()
    for name in ("old", "new"):
        prepare(tmp_path / name / "store.db", SQLiteSettings("normal"))

    assert schema(tmp_path / "new" / "store.db") == schema(tmp_path / "old" / "store.db")
    assert check(tmp_path / "old").ok


@pytest.mark.parametrize("steps", EARLIER)
def test_a_full_database_of_an_earlier_schema_keeps_everything(
    steps: int, furnished: Path, tmp_path: Path
) -> None:
    """Objects, journals and transcripts are the same, and every invariant holds."""
    rows = contents(furnished)
    shutil.copytree(furnished / "blobs", tmp_path / "blobs")
    with closing(at_schema(tmp_path / "store.db", steps)) as connection:
        connection.execute("BEGIN")
        fill(connection, rows, steps)
        connection.execute("COMMIT")
    prepare(tmp_path / "store.db", SQLiteSettings("normal"))
    report, after = check(tmp_path), contents(tmp_path)

    assert report.ok, report.kept
    for name in ("messages", "runs", "run_steps", "run_events", "transcript"):
        assert rows[name] == after[name]
    for name in ("assistants", "threads", "files", "vector_store_files", "chunks"):
        assert [row["id"] for row in rows[name]] == [row["id"] for row in after[name]]


async def test_what_it_was_is_kept(
    tmp_path: Path, furnished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The old database lies beside the new one and can take its place; the operator is told; backups leave it out."""
    path = tmp_path / "data" / "store.db"
    with closing(at_schema(path, LAST)) as connection:
        fill(connection, contents(furnished), LAST)
        before = list(connection.iterdump())
    with caplog.at_level(logging.WARNING, "local_assistants.storage"):
        await SQLiteStore.open(path).close()
    kept = path.with_name(f"store.db.before-{migrations.STEPS[LAST].__name__}")
    with closing(sqlite3.connect(kept)) as connection:
        assert before == list(connection.iterdump())
    make_backup(path.parent, tmp_path / "backup")

    assert str(kept) in caplog.text
    assert 0o600 == kept.stat().st_mode & 0o777
    assert [] == list((tmp_path / "backup").glob("*before*"))


async def test_one_copy_is_kept_and_a_new_database_has_none(tmp_path: Path) -> None:
    """That of the change before goes when this one has succeeded; nothing is copied where nothing changes."""
    path = tmp_path / "store.db"
    at_schema(path, LAST).close()
    earlier = path.with_name("store.db.before-m0000_long_ago")
    earlier.write_bytes(b"")
    for _ in range(2):
        await SQLiteStore.open(path).close()
    await SQLiteStore.open(tmp_path / "new" / "store.db").close()

    assert [path.with_name(f"store.db.before-{migrations.STEPS[LAST].__name__}")] == list(
        tmp_path.rglob("*before*")
    )


def test_a_change_that_fails_leaves_the_database_and_its_copy(tmp_path: Path) -> None:
    """A row in the way of the step: the old version still opens the file, and the copy is there as well."""
    path = tmp_path / "store.db"
    with closing(at_schema(path, LAST)) as connection:
        objects = [step.__name__ for step in migrations.STEPS[:LAST]]
        connection.execute(blocking(connection))
    with pytest.raises(StorageFault):
        SQLiteStore.open(path)
    with closing(sqlite3.connect(path)) as connection:
        applied = [name for (name,) in connection.execute("SELECT name FROM _sqlite_migrations")]

    assert objects == applied
    assert 1 == len(list(tmp_path.glob("*.before-*")))


def blocking(connection: sqlite3.Connection) -> str:
    """A table where the last step makes one."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as newest:
        migrations.migrate(newest)
        sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        new = {name for (name,) in newest.execute(sql)}
        old = {name for (name,) in connection.execute(sql)}
    return f"CREATE TABLE {min(new - old)} (in_the_way)"
