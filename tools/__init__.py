"""What the runtime does for the model: code interpreter, file search, function calls.

A tool knows the engine's ports and its own means; it never sees HTTP, the store or a backend.
"""
