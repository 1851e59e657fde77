"""Text that arrives in pieces: stop strings, and what must be held back until it is clear what it is.

Knows no model and no protocol. Cuts on code points, never on graphemes.
"""

from collections.abc import Sequence


def held_back(text: str, markers: Sequence[str]) -> int:
    """Length of the longest end of `text` that is a proper beginning of one of `markers`."""
    longest = min(len(text), max((len(marker) for marker in markers), default=1) - 1)
    for size in range(longest, 0, -1):
        if any(len(marker) > size and text.endswith(marker[:size]) for marker in markers):
            return size
    return 0


class StopStrings:
    """Passes text through up to the first stop string, which is swallowed.

    An end that may still become a stop string is held back until the next piece, or until `flush`.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.hit = False

    def feed(self, piece: str) -> str:
        """The text that is safe to show now; after a hit always ""."""
        if self.hit:
            return ""
        text = self._held + piece
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        keep = held_back(text, self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back and turned out to be plain text, at the end of a turn."""
        rest, self._held = self._held, ""
        return rest
