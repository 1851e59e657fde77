"""What the storage of vectors comes to: GB-days of a stretch of time, store by store, from the ledger (an extension).

Counted to the second, of every size that a store had; stores that were deleted meanwhile count as long as they were.
"""

from typing import Any

from ..core import Core
from ..errors import InvalidRequest
from ..ports import StoragePeriod

GB = 10**9
_DAY = 86_400


class StorageUse:
    """The bill for vector storage."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def between(self, since: int, until: int | None = None) -> dict[str, Any]:
        """From `since` up to `until` (Unix seconds; None: now), in wire form.

        Raises:
            InvalidRequest: it ends before it begins.
        """
        now = self._core.now()
        end = now if until is None else min(until, now)  # nobody knows what is stored tomorrow
        if until is not None and until < since:
            raise InvalidRequest("'until' has to be 'since' or later.", param="until")
        periods = await self._core.store.read(lambda tx: tx.storage_since(since, end))
        by_store: dict[str, int] = {}
        for one in periods:
            known = by_store.get(one.vector_store_id, 0)
            by_store[one.vector_store_id] = known + _byte_seconds(one, since, end)
        return {
            "object": "vector_store.usage",
            "since": since,
            "until": end,
            "gb_days": _gb_days(sum(by_store.values())),
            "vector_stores": [
                {"vector_store_id": id_, "gb_days": _gb_days(used)}
                for id_, used in by_store.items()
            ],
        }


def _byte_seconds(period: StoragePeriod, since: int, until: int) -> int:
    last = until if period.until is None else min(period.until, until)
    return period.usage_bytes * max(0, last - max(period.since, since))


def _gb_days(byte_seconds: int) -> float:
    return byte_seconds / GB / _DAY
