"""Interpreters by thread: which are alive, and their files in and out of /mnt/data."""
