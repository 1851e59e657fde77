"""The name under which things are kept for a model."""

import shutil
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.loading.identity import model_identity
from local_assistants.engine.errors import BackendFault
from tests.support.toy_gguf import write_random_model

_BIG = 40 << 20


def test_a_copy_is_the_same_model(tmp_path: Path) -> None:
    """Neither the place nor the time of a file is part of the name."""
    first = write_random_model(tmp_path / "first.gguf")
    second = Path(shutil.copyfile(first, tmp_path / "second.gguf"))
    assert model_identity(first) == model_identity(str(second))


def test_other_weights_are_another_model(tmp_path: Path) -> None:
    """Two models of one shape differ in their weights only."""
    first = write_random_model(tmp_path / "first.gguf", seed=1)
    second = write_random_model(tmp_path / "second.gguf", seed=2)
    assert model_identity(first) != model_identity(second)


@pytest.mark.parametrize("at", [0, 1 << 20, _BIG // 2, _BIG - (1 << 20)])
def test_a_tensor_anywhere_in_a_big_file_counts(tmp_path: Path, at: int) -> None:
    """Of a big file samples are read, so close together that no tensor of half a megabyte is missed."""
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    content = bytearray(_BIG)
    first.write_bytes(content)
    content[at : at + (1 << 19)] = b"\x01" * (1 << 19)
    second.write_bytes(content)
    assert model_identity(first) != model_identity(second)


def test_a_file_that_changes_gets_another_name(tmp_path: Path) -> None:
    """The name is remembered per file, but not beyond a change of it."""
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    before = model_identity(path)
    path.write_bytes(b"GGUF" + bytes(101))
    assert before != model_identity(path)


def test_every_part_of_a_split_model_counts(tmp_path: Path) -> None:
    """The library loads the parts by the name of the first one."""
    first, second = tmp_path / "m-00001-of-00002.gguf", tmp_path / "m-00002-of-00002.gguf"
    first.write_bytes(b"GGUF first")
    second.write_bytes(b"GGUF second")
    before = model_identity(first)
    second.write_bytes(b"GGUF another")
    assert before != model_identity(first)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The message says which file."""
    with pytest.raises(BackendFault, match=r"nowhere\.gguf"):
        model_identity(tmp_path / "nowhere.gguf")
