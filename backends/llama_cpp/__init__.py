"""Running a GGUF through llama-cpp-python's ctypes layer, in this process or in one of its own."""

from .backend import LlamaCppBackend
from .isolation import ProcessBackend, Supervision
from .settings import LlamaSettings

__all__ = ["LlamaCppBackend", "LlamaSettings", "ProcessBackend", "Supervision"]
