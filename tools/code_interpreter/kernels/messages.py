"""Jupyter messages as they cross the border: frames of bytes that hostile code wrote, into what may be looked at.

Signatures are not checked: they keep third parties out, and there is none on a private socket, while the code at its
other end knows the key. A message is believed to come from the kernel, and nothing that it says.

Reading is bounded in time as well as in size: JSON of a few long strings, as pictures are, takes 1 ms a megabyte, that
of many small values up to 50, and Python reads it in one go.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from .zmtp import Multipart

_DELIMITER = b"<IDS|MSG>"
_HEADER_BYTES = 65536
_ANY_SHAPE_BYTES = 1 << 19
_MOST_COMMAS = 100_000  # in larger JSON, and so of values; there may be some in text too


@dataclass(frozen=True)
class Request:
    """What a kernel is asked: the msg_id that its answers name, and the frames to send."""

    name: str
    frames: Sequence[bytes]


@dataclass(frozen=True)
class Message:
    """What a kernel said. `content` is None when it was larger, or more intricate, than may be read."""

    kind: str
    request: str  # the msg_id of the request that it claims to answer
    content: Mapping[str, Any] | None


def read(multipart: Multipart) -> Message | None:
    """The message in these frames; None when they are no message, or one that says not what it answers."""
    frames = multipart.frames
    try:
        # Behind the delimiter: signature, header, parent header, metadata, content, and buffers that nobody needs.
        start = list(frames).index(_DELIMITER) + 2
        kind = _mapping(frames[start], _HEADER_BYTES)["msg_type"]
        request = _mapping(frames[start + 1], _HEADER_BYTES)["msg_id"]
    except (ValueError, KeyError, IndexError, RecursionError):
        return None
    if not isinstance(kind, str) or not isinstance(request, str):
        return None
    return Message(kind, request, _content(frames[start + 3 : start + 4]))


def _content(frames: Sequence[bytes]) -> Mapping[str, Any] | None:
    try:
        return _mapping(frames[0])
    except (ValueError, IndexError, RecursionError):
        return None


def _mapping(frame: bytes, most_bytes: int | None = None) -> Mapping[str, Any]:
    if most_bytes is not None and len(frame) > most_bytes:
        raise ValueError("too large")
    if len(frame) > _ANY_SHAPE_BYTES and frame.count(b",") > _MOST_COMMAS:
        raise ValueError("too intricate")
    value = json.loads(frame)
    if not isinstance(value, dict):
        raise ValueError("no mapping")
    return cast("Mapping[str, Any]", value)
