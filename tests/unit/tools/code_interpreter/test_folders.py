"""Folders that are deeper, wider or better locked than the standard walks can take."""

import os
from pathlib import Path

from local_assistants.tools.code_interpreter.isolation.folders import (
    Footprint,
    measure,
    remove_tree,
)


def _nest(folder: Path, depth: int) -> int:
    """`depth` folders in each other below `folder`; a descriptor of the innermost."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=directory)
        inner = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=directory)
        os.close(directory)
        directory = inner
    return directory


def test_what_lies_three_thousand_folders_deep_is_measured_and_deleted(tmp_path: Path) -> None:
    """Neither the stack nor a path's length bounds the depth."""
    folder = tmp_path / "data"
    folder.mkdir()
    innermost = _nest(folder, 3000)
    big = os.open("big", os.O_WRONLY | os.O_CREAT, dir_fd=innermost)
    os.write(big, b"x" * 1_000_000)
    os.close(big)
    os.close(innermost)
    taken = measure(folder)
    assert taken is not None
    assert 3001 == taken.entries
    assert taken.bytes >= 1_000_000
    remove_tree(folder)
    assert not folder.exists()


def test_counting_ends_above_what_is_asked_for(tmp_path: Path) -> None:
    """A million files cost no more than the limit."""
    for number in range(50):
        (tmp_path / f"{number}").touch()
    taken = measure(tmp_path, 10)
    assert taken is not None
    assert 11 == taken.entries


def test_links_are_counted_and_not_followed(tmp_path: Path) -> None:
    """What a link points at is neither measured nor deleted."""
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_bytes(b"x" * 100_000)
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "link").symlink_to(kept)
    (folder / "sub").mkdir()
    (folder / "sub" / "link").symlink_to(kept / "file")
    taken = measure(folder)
    assert taken is not None
    assert 3 == taken.entries
    assert taken.bytes < 100_000
    remove_tree(folder)
    assert not folder.exists()
    assert 100_000 == (kept / "file").stat().st_size


def test_locked_folders_are_measured_and_deleted(tmp_path: Path) -> None:
    """Code cannot hide what it stored by taking the rights of a folder away."""
    folder = tmp_path / "data"
    inner = folder / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(b"x" * 100_000)
    inner.chmod(0)
    inner.parent.chmod(0)
    folder.chmod(0)
    taken = measure(folder)
    assert taken is not None
    assert 3 == taken.entries
    assert taken.bytes >= 100_000
    inner.parent.chmod(0)
    remove_tree(folder)
    assert not folder.exists()


def test_a_file_of_several_names_is_measured_once(tmp_path: Path) -> None:
    """Hard links take no room, but each is an entry."""
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    alone = measure(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    both = measure(tmp_path)
    assert alone is not None
    assert both is not None
    assert (alone.bytes, 2) == (both.bytes, both.entries)


def test_a_missing_folder_takes_nothing(tmp_path: Path) -> None:
    """Neither measuring nor deleting one is an error."""
    assert Footprint() == measure(tmp_path / "none")
    remove_tree(tmp_path / "none")
