"""A thread's folder on the host: what becomes of its files when a kernel that waited takes them over."""

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_assistants.engine.objects import File
from local_assistants.engine.ports import ToolFile
from local_assistants.tools.code_interpreter.isolation.folders import remove_tree
from local_assistants.tools.code_interpreter.sessions import files
from local_assistants.tools.code_interpreter.sessions.thread_folder import ThreadFolder

_PLAIN = 64_799  # a user id that nobody has


@pytest.fixture
def home(tmp_path: Path) -> ThreadFolder:
    """The folder of a thread with one file."""
    made = ThreadFolder(tmp_path / "sessions", "thread_1")
    made.prepare()
    made.data.mkdir()
    (made.data / "old.txt").write_text("old")
    return made


@pytest.fixture
def spare(tmp_path: Path) -> Path:
    """The empty folder of a kernel that waits."""
    folder = tmp_path / "spares" / "1" / "data"
    folder.mkdir(parents=True)
    return folder


def content(home: ThreadFolder) -> dict[str, str]:
    """The thread's files."""
    return {path.name: path.read_text() for path in home.data.iterdir()}


def test_the_spare_becomes_the_thread_s_data(home: ThreadFolder, spare: Path) -> None:
    """It is the very folder that the kernel has open, with the files in it; nothing else is left."""
    identity = spare.stat().st_ino
    home.adopt(spare)
    assert {"old.txt": "old"} == content(home)
    assert identity == home.data.stat().st_ino
    assert not spare.parent.exists()
    assert ["data", "session"] == sorted(path.name for path in home.path.iterdir())


def test_a_thread_without_files_takes_the_spare_as_it_is(tmp_path: Path, spare: Path) -> None:
    """Its first session."""
    home = ThreadFolder(tmp_path / "sessions", "thread_2")
    assert not home.prepare()
    home.adopt(spare)
    assert {} == content(home)
    assert home.prepare()


def test_links_are_moved_and_not_followed(home: ThreadFolder, spare: Path, tmp_path: Path) -> None:
    """To a file of the host, to a folder of the host, to nothing."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key").write_text("secret")
    for name, target in (("file", secret / "key"), ("folder", secret), ("nothing", "gone")):
        (home.data / name).symlink_to(target)
    home.adopt(spare)
    assert 3 == sum((home.data / name).is_symlink() for name in ("file", "folder", "nothing"))
    assert ["key"] == os.listdir(secret)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of a plain user, who the test is for its length."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    if os.geteuid() == 0:
        os.chown(folder, _PLAIN, _PLAIN)
        os.seteuid(_PLAIN)
    yield folder
    if os.getuid() == 0:
        os.seteuid(0)
    remove_tree(folder)


def test_a_locked_folder_is_moved_and_stays_locked(place: Path) -> None:
    """Code may take every right away from its own folders, and an engine that is not root has no more than these."""
    home, spare = ThreadFolder(place / "sessions", "thread_1"), place / "1" / "data"
    home.prepare()
    home.data.mkdir()
    spare.mkdir(parents=True)
    locked = home.data / "locked"
    locked.mkdir()
    (locked / "in.txt").write_text("in")
    locked.chmod(0)
    home.adopt(spare)
    assert 0 == stat.S_IMODE(locked.stat().st_mode)
    locked.chmod(0o700)
    assert "in" == (locked / "in.txt").read_text()


@pytest.mark.parametrize("moved", ["before", "among", "after"])
def test_an_engine_that_dies_while_it_moves_files_loses_none(
    home: ThreadFolder, spare: Path, moved: str
) -> None:
    """The next start of a session finds them all in their place, wherever it was stopped."""
    (home.data / "new.txt").write_text("new")
    halfway = home.path / "data.next"
    os.rename(spare, halfway)
    if moved != "before":
        os.rename(home.data / "old.txt", halfway / "old.txt")
    if moved == "after":
        os.rename(home.data / "new.txt", halfway / "new.txt")
        home.data.rmdir()
    assert home.prepare()
    assert {"old.txt": "old", "new.txt": "new"} == content(home)
    assert not halfway.exists()


def test_a_thread_of_any_name_stays_below_the_root(tmp_path: Path) -> None:
    """An id that is none of ours is no path."""
    for name in ("../up", "a/b", "", ".", "x" * 200):
        assert tmp_path == ThreadFolder(tmp_path, name).path.resolve().parent


def test_a_folder_that_was_exchanged_is_noticed(home: ThreadFolder) -> None:
    """By what it is, and not by its name."""
    assert not home.in_place()
    home.note()
    assert home.in_place()
    os.rename(home.data, home.path / "elsewhere")
    assert not home.in_place()
    home.data.mkdir()
    assert not home.in_place()


@pytest.mark.parametrize("mode", [0, 0o200, 0o500])
def test_code_cannot_lock_the_engine_out_of_a_thread(place: Path, mode: int) -> None:
    """Whatever rights it took from its folder: files go in and are found there."""
    home = ThreadFolder(place / "sessions", "thread_1")
    home.prepare()
    home.data.mkdir()
    source = place / "table.csv"
    source.write_text("n\n1\n")
    record = File(id="file-1", purpose="assistants", filename="t.csv", bytes=1, created_at=0)
    home.data.chmod(mode)
    home.unlock()
    home.mount([ToolFile(record, source)], {"file-1": "t.csv"}, None)
    home.data.chmod(mode)
    assert ["t.csv"] == list(files.snapshot(home.data))
    home.data.chmod(mode)
    assert home.prepare()
    assert "n\n1\n" == (home.data / "t.csv").read_text()
