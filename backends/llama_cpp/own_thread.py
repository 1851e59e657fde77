"""Native work beside the decode thread, in a thread that ends with it.

A thread that once computed keeps its team of OpenMP threads until it ends. Two teams in one process are more threads
than cores to libgomp, which then lets them sleep sooner: decoding one sequence took 1.4 times as long after the widths
had been timed on a thread that lived on (docs/decisions/0006-waiting-threads.md).
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def in_own_thread(work: Callable[[], T]) -> T:
    """What `work` gives or raises; blocks until then."""
    with ThreadPoolExecutor(1, thread_name_prefix="passing") as passing:
        return passing.submit(work).result()
