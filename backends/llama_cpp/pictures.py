"""Pictures as they come with a message: read, and checked before a native decoder sees them.

Whoever sends a picture is not trusted. Only PNG and JPEG pass, by their first bytes; how large they are is read from
their headers, and what a PNG unpacks to is counted first, because a small file can hold gigabytes. It decodes nothing.
"""

import base64
import binascii
import struct
import zlib
from pathlib import Path
from typing import Any

from ...engine.errors import InvalidRequest

MOST_BYTES = 20 << 20
"""Of a file."""

MOST_PIXELS = 32 << 20
"""Of a picture; three bytes each once it is decoded."""

_MOST_SIDE = 1 << 14
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG's colour type -> numbers a pixel
_SLACK = 1 << 16  # bytes; interlaced pictures have more lines than they are high
# Start of frame; C4, C8 and CC are other things between them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def read_picture(url: str) -> bytes:
    """What a picture's URL leads to, whatever it is: a data URL, or the path of a file on this host.

    Raises:
        InvalidRequest: it cannot be read, or is too large.
    """
    data = _from_data_url(url) if url.startswith("data:") else _from_file(Path(url))
    if len(data) > MOST_BYTES:
        raise InvalidRequest(f"A picture has more than {MOST_BYTES >> 20} MiB.")
    return data


def check_picture(data: bytes) -> None:
    """See that a decoder may have these bytes. Takes as long as unpacking them.

    Raises:
        InvalidRequest: they are no PNG or JPEG, damaged, or too large; says what is allowed.
    """
    width, height = _size(data)
    if not 0 < width <= _MOST_SIDE or not 0 < height <= _MOST_SIDE or width * height > MOST_PIXELS:
        raise InvalidRequest(
            f"A picture of {width} x {height} pixels is too large: up to {_MOST_SIDE} a side and "
            f"{MOST_PIXELS / 1e6:.0f} million in all can be looked at."
        )
    if data.startswith(_PNG):
        _require_unpacked(data, _unpacked_size(data))


def _from_data_url(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma or not head.endswith(";base64"):
        raise InvalidRequest("A picture's data URL is not of the form data:image/png;base64,…")
    if len(body) > MOST_BYTES * 4 // 3 + 4:
        raise InvalidRequest(f"A picture has more than {MOST_BYTES >> 20} MiB.")
    try:
        return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"A picture's data URL is no base64: {error}.") from error


def _from_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InvalidRequest("A picture's file cannot be read.") from error


def _size(data: bytes) -> tuple[int, int]:
    """Width and height by the header.

    Raises:
        InvalidRequest: it is neither PNG nor JPEG, or damaged.
    """
    try:
        if data.startswith(_PNG):
            return _png_size(data)
        if data.startswith(_JPEG):
            return _jpeg_size(data)
    except (IndexError, struct.error) as error:
        raise _damaged() from error
    raise InvalidRequest("A picture is neither PNG nor JPEG; others cannot be looked at here.")


def _damaged() -> InvalidRequest:
    return InvalidRequest("A picture is damaged.")


def _png_size(data: bytes) -> tuple[int, int]:
    width, height, depth, colour = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR" or colour not in _CHANNELS or depth not in (1, 2, 4, 8, 16):
        raise _damaged()
    return width, height


def _unpacked_size(png: bytes) -> int:
    """The bytes that a PNG's lines take at most."""
    width, height, depth, colour = struct.unpack_from(">IIBB", png, 16)
    line = 1 + (width * depth * _CHANNELS[colour] + 7) // 8
    return int(2 * line * height + _SLACK)


def _require_unpacked(data: bytes, most: int) -> None:
    """Unpack a PNG's lines without keeping them: there must not be more than its size explains."""
    unpacker, at, seen = zlib.decompressobj(), len(_PNG), 0
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            seen += _unpacked(unpacker, data[at + 8 : at + 8 + length], most - seen)
        at += 12 + length
    if not seen:
        raise _damaged()


def _unpacked(unpacker: Any, packed: bytes, most: int) -> int:
    seen = 0
    try:
        while packed:
            seen += len(unpacker.decompress(packed, _SLACK))
            packed = unpacker.unconsumed_tail
            if seen > most:
                raise InvalidRequest("A picture holds more than its size says.")
    except zlib.error as error:
        raise _damaged() from error
    return seen


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise _damaged()
        while data[at + 1] == 0xFF:  # markers may be padded
            at += 1
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == 0xDA:  # the lines begin, and nobody has said how many
            raise _damaged()
        at += 2 if marker in _ALONE else 2 + struct.unpack_from(">H", data, at + 2)[0]
