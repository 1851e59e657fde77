"""Run as a program on Chroma's folder: read every collection the way a search would.

Ends with another status than 0, or dies, when one is broken; whoever starts it looks at nothing else.
"""

import sys
from pathlib import Path

from .folder import connect


def check(database: Path) -> None:
    """Raises, or kills the process, when a collection cannot be read."""
    client = connect(database)
    for collection in client.list_collections():
        sample = collection.get(limit=1, include=["embeddings"])["embeddings"]
        if collection.count() and sample is not None:
            collection.query(query_embeddings=sample, n_results=1, include=["distances"])
    client.close()


if __name__ == "__main__":
    check(Path(sys.argv[1]))
