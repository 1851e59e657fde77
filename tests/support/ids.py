"""Ids that count: the first run of a test is always run_1."""

from collections import Counter

PREFIXES = {
    "assistant": "asst_",
    "thread": "thread_",
    "message": "msg_",
    "run": "run_",
    "step": "step_",
    "call": "call_",
    "file": "file-",
    "vector_store": "vs_",
    "file_batch": "vsfb_",
    "upload": "upload_",
    "part": "part_",
    "key": "key_",
    "request": "req_",
}


class CountingIds:
    """The `Ids` port: prefix and number, each kind counted from 1."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def new(self, kind: str) -> str:
        """The next id of this kind."""
        self._counts[kind] += 1
        return f"{PREFIXES[kind]}{self._counts[kind]}"
