"""The line that is embedded before a chunk's text: where in its file the chunk stands."""


def heading_line(filename: str, heading: str) -> str:
    """The line for a chunk under `heading` (its path of headings, "" without any) of the file `filename`."""
    return " > ".join(part for part in (filename, heading) if part)
