"""The SQLite adapter's narrowing, as far as the contract of stores cannot say it."""

from local_assistants.engine.ports import Transaction
from local_assistants.storage.scoped import ScopedTransaction

GENERAL = {"get", "put", "delete", "delete_where", "page", "count"}
"""What reads and writes any kind of object: narrowed in its statements."""


def test_no_way_into_the_store_is_forgotten() -> None:
    """Each method of a transaction has been narrowed; one that was added to the port has to be named here or there."""
    methods = {name for name in vars(Transaction) if not name.startswith("_")}
    assert methods == GENERAL | {name for name in vars(ScopedTransaction) if name[0] != "_"}
