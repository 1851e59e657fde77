"""Names and copies between the host and a folder that strangers write."""

import os
from pathlib import Path

import pytest

from local_assistants.tools.code_interpreter.isolation.limits import Limits
from local_assistants.tools.code_interpreter.sessions import files


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("report.csv", "report.csv"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\table.xlsx", "table.xlsx"),
        ("..", "file"),
        ("", "file"),
        (".hidden", "hidden"),
        ("a\nb\x00c.txt", "abc.txt"),
        ("e\u0301.txt", "é.txt"),
        ("rtl\u202etxt.exe", "rtltxt.exe"),
        ("Bericht für 2024.csv", "Bericht für 2024.csv"),
    ],
)
def test_a_strangers_name_becomes_one_visible_component(given: str, expected: str) -> None:
    """No folders, no control or format characters, composed letters."""
    assert expected == files.safe_name(given)


def test_a_long_name_keeps_its_suffix_and_fits() -> None:
    """255 bytes is what file systems take."""
    name = files.safe_name("ü" * 300 + ".csv")
    assert name.endswith(".csv")
    assert len(name.encode()) <= 200


def test_taken_names_are_numbered_before_their_suffix() -> None:
    """table.csv, table_2.csv, table_3.csv."""
    assert "table_3.csv" == files.numbered("table.csv", {"table.csv", "table_2.csv"})
    assert "README_2" == files.numbered("README", {"README"})


def collected(folder: Path, tmp_path: Path, limits: Limits | None = None) -> files.Collection:
    """All of `folder` as if nothing had been there before."""
    into = tmp_path / "into"
    into.mkdir()
    return files.collect(folder, {}, into, limits or Limits())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder as a sandbox would write it."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_files_in_folders_are_collected_with_their_path(data: Path, tmp_path: Path) -> None:
    """Sub-folders are walked, hidden ones are not."""
    (data / "plots" / ".cache").mkdir(parents=True)
    (data / "plots" / "a.png").write_bytes(b"a")
    (data / "plots" / ".cache" / "b.png").write_bytes(b"b")
    found = collected(data, tmp_path)
    assert [("plots/a.png", b"a")] == [(f.path, f.copy.read_bytes()) for f in found.files]


def test_a_link_to_a_folder_is_not_entered(data: Path, tmp_path: Path) -> None:
    """Not even when it leads to a folder of the host."""
    (data / "etc").symlink_to("/etc")
    assert [] == collected(data, tmp_path).files


def test_what_is_never_collected_is_named_once(data: Path, tmp_path: Path) -> None:
    """With the reason, when it is new: the model may mend it, and need not read of it again."""
    (data / "link.csv").symlink_to("/etc/passwd")
    os.mkfifo(data / "pipe")
    (data / "one.txt").write_text("x")
    os.link(data / "one.txt", data / "two.txt")
    (data / ".hidden").write_text("x")
    (data / "1/2/3/4/5/6").mkdir(parents=True)
    (data / "__pycache__").mkdir()
    found = collected(data, tmp_path)
    assert [] == found.files
    expected = [
        ".hidden: hidden",
        "1/2/3/4/5/6: more than 5 folders deep",
        "link.csv: a link, copy the file instead",
        "one.txt: it has a second name, copy it instead",
        "pipe: no regular file",
        "two.txt: it has a second name, copy it instead",
    ]
    assert expected == found.left_out
    again = files.collect(data, files.snapshot(data), tmp_path, Limits())
    assert [] == again.left_out
    assert [] == files.names(data)


def test_more_entries_than_are_looked_at_are_told_once(data: Path, tmp_path: Path) -> None:
    """What lies beyond them is not known, so it cannot be named."""
    for number in range(5001):
        (data / f"{number:05}").touch()
    found = collected(data, tmp_path, Limits(files=1))
    assert "others: only 5000 files and folders are looked at" == found.left_out[-1]
    (data / "05000").unlink()
    assert "others" not in files.snapshot(data)


def test_a_file_that_was_cut_off_is_no_result(data: Path, tmp_path: Path) -> None:
    """One of just the size at which writing ends."""
    (data / "whole.bin").write_bytes(b"x" * 99)
    (data / "cut.bin").write_bytes(b"x" * 100)
    found = collected(data, tmp_path, Limits(file_bytes=100))
    assert ["whole.bin"] == [each.path for each in found.files]
    assert ["cut.bin: cut off at 100 bytes, the most that one file may have"] == found.left_out


def test_too_many_and_too_large_files_are_named(data: Path, tmp_path: Path) -> None:
    """The caps hold and the model hears of it."""
    for name in ("a.txt", "b.txt", "c.txt"):
        (data / name).write_text("x")
    (data / "big.bin").write_bytes(b"x" * 100)
    found = collected(data, tmp_path, Limits(files=2, collected_bytes=50))
    assert ["a.txt", "b.txt"] == [f.path for f in found.files]
    assert ["big.bin: larger than 50 bytes", "c.txt: more than 2 files"] == found.left_out


def test_a_file_with_its_times_set_back_is_still_changed(data: Path) -> None:
    """The change time cannot be forged."""
    (data / "a.txt").write_text("1")
    os.utime(data / "a.txt", (1, 1))
    before = files.snapshot(data)
    (data / "a.txt").write_text("2")
    os.utime(data / "a.txt", (1, 1))
    assert before != files.snapshot(data)


def test_an_input_never_overwrites(data: Path, tmp_path: Path) -> None:
    """Something of that name stays as it is, and no half copy is left."""
    (tmp_path / "in.csv").write_text("new")
    (data / "in.csv").write_text("old")
    with pytest.raises(FileExistsError):
        files.put(data, "in.csv", tmp_path / "in.csv", None)
    assert ["in.csv"] == os.listdir(data)
    assert "old" == (data / "in.csv").read_text()


def test_files_with_holes_are_collected_up_to_a_sum(tmp_path: Path) -> None:
    """A sparse file takes no disk space inside but its whole size once it is copied out."""
    folder, into = tmp_path / "data", tmp_path / "into"
    folder.mkdir()
    into.mkdir()
    for name in ("a", "b", "c"):
        with (folder / name).open("wb") as file:
            file.truncate(600_000)
    limits = Limits(data_bytes=1_300_000)
    found = files.collect(folder, {}, into, limits)
    assert ["a", "b"] == [item.path for item in found.files]
    assert ["c: more than 1300000 bytes together"] == found.left_out


def test_nothing_that_code_left_is_in_the_way_of_an_input(tmp_path: Path) -> None:
    """The unfinished copy lies outside the folder, so no name inside can block it."""
    folder, source = tmp_path / "data", tmp_path / "source"
    folder.mkdir()
    source.write_text("input")
    (folder / "incoming").mkdir()
    (folder / ".incoming").mkdir()
    files.put(folder, "in.csv", source, None)
    assert "input" == (folder / "in.csv").read_text()
    assert [".incoming", "in.csv", "incoming"] == sorted(os.listdir(folder))
    assert ["data", "source"] == sorted(os.listdir(tmp_path))
