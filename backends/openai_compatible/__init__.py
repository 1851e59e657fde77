"""A model behind the `/v1/chat/completions` of other servers: llama-server, vLLM, Ollama, LM Studio."""

from .backend import OpenAICompatibleBackend
from .settings import OpenAISettings

__all__ = ["OpenAICompatibleBackend", "OpenAISettings"]
