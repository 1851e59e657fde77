"""Python for the model: a kernel in its own environment inside a sandbox, one per thread."""
