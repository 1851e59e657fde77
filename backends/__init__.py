"""One way to run a model per module.

A backend knows chat messages and tool schemas; it never sees a thread, a run or a store.
"""
