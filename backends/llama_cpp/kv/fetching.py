"""Whether a parked state is worth fetching: seconds to bring it back against seconds to evaluate what it would save."""

from .parking import Found

LEAST = 32  # tokens; fewer are evaluated as quickly as they are fetched
_PREFILL_RATE = 1000.0  # tokens per second, before any was measured: fetching is tried then
_FETCH_RATES = {False: 1e9, True: 3e8}  # bytes per second from memory and from disk, likewise
_OVERHEAD = 0.002  # seconds
_MEASURED = 1 << 20  # bytes; less says little about a rate


class Fetching:
    """Compares the two by rates that are measured in use. `prefill_rate` is told by who evaluates."""

    def __init__(self) -> None:
        self._rates = dict(_FETCH_RATES)
        self.prefill_rate: float | None = None  # tokens per second

    def pays(self, found: Found, gained: int) -> bool:
        """Whether fetching is sooner done than evaluating `gained` tokens."""
        seconds = _OVERHEAD + found.size / self._rates[found.on_disk]
        return gained >= LEAST and gained / (self.prefill_rate or _PREFILL_RATE) > seconds

    def observe(self, found: Found, seconds: float) -> None:
        """Take up how long fetching took."""
        if found.size >= _MEASURED and seconds > 0:
            before = self._rates[found.on_disk]
            self._rates[found.on_disk] = (before + found.size / seconds) / 2
