"""The vision part (mmproj) of the toy chat model: an encoder of some kilobytes with random weights, and pictures.

It makes four rows of any picture, as LLaVA's encoders do of theirs; what they say means nothing, but it depends on the
picture.
"""

import struct
import zlib
from pathlib import Path

import gguf
import numpy as np

ROWS = 4
"""Rows that a picture takes in the prompt."""

_SIDE, _PATCH, _WIDTH, _FEED_FORWARD, _LAYERS = 16, 8, 32, 64, 2


def write_vision(path: Path, *, width: int = 64, seed: int = 3) -> Path:
    """A vision part whose rows have `width` numbers, as many as the chat model's embedding."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(path), "clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    sizes = {
        "image_size": _SIDE,
        "patch_size": _PATCH,
        "embedding_length": _WIDTH,
        "feed_forward_length": _FEED_FORWARD,
        "block_count": _LAYERS,
        "attention.head_count": 4,
        "projection_dim": width,
    }
    for key, size in sizes.items():
        writer.add_uint32(f"clip.vision.{key}", size)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    for name, shape in _tensors(width):
        values = random.normal(0.0, 0.3, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(width: int) -> list[tuple[str, tuple[int, ...]]]:
    square = (_WIDTH, _WIDTH)
    named: list[tuple[str, tuple[int, ...]]] = [
        ("v.patch_embd.weight", (_WIDTH, 3, _PATCH, _PATCH)),
        ("v.position_embd.weight", (ROWS, _WIDTH)),
        ("mm.0.weight", (width, _WIDTH)),
        ("mm.2.weight", (width, width)),
        ("mm.0.bias", (width,)),
        ("mm.2.bias", (width,)),
    ]
    for layer in range(_LAYERS):
        block = f"v.blk.{layer}"
        named += [(f"{block}.attn_{part}.weight", square) for part in ("q", "k", "v", "out")]
        named += [(f"{block}.attn_{part}.bias", (_WIDTH,)) for part in ("q", "k", "v", "out")]
        named += [
            (f"{block}.ln{part}.{kind}", (_WIDTH,)) for part in "12" for kind in ("weight", "bias")
        ]
        named += [
            (f"{block}.ffn_up.weight", (_FEED_FORWARD, _WIDTH)),
            (f"{block}.ffn_up.bias", (_FEED_FORWARD,)),
            (f"{block}.ffn_down.weight", (_WIDTH, _FEED_FORWARD)),
            (f"{block}.ffn_down.bias", (_WIDTH,)),
        ]
    return named


def png(red: int, green: int, blue: int, *, width: int = 20, height: int = 12) -> bytes:
    """A picture of one colour."""
    line = b"\0" + bytes((red, green, blue)) * width
    return png_saying(width, height, zlib.compress(line * height))


def png_saying(width: int, height: int, packed: bytes) -> bytes:
    """A PNG whose header names this size, whatever its data hold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", packed), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)
