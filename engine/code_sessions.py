"""Keeps the ledger of the code interpreter's sessions as the hosted service bills them: one for a thread and hour.

The first code of a session is run after its start is on disk, so what was used is counted whatever becomes of the run.
A session that was lost and begun again within the hour (the server was restarted, another thread needed the room) is
not counted twice. What it does not know: prices.
"""

import logging

from .core import Core

SPAN = 3600
"""Seconds that one counted session pays for."""

_log = logging.getLogger("local_assistants.run")


async def count_session(core: Core, thread_id: str, run_id: str, started_at: float) -> None:
    """Note that `run_id` had a session of its thread's begun at `started_at` (Unix seconds)."""
    at = int(started_at)
    counted = await core.journal.commit(
        lambda unit: unit.tx.add_code_session(thread_id, run_id, at, at - SPAN)
    )
    _log.info(
        "run %s began a code interpreter session of thread %s%s",
        run_id,
        thread_id,
        "" if counted else ", which has paid for this hour",
    )
