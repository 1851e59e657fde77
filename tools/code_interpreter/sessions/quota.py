"""What becomes of a session whose /mnt/data holds more than it may: code can delete there, and not write.

The watchdog ends a sandbox that goes beyond the limit; what is there then stays, perhaps above it. This keeps honest
code from running into the same end again and again. It is no wall: code may take it down, and meets the watchdog.
"""

import asyncio

from ..isolation import folders
from ..isolation.limits import MIB, Limits
from .sessions import Session

_BOUND = """
def _bound_files(most):
    import resource
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (min(most, hard), hard))
_bound_files({most})
del _bound_files
"""


async def looked_at(session: Session, limits: Limits) -> tuple[str, str]:
    """What to tell of the folder, and the code that lets files be written or not; both "" where nothing changed.

    It is looked at once a session, after a loss, and while it is overfull.
    """
    if session.overfull is False:
        return "", ""
    taken = await asyncio.to_thread(folders.measure, session.data) or folders.NOTHING
    excess = taken.bytes - limits.data_bytes - session.lent.bytes
    before, session.overfull = session.overfull, excess > 0
    if excess <= 0:
        return "", _BOUND.format(most=limits.file_bytes) if before else ""
    told = (
        f"the files in /mnt/data take {-(-excess // MIB)} MiB more than the {limits.data_bytes // MIB} MiB that are "
        "allowed: no file can be written before a call has deleted so much"
    )
    return told, _BOUND.format(most=0)
