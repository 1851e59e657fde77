"""The line that is embedded before a chunk's text: what its file is called and under which headings it stands.

Only words go into it: "2023Q4_earnings.pdf" says something about the text, "4983.txt" and "IMG_0001.pdf" do not. Equal
lines and texts have equal vectors, so a file under two such names is embedded once.
"""

import re

_PARTS = re.compile(r"[^\W\d_]+|\d+")
_LEAST = (
    3  # UTF-8 bytes of a telling word: three Latin letters or one Chinese; "v2" alone is no name
)
_ANY_FILE = """
    copy doc docs document download downloads draft file files final img image new page paper part pdf scan scanned
    screenshot temp text tmp txt unnamed untitled upload version
"""
_NO_NAMES = frozenset(_ANY_FILE.split())


def heading_line(filename: str, heading: str) -> str:
    """The words of `filename`, then `heading` (a path of headings, "" without any); "" when neither says anything."""
    return " > ".join(part for part in (_words(filename), heading) if part)


def _words(filename: str) -> str:
    """The file name as a reader would say it; "" when it names nothing."""
    stem, dot, _ = filename.rpartition(".")
    parts: list[str] = _PARTS.findall(stem if dot else filename)
    return " ".join(parts) if any(_tells(part) for part in parts) else ""


def _tells(part: str) -> bool:
    return (
        not part.isdecimal() and len(part.encode()) >= _LEAST and part.casefold() not in _NO_NAMES
    )
