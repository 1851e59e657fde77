"""Conversations' evaluated tokens in files: one each, read back only when every byte is as it was written.

The library trusts a state that it is given and may end the process over a wrong one. So a file says for which model,
settings and version it was made, and its head and its payload have a checksum each. Files hold what people said and
can be read by their owner only.

Layout: magic, version, sizes (`_PREFIX`), SHA-256 of that and the head, head (JSON, then packed ids of the
conversation and of its answers), payload. SHA-256, because processors have instructions for it (docs/decisions).
"""

import contextlib
import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path
from typing import Any

from .answers import Answers
from .token_ids import BYTES

SUFFIX = ".state"
_MAGIC = b"LAkv"
_VERSION = 1
_PREFIX = struct.Struct("<4sHxxIQ")  # magic, version, bytes of the head, bytes of the payload
_SUM = hashlib.sha256().digest_size
_LONGEST_HEAD = 64 << 20  # bytes
_CHUNK = 8 << 20  # bytes written at once

Stamp = Mapping[str, str]
"""What a payload depends on besides its tokens: it fits only where all of this is the same."""


class Unusable(Exception):
    """A file that cannot be used, and why. Never leaves this room."""


@dataclass(frozen=True, slots=True)
class State:
    """What is kept of a conversation: its tokens (packed), the tokens of its answers, keys and values."""

    name: str
    ids: bytes
    answers: Answers
    data: bytearray

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        answers = sum(len(digest) + len(ids) for digest, ids in self.answers.items())
        return len(self.ids) + len(self.data) + answers


@dataclass(frozen=True, slots=True)
class Head:
    """What a file says of itself. `size`: bytes of the whole file; `payload`: of its keys and values."""

    name: str
    ids: bytes
    answers: Answers
    size: int
    payload: int
    checksum: str


def name_of(session: str) -> str:
    """What files of a conversation are called; says nothing of the conversation itself."""
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def encode_head(state: State, stamp: Stamp) -> bytes:
    """Everything that comes before the payload."""
    about: dict[str, Any] = {
        "stamp": dict(stamp),
        "name": state.name,
        "tokens": len(state.ids) // BYTES,
        "answers": [[key.hex(), len(ids) // BYTES] for key, ids in state.answers.items()],
        "payload": hashlib.sha256(state.data).hexdigest(),
    }
    head = json.dumps(about).encode() + b"\n" + state.ids + b"".join(state.answers.values())
    prefix = _PREFIX.pack(_MAGIC, _VERSION, len(head), len(state.data))
    return prefix + hashlib.sha256(prefix + head).digest() + head


def write(path: Path, head: bytes, data: bytearray, *, wanted: Callable[[], bool]) -> bool:
    """Write a file beside its place; False when it was not `wanted` any more. Asked often, so that it ends early.

    It is not flushed to the disk: a power failure may damage it, which the checksums show.

    Raises:
        OSError: the disk would not take it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "wb", buffering=0) as file:
        for content in (memoryview(head), memoryview(data)):
            for at in range(0, len(content), _CHUNK):
                if not wanted():
                    return False
                _write_all(file, content[at : at + _CHUNK])
    return True


def _write_all(file: FileIO, content: memoryview) -> None:
    while content:
        content = content[file.write(content) :]


def read_head(path: Path, stamp: Stamp) -> Head:
    """What a file says of itself; its payload is not read.

    Raises:
        Unusable: it is damaged, or made for something else.
    """
    with _opened(path) as file:
        return _head(file, stamp)


def read_state(path: Path, stamp: Stamp) -> State:
    """A whole file.

    Raises:
        Unusable: it is damaged, or made for something else.
    """
    with _opened(path) as file:
        head = _head(file, stamp)
        data = bytearray(head.payload)
        whole = file.readinto(data) == len(data)
        if not whole or hashlib.sha256(data).hexdigest() != head.checksum:
            raise Unusable("its content is damaged")
        return State(head.name, head.ids, head.answers, data)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BufferedReader]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise Unusable(f"it cannot be read ({error.strerror})") from error


def _head(file: BufferedReader, stamp: Stamp) -> Head:
    prefix = file.read(_PREFIX.size)
    if len(prefix) < _PREFIX.size:
        raise Unusable("it is cut short")
    magic, version, length, payload = _PREFIX.unpack(prefix)
    if magic != _MAGIC or version != _VERSION:
        raise Unusable("it is of another version")
    size = os.fstat(file.fileno()).st_size
    if length > _LONGEST_HEAD or size != _PREFIX.size + _SUM + length + payload:
        raise Unusable("it has not the size that it should have")
    checksum, head = file.read(_SUM), file.read(length)
    if hashlib.sha256(prefix + head).digest() != checksum:
        raise Unusable("its head is damaged")
    return _parsed(head, stamp, size, payload)


def _parsed(head: bytes, stamp: Stamp, size: int, payload: int) -> Head:
    """The head, whose checksum holds: what is wrong with it now was written so."""
    try:
        text, _, packed = head.partition(b"\n")
        about: dict[str, Any] = json.loads(text)
        if about["stamp"] != dict(stamp):
            raise Unusable("it was made for another model, version or setting")
        at = int(about["tokens"]) * BYTES
        ids, answers = packed[:at], dict[bytes, bytes]()
        for key, count in about["answers"]:
            end = at + int(count) * BYTES
            answers[bytes.fromhex(key)] = packed[at:end]
            at = end
        return Head(str(about["name"]), ids, answers, size, payload, str(about["payload"]))
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable("its head makes no sense") from error
