"""The stores that the contract is tried on. Another implementation joins by one more entry here."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from local_assistants.engine.objects import Wire
from local_assistants.engine.ports import Store, Transaction
from local_assistants.storage import SQLiteStore

OPENERS: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda folder: SQLiteStore.open(folder / "store.db"),
}


VIEWS: dict[str, Callable[[Store], Store]] = {
    "whole": lambda store: store,
    "one-project": lambda store: store.scoped("one"),
}


@pytest.fixture(params=OPENERS)
async def whole(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store, closed afterwards."""
    opened = OPENERS[request.param](tmp_path)
    yield opened
    await opened.close()


@pytest.fixture(params=VIEWS)
def store(request: pytest.FixtureRequest, whole: Store) -> Store:
    """An empty store, or one project's view of it: for whoever has only that, it is a store like any other."""
    return VIEWS[request.param](whole)


def putting(*objects: Wire) -> Callable[[Transaction], None]:
    """The change that stores objects in this order."""

    def change(tx: Transaction) -> None:
        for obj in objects:
            tx.put(obj)

    return change


async def put(store: Store, *objects: Wire) -> None:
    """Store objects in this order, in one transaction."""
    await store.write(putting(*objects))
