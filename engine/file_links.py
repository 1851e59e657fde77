"""Finds links to known files in a text that is still being written: sandbox:/mnt/data/NAME.

Only files that exist are looked for, by their whole names: so names may hold spaces and brackets, a longer name wins
over a shorter one that it begins with, and any other path stays text. A link is also known with its name
percent-encoded, as models write it where it holds a space. Pure; it does not know who made the files.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from urllib.parse import quote

_SCHEME = "sandbox:"
_JOINTS = r"[-.+~@%=&#/]{0,8}"  # between a name and what makes it another, longer one: "a.csv" in "a.csv.bak"
_CONTINUED = rf"(?!{_JOINTS}\w)"
_MAYBE_CONTINUED = re.compile(_JOINTS)


class FileLinks:
    """Links to these files, given as {path in the sandbox: file id}."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self._targets = {
            _SCHEME + spelling: file_id
            for path, file_id in files.items()
            for spelling in _spellings(path)
        }
        # A file that is really named a%20b.csv is not the one named "a b.csv".
        self._targets |= {_SCHEME + path: file_id for path, file_id in files.items()}
        self._reach = max(map(len, self._targets), default=0) + 8

    @property
    def pattern(self) -> str:
        """A regular expression that matches each link whole; matches nothing when there are no files."""
        longest_first = sorted(self._targets, key=len, reverse=True)
        return f"(?:{'|'.join(map(re.escape, longest_first)) or '(?!)'}){_CONTINUED}"

    def target(self, link: str) -> str:
        """The file id of what `pattern` matched."""
        return self._targets[link]

    def open_at(self, text: str) -> int:
        """Where the end of `text` begins that may still become a link when more comes; its length if nowhere."""
        start = max(0, len(text) - self._reach)
        while (start := text.find(_SCHEME[0], start)) >= 0:
            if self._may_grow(text[start:]):
                return start
            start += 1
        return len(text)

    def _may_grow(self, tail: str) -> bool:
        return any(
            target.startswith(tail)
            or (tail.startswith(target) and _MAYBE_CONTINUED.fullmatch(tail, len(target)))
            for target in self._targets
        )


def _spellings(path: str) -> Iterable[str]:
    """How else a model may write the path, each once."""
    composed = unicodedata.normalize("NFC", path)
    return dict.fromkeys((composed, composed.replace(" ", "%20"), quote(composed)))
