"""What the work at hand belongs to, for the log: ids of run and thread, of a request, of a file that is indexed.

It lives in a context variable, so threads and tasks begun by the work carry it, too, until the work is over: a kernel
that one run started does not speak in its name ever after. How lines are written is not known here.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar


class _Work:
    """`over` is seen by every copy of the context, where resetting the variable is not."""

    __slots__ = ("ids", "over")

    def __init__(self, ids: Mapping[str, str]) -> None:
        self.ids = ids
        self.over = False


_at_hand: ContextVar[_Work | None] = ContextVar("local_assistants_work", default=None)


@contextmanager
def working_on(**ids: str) -> Generator[None]:
    """What is logged in this block belongs to these ids, and to those of the block around it."""
    work = _Work({**ids_at_hand(), **ids})
    token = _at_hand.set(work)
    try:
        yield
    finally:
        work.over = True
        _at_hand.reset(token)


def ids_at_hand() -> Mapping[str, str]:
    """The ids of the work that is going on here, none when there is none or it is over."""
    work = _at_hand.get()
    return {} if work is None or work.over else work.ids
