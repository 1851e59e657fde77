"""What survives a restart: the SQLite store, the file blobs, the vector index.

This room knows SQL, files and their faults; it knows no rule of the API. It never imports another room but `engine`.
"""

from .blobs import FileBlobs
from .sqlite import SQLiteSettings, SQLiteStore

__all__ = ["FileBlobs", "SQLiteSettings", "SQLiteStore"]
