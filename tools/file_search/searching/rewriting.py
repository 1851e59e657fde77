"""From what a person asks to what is looked for."""

from collections.abc import Sequence


def rewritten(queries: Sequence[str]) -> tuple[str, ...]:
    """The queries with blanks evened out, each once and in order."""
    return tuple(dict.fromkeys(" ".join(query.split()) for query in queries))
