"""Where a model's conversations are parked, and what their states depend on."""

from ..settings import LlamaSettings
from .parking import Parking


def open_parking(settings: LlamaSettings, identity: str) -> Parking:
    """The parking of the model of this identity: one folder below `park_folder` for each."""
    folder = settings.park_folder / identity if settings.park_folder is not None else None
    stamp = {
        "model": identity,
        "library": _library_version(),
        "kv_type": settings.kv_type,
        # In one kernel values lie the other way round than in several.
        "flash_attention": str(settings.flash_attention),
    }
    return Parking(settings.park_memory, settings.park_disk, folder, stamp)


def _library_version() -> str:
    from llama_cpp import __version__

    return str(__version__)
