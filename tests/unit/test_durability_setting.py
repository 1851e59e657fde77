"""What an operator says of durability reaches the connection that writes."""

from pathlib import Path
from typing import Literal

import pytest

from local_assistants.assemble import Engine, Settings
from local_assistants.engine.ports import Transaction
from local_assistants.settings_file import read_settings_file
from local_assistants.storage.transaction import SQLiteTransaction

ONE_TURN = 'turns: [{text: "ok"}]'


@pytest.mark.parametrize(("word", "level"), [("full", 2), ("normal", 1)])
async def test_the_settings_file_sets_how_durable_a_served_store_is(
    tmp_path: Path, word: Literal["full", "normal"], level: int
) -> None:
    """The writer of an engine that was opened with the file's words has SQLite's level for them."""
    (tmp_path / "script.yaml").write_text(ONE_TURN)
    (tmp_path / "settings.toml").write_text(f'[store]\ndurability = "{word}"')
    found = read_settings_file(tmp_path / "settings.toml")
    settings = Settings(
        model=f"scripted:{tmp_path / 'script.yaml'}", data=tmp_path / "data", **found.store
    )

    def synchronous(tx: Transaction) -> int:
        assert isinstance(tx, SQLiteTransaction)
        return int(tx.connection.execute("PRAGMA synchronous").fetchone()[0])

    async with Engine.open(settings) as engine:
        seen = await engine.services.core.store.write(synchronous)
    assert level == seen
