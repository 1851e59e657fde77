"""The Assistants API v2 as a runtime that you own: local models, local tools, local data.

`Engine` and `Settings` are looked up when first asked for, so that importing this package costs next to nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_assistants.assemble import Engine, Settings

__version__ = "0.1.0"

__all__ = ["Engine", "Settings", "__version__"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from local_assistants import assemble

    return getattr(assemble, name)
