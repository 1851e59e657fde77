"""What survives a restart: the SQLite store, the file blobs, the vector index."""
