"""Running a GGUF in this process through llama-cpp-python's ctypes layer."""

from .backend import LlamaCppBackend
from .settings import LlamaSettings

__all__ = ["LlamaCppBackend", "LlamaSettings"]
