"""Where there is no /mnt/data: its name in code becomes the folder's own, and back again in what the code says.

Plain text, as code and its output are: a path in a string, an f-string or a command line is changed alike; one that
is put together from pieces is not. It knows no sandbox.
"""

import re
from collections.abc import Mapping

# Not "/mnt/database", not "/srv/mnt/data"; and links for the user ("sandbox:/mnt/data/x") are no paths to open.
_BEFORE, _AFTER = r"(?<![\w./-])(?<!sandbox:)", r"(?![\w-])(?!\.\w)"


def localise(text: str, names: Mapping[str, str]) -> str:
    """`text` with each path of `names`, and all below it, called by its other name."""
    paths = "|".join(re.escape(inside) for inside in names)

    def real(found: re.Match[str]) -> str:
        return names[found.group()]

    return re.sub(f"{_BEFORE}(?:{paths}){_AFTER}", real, text)


def shown(text: str, names: Mapping[str, str]) -> str:
    """The way back; a real path is replaced wherever it stands."""
    for inside, real in sorted(names.items(), key=lambda pair: -len(pair[1])):
        text = text.replace(real, inside)
    return text
