"""Tries a change that checks as it goes, and keeps nothing of it. Does not know what is changed."""

from collections.abc import Callable
from contextlib import suppress

from ..ports import Store, Transaction


async def rehearse(store: Store, change: Callable[[Transaction], object]) -> None:
    """Raise what `change` raises at this moment; whether it does or not, it is rolled back."""

    def attempt(tx: Transaction) -> None:
        change(tx)
        raise _NothingWrong

    with suppress(_NothingWrong):
        await store.write(attempt)


class _NothingWrong(Exception):
    """Takes the way of an error, since that is the way back."""
