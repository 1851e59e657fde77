"""The GPUs that llama.cpp sees, and how many layers of a model to put on them.

Asks ggml through its C functions. Asking a GPU for its memory takes some of it for as long as the process lives, so
whoever only wants to know has a short process ask (`find_gpus`). How layers are shared among several GPUs is left to
the library, which goes by their free memory.
"""

import ctypes
import importlib
import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_log = logging.getLogger("local_assistants")
_MIB = 1 << 20
_KEPT_FREE = 256 * _MIB  # of each GPU: what drivers and screens take meanwhile
_CPU_PARTS = ("base", "cpu", "blas")
_GPU, _INTEGRATED = 1, 2  # ggml_backend_dev_type


@dataclass(frozen=True, slots=True)
class Device:
    """A device that can compute. Memory in bytes."""

    name: str
    description: str
    kind: int
    free: int
    total: int


@dataclass(frozen=True, slots=True)
class Placement:
    """How much of a model goes onto GPUs.

    Attributes:
        layers: how many, the output counting as one more; what `n_gpu_layers` takes.
        of: how many there are, the output included.
        bytes: that they take on the GPUs, with their part of the KV pool.
        devices: how many GPUs.
    """

    layers: int = 0
    of: int = 0
    bytes: int = 0
    devices: int = 0

    @property
    def text(self) -> str:
        """For people."""
        if not self.layers:
            return (
                "on the CPU"
                if not self.devices
                else "on the CPU: no layer fits the GPU's free memory"
            )
        where = "the GPU" if self.devices == 1 else f"{self.devices} GPUs"
        what = "all layers" if self.layers >= self.of else f"{self.layers} of {self.of} layers"
        return f"{what} on {where} ({self.bytes / 1e9:.1f} GB)"


def gpus(native: Any) -> tuple[Device, ...]:
    """The GPUs: real ones, or where there is none those that share the machine's memory; none without support for any.

    Args:
        native: the bindings of llama-cpp-python (`library.bindings`).
    """
    if not native.llama_supports_gpu_offload():
        return ()
    found = devices()
    real = tuple(device for device in found if device.kind == _GPU)
    return real or tuple(device for device in found if device.kind == _INTEGRATED)


def find_gpus() -> tuple[Device, ...]:
    """`gpus`, asked by a process of its own; none where the installed library was built for none."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.origin is None or not built_for_gpus(Path(spec.origin).parent / "lib"):
        return ()
    return ask_for_gpus()


def built_for_gpus(folder: Path) -> bool:
    """Whether the libraries in a folder have more than CPU parts, which are files of their own."""
    names = (file.name for file in folder.glob("*ggml-*"))
    return any(not name.split("ggml-", 1)[1].startswith(_CPU_PARTS) for name in names)


def ask_for_gpus() -> tuple[Device, ...]:
    """`gpus`, asked by a process that ends at once; none when it fails. Blocks for about a second."""
    from ..child import environment

    command = [sys.executable, "-P", "-m", f"{__package__}.gpu_report"]
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=60, text=True, env=environment()
        )
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("cannot ask for GPUs: %s", error)
        return ()
    return tuple(Device(**each) for each in json.loads(done.stdout.strip().splitlines()[-1]))


def devices() -> tuple[Device, ...]:
    """Every device that ggml knows, CPUs included. Needs llama-cpp-python."""
    ggml, base = _libraries()
    count = _function(ggml, "ggml_backend_dev_count", ctypes.c_size_t)()
    get = _function(ggml, "ggml_backend_dev_get", ctypes.c_void_p, ctypes.c_size_t)
    return tuple(_device(base, get(index)) for index in range(count))


def _device(base: ctypes.CDLL, handle: int) -> Device:
    name = _function(base, "ggml_backend_dev_name", ctypes.c_char_p, ctypes.c_void_p)
    described = _function(base, "ggml_backend_dev_description", ctypes.c_char_p, ctypes.c_void_p)
    kind = _function(base, "ggml_backend_dev_type", ctypes.c_int, ctypes.c_void_p)
    size = ctypes.POINTER(ctypes.c_size_t)
    memory = _function(base, "ggml_backend_dev_memory", None, ctypes.c_void_p, size, size)
    free, total = ctypes.c_size_t(0), ctypes.c_size_t(0)
    memory(handle, ctypes.byref(free), ctypes.byref(total))
    return Device(
        _text(name(handle)), _text(described(handle)), int(kind(handle)), free.value, total.value
    )


def _text(data: bytes | None) -> str:
    return (data or b"").decode("utf-8", "replace")


def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """libggml (the registry) and libggml-base (a device's functions), which the bindings have loaded before."""
    package = importlib.import_module("llama_cpp")
    extensions = importlib.import_module("llama_cpp._ctypes_extensions")
    folder = Path(str(package.__file__)).parent / "lib"
    load = extensions.load_shared_library
    return load("ggml", folder), load("ggml-base", folder)


def _function(library: ctypes.CDLL, name: str, result: Any, *arguments: Any) -> Any:
    function = getattr(library, name)
    function.restype, function.argtypes = result, list(arguments)
    return function


def choose_layers(
    layer_bytes: Sequence[int],
    kv_bytes_per_layer: Sequence[int],
    overhead: int,
    devices: Sequence[Device],
) -> Placement:
    """As many layers as fit, in the order in which the library takes them: the output, then from the last layer on.

    Args:
        layer_bytes: the weights of each layer, and as the last item those of the output.
        kv_bytes_per_layer: each layer's part of the KV pool, one item less.
        overhead: bytes for buffers on each GPU.
        devices: the GPUs.
    """
    sizes = [
        weights + kv for weights, kv in zip(layer_bytes, (*kv_bytes_per_layer, 0), strict=True)
    ]
    room = [max(0, device.free - _KEPT_FREE - overhead) for device in devices]
    if len(room) > 1:  # a layer lies on one GPU, so each may be left with a gap
        room = [max(0, free - max(sizes, default=0)) for free in room]
    left = sum(room)
    layers = taken = 0
    for size in reversed(sizes):
        if taken + size > left:
            break
        taken += size
        layers += 1
    if layers <= 1:  # the output alone costs a copy for each token and speeds nothing up
        layers = taken = 0
    return Placement(layers, len(sizes), taken, len(devices))
