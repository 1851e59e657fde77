"""Run as a program on Chroma's folder: erase what dropped collections left in it.

Chroma forgets a dropped collection but keeps the folder of its graph, and its rows' bytes in the database's free
pages. It needs nothing but the standard library, and may run while Chroma has the database open.
"""

import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

_WAIT_SECONDS = 60.0


def tidy(database: Path) -> None:
    """Remove the folders that belong to no collection, and rewrite the database without its free pages."""
    path = database / "chroma.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=_WAIT_SECONDS)) as connection:
        kept = {row[0] for row in connection.execute("SELECT id FROM segments")}
        for folder in database.iterdir():
            if folder.is_dir() and folder.name not in kept:
                shutil.rmtree(folder)
        connection.execute("VACUUM")


if __name__ == "__main__":
    tidy(Path(sys.argv[1]))
