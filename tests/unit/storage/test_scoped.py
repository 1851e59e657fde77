"""The SQLite adapter's narrowing, as far as the contract of stores cannot say it."""

from local_assistants.engine.ports import Texts, Transaction
from local_assistants.storage.scoped import ScopedTransaction
from local_assistants.storage.scoped_texts import ScopedTexts

GENERAL = {"get", "put", "delete", "delete_where", "page", "count"}
"""What reads and writes any kind of object: narrowed in its statements."""


def test_no_way_into_the_store_is_forgotten() -> None:
    """Each method of a transaction has been narrowed; one that was added to the port has to be named here or there."""
    port = {*vars(Transaction), *vars(Texts)}
    narrowed = {*vars(ScopedTransaction), *vars(ScopedTexts)}
    methods = {name for name in port if name[0] != "_"}
    assert methods == GENERAL | {name for name in narrowed if name[0] != "_"}
