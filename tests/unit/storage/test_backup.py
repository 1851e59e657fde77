"""Backups: whole or not there, of one moment, with all bytes, while somebody writes."""

import asyncio
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from local_assistants.engine.errors import AssistantsError, InvalidRequest, StorageFault
from local_assistants.engine.objects import File
from local_assistants.storage import seals
from local_assistants.storage.backup import make_backup
from local_assistants.storage.blobs import FileBlobs, place_of, places
from local_assistants.storage.checking import check
from local_assistants.storage.sqlite import SQLiteStore
from tests.support.furnished import furnish
from tests.support.vector_rooms import question, units, vector_room


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the product made; never changed."""
    folder = tmp_path_factory.mktemp("furnished")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(furnish(folder))
    (folder / "embedder.json").write_text("{}")
    return folder


@pytest.fixture
def folder(furnished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(furnished, tmp_path / "data"))


def dump(folder: Path) -> list[str]:
    """Everything in the tables, words aside: their segments may be merged."""
    with closing(sqlite3.connect(folder / "store.db")) as connection:
        return [line for line in connection.iterdump() if "_words" not in line]


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of all files."""
    return {place.name: place.read_bytes() for place in places(folder / "blobs")}


def test_a_backup_is_the_same(folder: Path, tmp_path: Path) -> None:
    """Every row and every byte, the notes beside the database too; what is made anew from these is left out."""
    target = tmp_path / "backups" / "monday"
    made = make_backup(folder, target)
    told = json.loads((target / "backup.json").read_text())

    assert dump(folder) == dump(target)
    assert contents(folder) == contents(target)
    assert ["backup.json", "blobs", "embedder.json", "store.db"] == sorted(
        path.name for path in target.iterdir() if not path.name.startswith("store.db-")
    )
    assert made.report.ok
    assert (len(contents(folder)), True) == (made.files, told["whole"])
    assert 0o700 == target.stat().st_mode & 0o777


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    """A folder that is there, empty or not, a file, and the data folder itself are refused."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("empty", "file", "link", "data", "data/inside"):
        with pytest.raises(InvalidRequest):
            make_backup(folder, tmp_path / name)

    assert "mine" == (tmp_path / "file").read_text()
    assert not (folder / "inside").exists()


class Stopped(Exception):
    """As Ctrl-C, at a moment of our choice."""


@pytest.mark.parametrize("stage", ["copying the database", "copying files", "messages", "writing"])
def test_a_backup_that_was_cut_short_is_not_there(folder: Path, tmp_path: Path, stage: str) -> None:
    """Whatever it was at; nothing of it is left."""
    target = tmp_path / "out" / "backup"

    def stop(what: str, done: int) -> None:
        if what.startswith(stage):
            raise Stopped

    with pytest.raises(Stopped):
        make_backup(folder, target, stop)

    assert [] == list((tmp_path / "out").iterdir())


async def _bytes(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


async def test_files_that_come_and_go_meanwhile_have_their_bytes_or_no_record(
    folder: Path, tmp_path: Path
) -> None:
    """Bytes come before their record and go after it; the copy has no record without its bytes."""
    store, blobs = SQLiteStore.open(folder / "store.db"), FileBlobs(folder / "blobs")

    async def come_and_go() -> int:
        number = 0
        while True:
            key = f"file-new{number}"
            size = await blobs.write(key, _bytes(f"text {number}"), 100)
            file = File(id=key, purpose="vision", filename="a.txt", bytes=size, created_at=1)
            await store.write(lambda tx, new=file: tx.put(new))  # type: ignore[misc]
            if number >= 3:
                old = f"file-new{number - 3}"
                await store.write(lambda tx, old=old: tx.delete(File, old))  # type: ignore[misc]
                await blobs.delete(old)
            number += 1

    writing = asyncio.create_task(come_and_go())
    while not await store.read(lambda tx: tx.get(File, "file-new9")):  # noqa: ASYNC110 - it comes
        await asyncio.sleep(0.005)
    made = await asyncio.to_thread(make_backup, folder, tmp_path / "backup")
    assert not writing.done()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await store.close()

    assert made.report.ok, made.report.kept
    assert not made.report.notes.get("stray-bytes")
    assert any(key.startswith("file-new") for key in contents(tmp_path / "backup"))


def test_a_file_that_is_deleted_after_the_database_was_copied_is_left_out(
    folder: Path, tmp_path: Path
) -> None:
    """The database is copied once more, without it."""
    (key,) = {place.name for place in places(folder / "blobs")} & {"file-2"}

    def delete(what: str, done: int) -> None:
        place = place_of(folder / "blobs", key)
        if what == "copying files" and place.exists():
            with closing(sqlite3.connect(folder / "store.db", isolation_level=None)) as connection:
                connection.execute("DELETE FROM vector_store_files WHERE file_id = ?", (key,))
                connection.execute("DELETE FROM files WHERE id = ?", (key,))
            place.unlink()

    make_backup(folder, tmp_path / "backup", delete)

    assert key not in contents(tmp_path / "backup")
    assert not check(tmp_path / "backup").counts.get("file-bytes")


def test_what_is_broken_in_the_folder_is_told_of_its_backup(folder: Path, tmp_path: Path) -> None:
    """It is made all the same: the best there is; its note says that it is not whole."""
    next(iter(places(folder / "blobs"))).unlink()
    made = make_backup(folder, tmp_path / "backup")

    assert {"file-bytes": 1} == dict(made.report.counts)
    assert json.loads((tmp_path / "backup" / "backup.json").read_text())["whole"] is False


def test_a_folder_without_a_database_of_ours_has_no_backup(tmp_path: Path) -> None:
    """None of another program either; nothing is left."""
    (tmp_path / "data").mkdir()
    with pytest.raises(AssistantsError):
        make_backup(tmp_path / "data", tmp_path / "out" / "backup")
    with closing(sqlite3.connect(tmp_path / "data" / "store.db")) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StorageFault, match="another program"):
        make_backup(tmp_path / "data", tmp_path / "out" / "backup")

    assert not (tmp_path / "out").exists()


@pytest.mark.slow
async def test_the_vector_index_is_made_anew_in_a_restored_folder(tmp_path: Path) -> None:
    """It is not in the backup: a large vector store answers from the database, then from a new index."""
    async with vector_room(tmp_path / "data") as room:
        for number in range(4):
            await room.put("vs_a", f"f{number}", units(40, seed=number))
        expected = await room.expected("vs_a", question(), 5)
        await room.nearest.settled()
        assert 160 == await room.index.count("vs_a")
        make_backup(tmp_path / "data", tmp_path / "backup")
    assert not (tmp_path / "backup" / "vectors").exists()
    async with vector_room(tmp_path / "backup") as room:
        found = await room.found("vs_a", question(), 5)
        await room.nearest.settled()
        filled = await room.index.count("vs_a")

    assert (expected, 160) == (found, filled)


def test_a_copy_is_sealed_as_what_it_was_copied_from(folder: Path, tmp_path: Path) -> None:
    """So damage that came before the backup is still known afterwards."""
    source = next(
        place for place in places(folder / "blobs") if seals.of(place) and place.stat().st_size
    )
    source.write_bytes(bytes(source.stat().st_size))
    make_backup(folder, tmp_path / "copy")
    copied = place_of(tmp_path / "copy" / "blobs", source.name)

    assert seals.of(source) == seals.of(copied)
    assert seals.digest(copied) != seals.of(copied)
