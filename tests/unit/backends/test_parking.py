"""Parked states in memory and on disk: budgets, damage, other models, forgetting. The states are any bytes here."""

import logging
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.kv import parking
from local_assistants.backends.llama_cpp.kv.parking import Parking
from local_assistants.backends.llama_cpp.kv.state_files import State, name_of
from local_assistants.backends.llama_cpp.kv.token_ids import packed

STAMP = {"model": "m", "library": "1"}
PATIENCE = 60.0
MEGABYTE = 1 << 20
ANSWERS = {bytes(16): packed([7, 8])}


@contextmanager
def opened(
    folder: Path | None,
    memory: int = 1 << 30,
    disk: int = 1 << 30,
    stamp: dict[str, str] | None = None,
) -> Iterator[Parking]:
    """A parking over a folder; what waits is written before it closes."""
    place = Parking(memory, disk, None if folder is None else folder / "model", stamp or STAMP)
    try:
        yield place
        assert place.flush(PATIENCE)
    finally:
        place.close()


def content(number: int, size: int = 1000) -> bytearray:
    """Bytes of a state."""
    return bytearray(random.Random(number).randbytes(size))


def ids_of(number: int, length: int = 40) -> bytes:
    """Tokens of a conversation that begins like no other."""
    return packed([number] * length)


def write(place: Parking, *numbers: int, size: int = 1000) -> None:
    """Have the states of some conversations written, one after the other."""
    for number in numbers:
        place.write_behind(str(number), ids_of(number), ANSWERS, content(number, size))
        assert place.flush(PATIENCE)


def fetch(place: Parking, number: int) -> State | None:
    """What is parked of a conversation."""
    found = place.find(ids_of(number), whole=False)
    return None if found is None else place.load(found)


def files(folder: Path) -> list[Path]:
    """The files of the model."""
    return sorted((folder / "model").iterdir())


# --- what comes back --------------------------------------------------------------------------------


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    """From memory, and after a restart from disk, with the tokens of the answers."""
    with opened(tmp_path) as place:
        place.park("1", ids_of(1), ANSWERS, content(1))
        kept = fetch(place, 1)
        place.write_memory()
    with opened(tmp_path) as place:
        read = fetch(place, 1)
        answers = place.answers("1")
    expected = State(name_of("1"), ids_of(1), ANSWERS, content(1))
    assert (expected, expected, ANSWERS) == (kept, read, answers)


def test_the_longest_beginning_is_found(tmp_path: Path) -> None:
    """In memory and on disk together; whole states only where that is asked for."""
    with opened(tmp_path) as place:
        write(place, 1)
        place.park("2", packed([1] * 20 + [2] * 30), {}, content(2))
        asked = packed([1] * 20 + [2] * 10)
        found = place.find(asked, whole=False)
        on_disk = place.find(packed([1] * 30), whole=False)
        whole = place.find(packed([1] * 45), whole=True)
        seen = [each and (each.common, each.on_disk) for each in (found, on_disk, whole)]
        assert [(30, False), (30, True), (40, True)] == seen
        assert place.find(asked, whole=True) is None


def test_a_newer_state_takes_the_place_of_the_older(tmp_path: Path) -> None:
    """One per conversation, in memory as on disk."""
    with opened(tmp_path) as place:
        write(place, 1)
        place.write_behind("1", ids_of(1, 50), {}, content(2))
        assert place.flush(PATIENCE)
        place.park("1", ids_of(1, 60), {}, content(3))
        found = fetch(place, 1)
        assert (1, found and found.ids) == (len(files(tmp_path)), ids_of(1, 60))


def test_a_state_that_was_replaced_meanwhile_is_not_taken_for_the_one_found(tmp_path: Path) -> None:
    """The writer's newer state may have gone another way; one that only goes further is as good."""
    with opened(tmp_path) as place:
        write(place, 1)
        found = place.find(ids_of(1), whole=False)
        assert found is not None
        place.write_behind("1", ids_of(1, 50), {}, content(2))
        assert place.flush(PATIENCE)
        longer = place.load(found)
        place.write_behind("1", ids_of(2, 50), {}, content(3))
        assert place.flush(PATIENCE)
        assert (ids_of(1, 50), None) == (longer and longer.ids, place.load(found))


def test_a_conversation_without_a_key_is_never_written(tmp_path: Path) -> None:
    """Nobody could have it erased; it is kept in memory while there is room."""
    with opened(tmp_path, memory=3000) as place:
        place.park(None, ids_of(1), {}, content(1))
        assert fetch(place, 1) is not None
        place.write_memory()
        place.park(None, ids_of(2), {}, content(2))
        place.park(None, ids_of(3), {}, content(3))
        assert place.flush(PATIENCE)
        assert (None, []) == (fetch(place, 1), files(tmp_path))


# --- damage -----------------------------------------------------------------------------------------

HEAD_AT = 24 + 32  # bytes of the prefix and of the head's checksum


def regions(file: Path) -> dict[str, int]:
    """A byte of each part of a file with one conversation."""
    whole = file.read_bytes()
    line = whole.index(b"\n", HEAD_AT)
    return {
        "magic": 0,
        "version": 4,
        "bytes of the head": 8,
        "bytes of the payload": 16,
        "checksum of the head": 24,
        "head": HEAD_AT + 5,
        "checksum of the payload": whole.index(b'"payload": "') + 20,
        "tokens": line + 5,
        "answers": line + 1 + 160 + 3,
        "first of the payload": len(whole) - 1000,
        "middle of the payload": len(whole) - 500,
        "last of the payload": len(whole) - 1,
    }


PARTS = [
    "magic",
    "version",
    "bytes of the head",
    "bytes of the payload",
    "checksum of the head",
    "head",
    "checksum of the payload",
    "tokens",
    "answers",
    "first of the payload",
    "middle of the payload",
    "last of the payload",
]


@pytest.mark.parametrize("restarts", [True, False])
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_file_is_never_loaded(
    tmp_path: Path, part: str, restarts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever byte is another one: it is erased, said once, and evaluated again."""
    with opened(tmp_path) as place:
        write(place, 1)
        [file] = files(tmp_path)
        data = bytearray(file.read_bytes())
        data[regions(file)[part]] ^= 0x20
        file.write_bytes(data)
        if not restarts:
            assert fetch(place, 1) is None
            assert fetch(place, 1) is None
    if restarts:
        with opened(tmp_path) as place:
            assert (None, None) == (fetch(place, 1), fetch(place, 1))
    assert ([], 1) == (files(tmp_path), len(caplog.records))


@pytest.mark.parametrize("left", [0, 3, 23, 24, 40, 56, 100, 400, 700, -1000, -1])
def test_a_truncated_file_is_never_loaded(
    tmp_path: Path, left: int, caplog: pytest.LogCaptureFixture
) -> None:
    """As a full disk or a power failure may leave it."""
    with opened(tmp_path) as place:
        write(place, 1)
    [file] = files(tmp_path)
    file.write_bytes(file.read_bytes()[:left])
    with opened(tmp_path) as place:
        assert (None, {}) == (fetch(place, 1), place.answers("1"))
    assert ([], 1) == (files(tmp_path), len(caplog.records))


def test_a_longer_file_is_never_loaded(tmp_path: Path) -> None:
    """Bytes after the end are damage too."""
    with opened(tmp_path) as place:
        write(place, 1)
    [file] = files(tmp_path)
    file.write_bytes(file.read_bytes() + b"\x00")
    with opened(tmp_path) as place:
        assert (None, []) == (fetch(place, 1), files(tmp_path))


def test_a_file_under_another_name_is_never_loaded(tmp_path: Path) -> None:
    """It would be erased with the wrong conversation, or not with its own."""
    with opened(tmp_path) as place:
        write(place, 1)
    [file] = files(tmp_path)
    file.rename(file.with_name(f"{name_of('2')}.state"))
    with opened(tmp_path) as place:
        assert (None, []) == (fetch(place, 1), files(tmp_path))


@pytest.mark.parametrize("stamp", [{"model": "other", "library": "1"}, {"model": "m"}, {}])
def test_a_state_of_another_model_or_version_is_never_loaded(
    tmp_path: Path, stamp: dict[str, str]
) -> None:
    """All that a state depends on must be the same."""
    with opened(tmp_path) as place:
        write(place, 1)
    with opened(tmp_path, stamp=stamp or {"model": "m", "library": "2"}) as place:
        assert (None, []) == (fetch(place, 1), files(tmp_path))


def test_a_file_that_was_taken_away_is_no_fault(tmp_path: Path) -> None:
    """Another process may have needed the room."""
    with opened(tmp_path) as place:
        write(place, 1)
        files(tmp_path)[0].unlink()
        assert (None, 0) == (fetch(place, 1), place.disk_used)


# --- budgets ----------------------------------------------------------------------------------------


def test_memory_holds_what_its_budget_allows_to_the_byte(tmp_path: Path) -> None:
    """Three states fit into exactly their size, and one byte less holds two; the oldest goes."""
    one = State(name_of("1"), ids_of(1), ANSWERS, content(1)).size
    for budget, expected in ((3 * one, [1, 2, 3]), (3 * one - 1, [2, 3])):
        with opened(None, memory=budget) as place:
            for number in (1, 2, 3):
                place.park(str(number), ids_of(number), ANSWERS, content(number))
            assert expected == [number for number in (1, 2, 3) if fetch(place, number)]
            assert len(expected) * one == place.memory_used


def test_what_was_used_lately_stays_in_memory() -> None:
    """Fetching a state is using it."""
    one = State(name_of("1"), ids_of(1), ANSWERS, content(1)).size
    with opened(None, memory=2 * one) as place:
        for number in (1, 2):
            place.park(str(number), ids_of(number), ANSWERS, content(number))
        assert fetch(place, 1)
        place.park("3", ids_of(3), ANSWERS, content(3))
        assert [1, 3] == [number for number in (1, 2, 3) if fetch(place, number)]


def test_the_disk_holds_what_its_budget_allows_to_the_byte(tmp_path: Path) -> None:
    """Counted as the files are; what was used longest ago goes first, also after a restart."""
    with opened(tmp_path / "measure") as place:
        write(place, 1)
    [file] = files(tmp_path / "measure")
    one = file.stat().st_size
    with opened(tmp_path, disk=3 * one) as place:
        write(place, 1, 2, 3)
        assert 3 * one == place.disk_used == sum(each.stat().st_size for each in files(tmp_path))
        assert fetch(place, 1)
        write(place, 4)
        assert [1, 3, 4] == [number for number in (1, 2, 3, 4) if fetch(place, number)]
    for age, number in enumerate((4, 1, 3)):
        path = tmp_path / "model" / f"{name_of(str(number))}.state"
        os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))
    with opened(tmp_path, disk=3 * one - 1) as place:
        assert [1, 4] == [number for number in (1, 2, 3, 4) if fetch(place, number)]
        assert 2 * one == place.disk_used == sum(each.stat().st_size for each in files(tmp_path))


def test_what_memory_has_no_room_for_goes_to_disk(tmp_path: Path) -> None:
    """The oldest states are written when newer ones come; none is lost while the writer keeps up."""
    one = State(name_of("1"), ids_of(1), ANSWERS, content(1)).size
    with opened(tmp_path, memory=3 * one) as place:
        for number in range(1, 9):
            place.park(str(number), ids_of(number), ANSWERS, content(number))
            assert place.flush(PATIENCE)
            assert place.memory_used <= 3 * one
        assert 5 <= len(files(tmp_path)) < 8
        assert list(range(1, 9)) == [number for number in range(1, 9) if fetch(place, number)]


def test_memory_stays_within_its_budget_when_the_writer_cannot_keep_up(tmp_path: Path) -> None:
    """What would not fit is dropped: nobody waits for the disk."""
    budget = 20 * MEGABYTE
    with opened(tmp_path, memory=budget) as place:
        for number in range(60):
            place.park(str(number), ids_of(number), {}, bytearray(3 * MEGABYTE))
            assert place.memory_used <= budget
        assert fetch(place, 59)


def test_a_state_bigger_than_every_budget_is_not_kept(tmp_path: Path) -> None:
    """Neither in memory nor on disk, and nothing else has to go for it."""
    with opened(tmp_path, memory=50_000, disk=50_000) as place:
        write(place, 1)
        assert not place.takes(60_000)
        place.park("2", ids_of(2), {}, content(2, 60_000))
        assert place.flush(PATIENCE)
        assert ([1], 0) == ([n for n in (1, 2) if fetch(place, n)], place.memory_used)


# --- privacy ----------------------------------------------------------------------------------------


def test_files_can_be_read_by_their_owner_only(tmp_path: Path) -> None:
    """They hold what people said; their names tell nothing of it."""
    with opened(tmp_path / "states") as place:
        write(place, 1)
    [file] = files(tmp_path / "states")
    modes = [path.stat().st_mode & 0o777 for path in (file, file.parent, file.parent.parent)]
    assert ([0o600, 0o700, 0o700], f"{name_of('1')}.state") == (modes, file.name)


def test_forgetting_erases_every_trace(tmp_path: Path) -> None:
    """In memory and on disk, of that conversation only."""
    with opened(tmp_path) as place:
        write(place, 1, 2)
        place.park("1", ids_of(1, 50), ANSWERS, content(1))
        place.forget("1")
        assert (None, {}) == (fetch(place, 1), place.answers("1"))
        assert [f"{name_of('2')}.state"] == [file.name for file in files(tmp_path)]


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02, 0.05])
def test_forgetting_overtakes_a_write(tmp_path: Path, delay: float) -> None:
    """A state that is being written is not there afterwards, nor does it come later."""
    with opened(tmp_path) as place:
        place.write_behind("1", ids_of(1), {}, bytearray(96 * MEGABYTE))
        place.flush(delay)
        place.forget("1")
        assert [] == files(tmp_path)
        assert place.flush(PATIENCE)
        assert ([], 0, 0) == (files(tmp_path), place.disk_used, place.memory_used)


def test_forgetting_works_without_a_loaded_model(tmp_path: Path) -> None:
    """Of all models, what was being written when a process died included."""
    for model in ("first", "second"):
        place = Parking(1 << 20, 1 << 20, tmp_path / model, STAMP)
        write(place, 1, 2)
        place.close()
        (tmp_path / model / f"{name_of('1')}.state.123.tmp").write_bytes(b"half")
    parking.forget(tmp_path, "1")
    left = sorted(path.name for path in tmp_path.glob("*/*"))
    assert [f"{name_of('2')}.state"] * 2 == left


# --- what other processes and disks do --------------------------------------------------------------


def test_what_a_dead_process_was_writing_goes(tmp_path: Path) -> None:
    """What a living one is writing stays."""
    finished = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    folder = tmp_path / "model"
    folder.mkdir()
    living = folder / f"{name_of('1')}.state.{os.getppid()}.tmp"
    for path in (living, folder / f"{name_of('1')}.state.{int(finished.stdout)}.tmp"):
        path.write_bytes(b"half")
    with opened(tmp_path):
        assert [living] == files(tmp_path)


def test_states_of_models_that_nobody_loads_any_more_go(tmp_path: Path) -> None:
    """After a month; other files in the folder are none of our business."""
    old, new, foreign = (tmp_path / name for name in ("a" * 32, "b" * 32, "photos"))
    for folder in (old, new, foreign):
        folder.mkdir()
        (folder / "file").write_bytes(b"")
    for folder in (old, foreign):
        os.utime(folder, (1_000_000_000, 1_000_000_000))
    with opened(tmp_path):
        assert ["b" * 32, "model", "photos"] == sorted(path.name for path in tmp_path.iterdir())


def test_a_folder_that_cannot_be_had_costs_the_disk_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once; memory still keeps."""
    (tmp_path / "model").write_bytes(b"")
    with opened(tmp_path) as place:
        place.park("1", ids_of(1), {}, content(1))
        assert (True, False) == (fetch(place, 1) is not None, place.writes)
    assert 1 == len(caplog.records)


def test_a_disk_that_fails_costs_that_state_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The writer says so and goes on with the next one."""
    with opened(tmp_path) as place:
        (tmp_path / "model").rename(tmp_path / "away")
        write(place, 1)
        (tmp_path / "away").rename(tmp_path / "model")
        write(place, 2)
        assert [2] == [number for number in (1, 2) if fetch(place, number)]
    assert [logging.WARNING] == [record.levelno for record in caplog.records]
