"""What is promised of isolation before there is a server, of folders that not everybody can pass to."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .rows import WORKED_OFTEN, Engine

OFTEN = (*WORKED_OFTEN, "B-docker-root")


@pytest.fixture
def private(engine: Engine) -> Iterator[Path]:
    """A folder that its owner alone can pass, as a root's home is."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chown(folder, engine.hello["uid"], -1)
        yield Path(folder)


def test_a_data_folder_out_of_reach_is_told_beforehand(engine: Engine, private: Path) -> None:
    """Where sandboxes have users of their own and see the host's folders: with what is in the way, and the way out."""
    told = engine.ask("told", data=str(private / "new"))
    if engine.row.tier == "B" and not engine.row.plain:
        assert told["tier"] is None
        assert f"these cannot pass {private} on the way to the sessions' folder" in told["text"]
        assert f"chmod o+x {private}" in told["text"]
    else:
        assert engine.row.tier == told["tier"]
    assert [] == list(private.iterdir())
