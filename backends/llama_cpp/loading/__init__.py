"""Before a model answers: what a file is, what it needs, what fits, and having the library load it."""
