"""Dumps of a data folder: the same again after a round trip, all of it or nothing."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from itertools import takewhile
from pathlib import Path

import pytest

from local_assistants.engine.errors import InvalidRequest
from local_assistants.engine.objects import VectorStoreFile
from local_assistants.storage import migrations, presence, rows, seals
from local_assistants.storage.blobs import places
from local_assistants.storage.checking import check
from local_assistants.storage.exporting import Wanted, export_folder, import_folder
from local_assistants.storage.exporting.kinds import KINDS, REMADE
from tests.support.dumps import first, lines_of, tree, write


def test_a_round_trip_gives_the_same_bytes(furnished: Path, dump: Path, tmp_path: Path) -> None:
    """Out, in and out again: every record and every file, keys with --keys; the folder in between is whole."""
    made = import_folder(dump, tmp_path / "data", Wanted(keys=True))
    again = export_folder(tmp_path / "data", tmp_path / "again")

    assert tree(dump) == tree(again.target)
    assert made.added == sum(again.counts.values()) > 200
    assert check(tmp_path / "data").ok
    assert {place.name for place in places(furnished / "blobs")} == set(os.listdir(dump / "blobs"))
    assert ["blobs", "embedder.json", "serving.lock", "store.db"] == sorted(
        path.name
        for path in (tmp_path / "data").iterdir()
        if not path.name.startswith("store.db-") and path.name != "store.db.lock"
    )


def test_every_table_is_dumped_or_made_anew(furnished: Path, dump: Path) -> None:
    """A table that a later schema brings has to be thought of here; and each kind has an example in these tests."""
    with closing(sqlite3.connect(furnished / "store.db")) as connection:
        sql = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = {name for (name,) in connection.execute(sql)}
    own = {name for name in tables if "_words" not in name and not name.startswith(("sqlite", "_"))}
    own.add("words_to_erase")

    assert own == {kind.name for kind in KINDS} | REMADE
    missing = {kind.name for kind in KINDS} - {record["type"] for record in lines_of(dump)}
    assert missing <= {"code_sessions"}


def test_what_is_imported_can_be_searched(dump: Path, tmp_path: Path) -> None:
    """Words and vectors are there; keys are not."""
    import_folder(dump, tmp_path / "data")
    with closing(sqlite3.connect(tmp_path / "data" / "store.db")) as connection:
        words = connection.execute(
            "SELECT count(*) FROM chunk_words WHERE chunk_words MATCH 'walruses'"
        ).fetchone()[0]
        vectors = connection.execute("SELECT count(*) FROM chunk_vectors").fetchone()[0]
        keys = connection.execute("SELECT count(*) FROM api_keys").fetchone()[0]

    assert words == vectors > 0
    assert 0 == keys


def test_keys_are_taken_only_when_asked_for(dump: Path, tmp_path: Path) -> None:
    """Whoever made the dump may have them; how many were left out is told."""
    assert 1 == import_folder(dump, tmp_path / "data").staged.keys_left


def test_importing_twice_changes_nothing(dump: Path, tmp_path: Path) -> None:
    """What is there already and the same is left alone, lines of the ledgers too."""
    import_folder(dump, tmp_path / "data", Wanted(keys=True))
    again = import_folder(dump, tmp_path / "data", Wanted(keys=True))

    assert 0 == again.added
    assert again.same > 20
    assert tree(dump) == tree(export_folder(tmp_path / "data", tmp_path / "again").target)


def test_what_is_new_goes_beside_what_is_there(copy: Path, dump: Path, tmp_path: Path) -> None:
    """A folder that has half of it gets the rest, with bytes, words and vectors."""
    lines = lines_of(copy)
    roots = ("dump", "assistants", "files", "uploads", "upload_parts")
    write(copy, [record for record in lines if record["type"] in roots])
    import_folder(copy, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "blobs" / "incoming", ignore_errors=True)
    added = import_folder(dump, tmp_path / "data", Wanted(keys=True))

    assert check(tmp_path / "data").ok
    assert added.same > 5
    assert tree(dump) == tree(export_folder(tmp_path / "data", tmp_path / "again").target)


def test_what_differs_refuses_the_import_or_stays(copy: Path, dump: Path, tmp_path: Path) -> None:
    """A thread with another message is another thread; nothing is changed unless it is to be kept as it is."""
    data = tmp_path / "data"
    lines = lines_of(copy)
    thread = first(lines, "threads")
    thread["row"]["body"]["metadata"] = {"mine": "yes"}
    write(copy, lines)
    import_folder(copy, data)
    before = tree(export_folder(data, tmp_path / "before").target)
    with pytest.raises(InvalidRequest, match=thread["row"]["id"]):
        import_folder(dump, data, Wanted(keys=True))
    assert before == tree(export_folder(data, tmp_path / "after").target)

    kept = import_folder(dump, data, Wanted(keys=True, keep=True))
    bodies = [
        one["row"]["body"]
        for one in lines_of(export_folder(data, tmp_path / "out").target)[1:-1]
        if one["type"] == "threads"
    ]

    assert (1, 1) == (kept.kept, kept.added)  # the key
    assert {"mine": "yes"} == bodies[0]["metadata"]


def test_a_folder_at_work_is_not_imported_into(dump: Path, tmp_path: Path) -> None:
    """Its clients would wait for the transaction."""
    (tmp_path / "data").mkdir()
    with presence.at_work(tmp_path / "data"), pytest.raises(InvalidRequest, match="Stop it"):
        import_folder(dump, tmp_path / "data")


def test_another_embedding_model_asks_for_reindexing(
    copy: Path, dump: Path, tmp_path: Path
) -> None:
    """Vectors of two models cannot be compared: refused, or files wait to be indexed by the next server."""
    data = tmp_path / "data"
    lines = lines_of(copy)
    write(copy, [{**lines[0], "embedder": '{"identity":"other"}'}])
    import_folder(copy, data)
    with pytest.raises(InvalidRequest, match="--reindex"):
        import_folder(dump, data)
    import_folder(dump, data, Wanted(reindex=True))
    with closing(sqlite3.connect(data / "store.db")) as connection:
        chunks = connection.execute("SELECT count(*) FROM chunks").fetchone()[0]
        found = connection.execute("SELECT body FROM vector_store_files").fetchall()
    statuses = {rows.decode_model(VectorStoreFile, body).status.value for (body,) in found}

    assert 0 == chunks
    assert "in_progress" in statuses
    assert check(data).ok


def test_everything_can_go_to_one_project(dump: Path, tmp_path: Path) -> None:
    """Whatever the dump says; runs follow their threads."""
    import_folder(dump, tmp_path / "data", Wanted(project="team-a"))
    with closing(sqlite3.connect(tmp_path / "data" / "store.db")) as connection:
        seen = {
            project
            for table in ("assistants", "threads", "files", "uploads", "vector_stores", "runs")
            for (project,) in connection.execute(f"SELECT DISTINCT project FROM {table}")
        }

    assert {"team-a"} == seen
    assert check(tmp_path / "data").ok


def test_bytes_that_are_gone_are_told_and_do_not_hinder(furnished: Path, tmp_path: Path) -> None:
    """The rest of a damaged folder can move house."""
    data = Path(shutil.copytree(furnished, tmp_path / "data"))
    gone = next(iter(places(data / "blobs")))
    gone.unlink()
    made = export_folder(data, tmp_path / "dump")
    taken = import_folder(tmp_path / "dump", tmp_path / "new")

    assert [gone.name] == made.missing == taken.staged.missing
    assert {"file-bytes": 1} == dict(check(tmp_path / "new").counts)


def test_damaged_bytes_are_told(furnished: Path, tmp_path: Path) -> None:
    """They do not come to be somebody's good file by a round trip."""
    data = Path(shutil.copytree(furnished, tmp_path / "data"))
    place = next(place for place in places(data / "blobs") if place.stat().st_size)
    seals.put(place, "0" * 64)
    made = export_folder(data, tmp_path / "dump")

    assert [place.name] == made.missing


def test_text_that_is_not_quite_json_comes_back_as_it_was(furnished: Path, tmp_path: Path) -> None:
    """A number that is none, and spaces that we would not write, are the same text again."""
    data = Path(shutil.copytree(furnished, tmp_path / "data"))
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as connection:
        (body,) = connection.execute("SELECT body FROM vector_store_files").fetchone()
        wanted = body.replace('"attributes":{', '"attributes": {"a":NaN,', 1).replace(",}", "}")
        connection.execute("UPDATE vector_store_files SET body = ? WHERE seq = 1", (wanted,))
    export_folder(data, tmp_path / "dump")
    import_folder(tmp_path / "dump", tmp_path / "new")
    with closing(sqlite3.connect(tmp_path / "new" / "store.db")) as connection:
        (came,) = connection.execute("SELECT body FROM vector_store_files").fetchone()

    assert wanted == came


class Stopped(Exception):
    """As Ctrl-C, at a moment of our choice."""


@pytest.mark.parametrize("stage", ["copying files", "writing run_events", "writing to"])
def test_a_dump_that_was_cut_short_is_not_there(
    furnished: Path, tmp_path: Path, stage: str
) -> None:
    """Whatever it was at; nothing of it is left."""

    def stop(what: str, done: int) -> None:
        if what.startswith(stage):
            raise Stopped

    with pytest.raises(Stopped):
        export_folder(furnished, tmp_path / "out" / "dump", stop)

    assert [] == list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("stage", ["reading", "messages", "comparing", "importing transcript"])
def test_an_import_that_was_cut_short_changed_nothing(
    dump: Path, furnished: Path, tmp_path: Path, stage: str
) -> None:
    """Records and bytes are those of before, whatever it was at."""
    data = tmp_path / "data"
    import_folder(dump, data, Wanted(keys=True))
    with closing(sqlite3.connect(data / "store.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = ON")
        for table in ("threads", "uploads"):
            connection.execute(f"DELETE FROM {table}")
    gone = [place for place in places(data / "blobs") if place.name.startswith("part")]
    for place in gone:
        place.unlink()
    before = tree(export_folder(data, tmp_path / "before").target)

    def stop(what: str, done: int) -> None:
        if what.startswith(stage):
            raise Stopped

    with pytest.raises(Stopped):
        import_folder(dump, data, Wanted(keys=True), stop)

    assert gone
    assert before == tree(export_folder(data, tmp_path / "after").target)
    assert [] == [place for place in gone if place.exists()]
    assert [] == list(data.glob(".import.*"))


KILLED = """
import os, signal, sys
from pathlib import Path
from local_assistants.storage.exporting import Wanted, import_folder

def die(what, done):
    if what.startswith("importing transcript"):
        os.kill(os.getpid(), signal.SIGKILL)

import_folder(Path(sys.argv[1]), Path(sys.argv[2]), Wanted(keys=True), die)
"""


def test_an_import_that_was_killed_left_nothing_that_matters(
    dump: Path, copy: Path, tmp_path: Path
) -> None:
    """In the middle of its transaction: the folder is as before, and the next import takes everything."""
    data = tmp_path / "data"
    some = [one for one in lines_of(copy) if one["type"] in ("dump", "assistants")]
    write(copy, list(takewhile(lambda one: "file-" not in json.dumps(one), some)))
    import_folder(copy, data)
    done = subprocess.run([sys.executable, "-c", KILLED, str(dump), str(data)], timeout=60)
    assert -signal.SIGKILL == done.returncode
    assert check(data).ok
    before = (copy / "objects.jsonl").read_bytes()
    assert before == (export_folder(data, tmp_path / "out").target / "objects.jsonl").read_bytes()
    import_folder(dump, data, Wanted(keys=True))

    assert tree(dump) == tree(export_folder(data, tmp_path / "again").target)
    assert [] == list(data.glob(".import.*"))


def test_the_schema_of_dumps_is_this_ones(dump: Path) -> None:
    """A dump of an older schema is brought up to date when it is imported: its header says which it is."""
    assert migrations.STEPS[-1].__name__ == lines_of(dump)[0]["schema"]
