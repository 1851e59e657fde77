"""A model in a process of its own, so that what ends llama.cpp does not end the server (docs/decisions/0013)."""

from .host import ProcessBackend
from .supervisor import Supervision

__all__ = ["ProcessBackend", "Supervision"]
