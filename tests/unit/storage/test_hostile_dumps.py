"""Hostile dumps: each is refused with a word on what is wrong, and nothing is changed."""

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from local_assistants.engine.errors import InvalidRequest
from local_assistants.storage.exporting import Wanted, export_folder, import_folder
from local_assistants.storage.sqlite import SQLiteStore
from tests.support.dumps import Lines, first, lines_of, tree, write

Change = Callable[[Path, Lines], None]


def cut_off(dump: Path, lines: Lines) -> None:
    """No end."""
    path = dump / "objects.jsonl"
    path.write_bytes(path.read_bytes()[:-200])


def changed(dump: Path, lines: Lines) -> None:
    """One letter."""
    path = dump / "objects.jsonl"
    path.write_bytes(path.read_bytes().replace(b"Hello.", b"Hallo.", 1))


def not_json(dump: Path, lines: Lines) -> None:
    """Brackets without end."""
    (dump / "objects.jsonl").write_bytes(b"[" * 200_000 + b"\n")


def no_dump(dump: Path, lines: Lines) -> None:
    """Something else."""
    write(dump, [{"type": "export", "data": {}}])


def newer(dump: Path, lines: Lines) -> None:
    """A schema of another version."""
    write(dump, [{**lines[0], "schema": "m9999_later"}, *lines[1:]])


def unknown_type(dump: Path, lines: Lines) -> None:
    """A table that is none of ours."""
    write(dump, [*lines, {"type": "sqlite_master", "row": {"sql": "x"}}])


def unknown_column(dump: Path, lines: Lines) -> None:
    """SQL in the place of a column's name."""
    first(lines, "threads")["row"]["seq) SELECT 1; --"] = 1
    write(dump, lines)


def path_as_id(dump: Path, lines: Lines) -> None:
    """An id that leads out of the folder."""
    record = first(lines, "files")
    record["row"]["id"] = record["row"]["body"]["id"] = "../../etc/passwd"
    write(dump, lines)


def link_as_bytes(dump: Path, lines: Lines) -> None:
    """Bytes that are a link to somebody else's file."""
    place = dump / "blobs" / first(lines, "files")["row"]["id"]
    place.unlink()
    place.symlink_to("/etc/passwd")


def pipe_as_bytes(dump: Path, lines: Lines) -> None:
    """Bytes that never come."""
    place = dump / "blobs" / first(lines, "files")["row"]["id"]
    place.unlink()
    os.mkfifo(place)


def other_bytes(dump: Path, lines: Lines) -> None:
    """The same length, another content."""
    place = dump / "blobs" / first(lines, "files")["row"]["id"]
    place.write_bytes(bytes(len(place.read_bytes())))


def pipe_as_dump(dump: Path, lines: Lines) -> None:
    """Lines that never come."""
    (dump / "objects.jsonl").unlink()
    os.mkfifo(dump / "objects.jsonl")


def link_as_folder(dump: Path, lines: Lines) -> None:
    """Bytes somewhere else."""
    (dump / "blobs").rename(dump / "elsewhere")
    (dump / "blobs").symlink_to("elsewhere")


def no_bytes(dump: Path, lines: Lines) -> None:
    """A folder without any."""
    shutil.rmtree(dump / "blobs")


def twice(dump: Path, lines: Lines) -> None:
    """A thread with the id of another."""
    write(dump, [*lines, first(lines, "threads")])


def orphan(dump: Path, lines: Lines) -> None:
    """Messages without their thread."""
    write(dump, [record for record in lines if record["type"] != "threads"])


def broken_object(dump: Path, lines: Lines) -> None:
    """A body that is no object of its kind."""
    first(lines, "assistants")["row"]["body"] = "{{"
    write(dump, lines)


def lying_columns(dump: Path, lines: Lines) -> None:
    """A run that columns call queued and that has ended."""
    first(lines, "runs")["row"]["status"] = "queued"
    write(dump, lines)


def lying_journal(dump: Path, lines: Lines) -> None:
    """Events without the last ones."""
    events = [record for record in lines if record["type"] == "run_events"]
    write(dump, [record for record in lines if record is not events[-1]])


def huge_number(dump: Path, lines: Lines) -> None:
    """More than the database can count."""
    first(lines, "threads")["row"]["created_at"] = 10**30
    write(dump, lines)


def wrong_shape(dump: Path, lines: Lines) -> None:
    """A list in the place of a number."""
    first(lines, "threads")["row"]["created_at"] = [1]
    write(dump, lines)


def half_characters(dump: Path, lines: Lines) -> None:
    """Text that has no form on the disk."""
    first(lines, "transcript")["row"]["body"] = "\ud800"
    path = dump / "objects.jsonl"
    path.write_text("\n".join(json.dumps(record) for record in lines) + "\n")


def bad_vector(dump: Path, lines: Lines) -> None:
    """Vectors of two lengths."""
    first(lines, "chunks")["row"]["vector"] = base64.b64encode(b"abc").decode()
    write(dump, lines)


def bad_note(dump: Path, lines: Lines) -> None:
    """A note on the embedder that is none."""
    write(dump, [{**lines[0], "embedder": ["x"]}, *lines[1:]])


HOSTILE: list[Change] = [
    cut_off, changed, not_json, no_dump, newer, unknown_type, unknown_column, path_as_id, link_as_bytes,
    pipe_as_bytes, pipe_as_dump, link_as_folder,
    other_bytes, no_bytes, twice, orphan, broken_object, lying_columns, lying_journal, huge_number,
    wrong_shape, half_characters, bad_vector, bad_note,
]  # fmt: skip


@pytest.mark.parametrize("change", HOSTILE, ids=lambda change: change.__name__)
async def test_a_hostile_dump_is_refused_and_nothing_is_changed(
    change: Change, copy: Path, tmp_path: Path
) -> None:
    """Into an empty folder and into one with data: an error for the user, no trace."""
    change(copy, lines_of(copy))
    empty, full = tmp_path / "empty", tmp_path / "full"
    await SQLiteStore.open(full / "store.db").close()
    before = sorted(tree(full))
    for data in (empty, full):
        with pytest.raises(InvalidRequest):
            import_folder(copy, data)

    assert ["serving.lock"] == sorted(tree(empty))
    assert before == sorted(set(tree(full)) - {"serving.lock"})
    assert [] == lines_of(export_folder(full, tmp_path / "out").target)[1:-1]


def test_a_broken_store_is_refused_when_it_is_indexed_anew(copy: Path, tmp_path: Path) -> None:
    """What indexing has to read is the dump's fault, and no fault of the disk."""
    lines = lines_of(copy)
    first(lines, "vector_stores")["row"]["body"] = {"id": 1}
    write(copy, lines)
    with pytest.raises(InvalidRequest, match="VectorStore"):
        import_folder(copy, tmp_path / "data", Wanted(reindex=True))
