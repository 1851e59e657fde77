"""A furnished data folder and its dump, made once for all who look at dumps."""

import asyncio
import shutil
from pathlib import Path

import pytest

from local_assistants.storage.exporting import export_folder
from tests.support.dumps import add_key
from tests.support.furnished import furnish


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the product made, with a key; never changed."""
    folder = tmp_path_factory.mktemp("furnished")
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(furnish(folder))
        runner.run(add_key(folder))
    (folder / "embedder.json").write_text('{"identity":"toy"}')
    return folder


@pytest.fixture(scope="session")
def dump(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its dump; never changed."""
    return export_folder(furnished, tmp_path_factory.mktemp("dumps") / "dump").target


@pytest.fixture
def copy(dump: Path, tmp_path: Path) -> Path:
    """A dump to change."""
    return Path(shutil.copytree(dump, tmp_path / "copy"))
