"""The Assistants API v2 as a runtime that you own: local models, local tools, local data."""

__version__ = "0.1.0"

__all__ = ["__version__"]
