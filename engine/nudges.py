"""Short notes under a tool's output that keep a small model from running in circles and from failing for ever.

Measured with a 1.5B model: after a useful output it makes the very same call again, up to any limit; with the first
note it answers, and when a call is repeated all the same, the second note and a turn without tools end it. Larger
models are not disturbed by either. The notes are for the model alone: no step and no message shows them.
"""

import json
from collections.abc import Sequence

from .chat import ToolCall

ENOUGH = (
    "If this is enough to answer, answer the user now in plain words. "
    "Otherwise call a tool again, differently."
)
REPEATED = (
    "The same call was made before, with the same output. Do not make it again: "
    "answer the user now in plain words."
)
NOT_RUN = "Not run: code has failed too often in this run."
GIVE_UP = (
    "Code has failed too often in this run; no more of it is run. Answer the user now in plain words "
    "with what you have, and say what could not be done."
)


class Circles:
    """The engine-side calls a run has made; knows a turn that only repeats them."""

    def __init__(self) -> None:
        self._made: set[tuple[str, str]] = set()
        self.found = False  # the latest turn only repeated earlier ones

    def add(self, calls: Sequence[ToolCall]) -> None:
        """Take up the calls of a turn."""
        new = {(call.name, _canonical(call.arguments)) for call in calls}
        self.found = bool(new) and new <= self._made
        self._made |= new

    @property
    def note(self) -> str:
        """What to write under the outputs of the latest turn."""
        return REPEATED if self.found else ENOUGH


def _canonical(arguments: str) -> str:
    """Arguments without what does not matter: spacing, quoting, blank lines of code."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        parsed = arguments
    text = json.dumps(parsed, sort_keys=True)
    return "".join(text.replace("\\n", " ").replace('\\"', "'").split())
