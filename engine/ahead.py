"""Leases that end later than any can: given before the machine's clock was set back.

Who lives extends its leases at its next heartbeat, by the new time. One that stays as it is for the whole length of a
lease is a dead process's and is taken away; without this its run would wait until the clock has caught up. Counts
heartbeats and no time, since it is the time that cannot be relied on.
"""

import logging
import math

from .ports import Lease, Store, Transaction
from .settings import CoreSettings

_log = logging.getLogger("local_assistants.worker")


class AheadOfTime:
    """What one worker has seen of such leases. `look` at each heartbeat, after its own leases were extended."""

    def __init__(self, store: Store, settings: CoreSettings) -> None:
        self._store = store
        self._lease = settings.lease
        self._beats = math.ceil(settings.lease / settings.heartbeat) + 1
        self._seen: dict[Lease, int] = {}

    async def look(self, now: float) -> int:
        """Take away those that were there, unchanged, at so many heartbeats that their owner must be gone; how many.

        Raises:
            StorageFault: the store refused; the next look tries again.
        """
        latest = (
            now + 2 * self._lease
        )  # others read the clock a moment later, or have longer leases
        found = await self._store.read(lambda tx: tx.leases_after(latest))
        self._seen = {lease: self._seen.get(lease, 0) + 1 for lease in found}
        dead = frozenset(lease for lease, beats in self._seen.items() if beats > self._beats)
        if not dead:
            return 0

        def release(tx: Transaction) -> None:
            for lease in dead.intersection(tx.leases_after(latest)):
                tx.release_run(lease.run_id, lease.owner)

        await self._store.write(release)
        _log.warning("the clock was set back; %d runs of a process that is gone go on", len(dead))
        return len(dead)
