"""The way of a file into the index, in a worker process of its own."""
