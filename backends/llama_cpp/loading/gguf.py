"""Reads the header of a GGUF file: metadata, and which tensors it holds. Never a weight, and never with the library.

The library reads headers in C++ and ends the process over some that are broken; this one runs in the server's process
on files from anywhere, so it is plain Python: every count and length is checked against what the file still has, long
lists (a vocabulary) are stepped over, and whatever is wrong is a BackendFault.

It promises that the header is well formed and what size the file must have, not that the weights are any good.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ....engine.errors import BackendFault

MAGIC = b"GGUF"
_NEWEST = 3
_MOST_HEADER = 256 << 20  # bytes; a vocabulary of 256,000 tokens takes some 10 million
_MOST_KEYS = 1 << 16
_MOST_TENSORS = 1 << 20
_MOST_TEXT = 4 << 20  # bytes of one text; templates have some ten thousand
_MOST_KEPT = 4096  # numbers of a list that is kept; such as one for each layer
_WINDOW = 1 << 20
_MISSING_FROM_A_DOWNLOAD = 1 << 42  # bytes; nobody's file lacks more: its header is damaged

_FORMATS = {
    0: "<B",
    1: "<b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    10: "<Q",
    11: "<q",
    12: "<d",
}
_BOOL, _STRING, _ARRAY = 7, 8, 9

BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""Tensor type -> values in a block, bytes of a block (ggml's types)."""

Value = int | float | bool | str | tuple[int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that was stepped over: only its length is known."""

    length: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: `offset` in bytes from the beginning of the file's data, `bytes` 0 when the type is unknown."""

    name: str
    shape: tuple[int, ...]
    offset: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """What stands before the weights.

    Attributes:
        metadata: key -> value; texts and long lists as `Listed`.
        tensors: in the file's order.
        data_offset: where the tensors' data begins, in bytes.
        file_bytes: the size that the file has.
    """

    metadata: dict[str, Value | Listed]
    tensors: tuple[Tensor, ...]
    data_offset: int
    file_bytes: int

    @property
    def wanted_bytes(self) -> int:
        """The least size that a file with these tensors has."""
        ends = (tensor.offset + tensor.bytes for tensor in self.tensors)
        return self.data_offset + max(ends, default=0)

    def number(self, key: str, default: int = 0) -> int:
        """A whole number that is not negative; of a list the largest; `default` for anything else."""
        value = self.metadata.get(key)
        if isinstance(value, tuple):
            value = max((each for each in value if isinstance(each, int)), default=default)
        return value if isinstance(value, int) and value >= 0 else default

    def text(self, key: str) -> str:
        """A text; "" for anything else."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def length(self, key: str) -> int:
        """Of a list; 0 for anything else."""
        value = self.metadata.get(key)
        if isinstance(value, Listed):
            return value.length
        return len(value) if isinstance(value, tuple) else 0


def read_header(path: Path) -> Header:
    """The header of a file.

    Raises:
        BackendFault: it cannot be read, is no GGUF, is damaged, or ends too early.
    """
    try:
        with path.open("rb") as file:
            return _Reader(file, path, path.stat().st_size).header()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> BackendFault:
    """The error for a file that the system does not let us read."""
    return BackendFault(f"Cannot read the model {path.name}: {error.strerror}.", detail=str(path))


def cut_off(path: Path, missing: int, wanted: int) -> BackendFault:
    """The error for a file that lacks bytes at its end."""
    return BackendFault(
        f"{path.name} is cut off: {missing:,} of its {wanted:,} bytes are missing. Delete it and get it again: "
        "local-assistants models pull NAME, or from where it came.",
        detail=str(path),
    )


class _Reader:
    """Walks through one file, once, front to back."""

    def __init__(self, file: BinaryIO, path: Path, size: int) -> None:
        self._file = file
        self._path = path
        self._size = size
        self._end = min(size, _MOST_HEADER)
        self._window = b""
        self._at = 0  # in the window
        self._passed = 0  # bytes of the file before the window

    def header(self) -> Header:
        magic = self._take(4)
        if magic != MAGIC:
            raise self._fault("is not a GGUF file.")
        self._check_version(self._number("<I"))
        tensors = self._count(_MOST_TENSORS, "tensors")
        keys = self._count(_MOST_KEYS, "metadata keys")
        metadata: dict[str, Value | Listed] = {}
        for _ in range(keys):
            key = self._text()
            metadata[key] = self._value(self._number("<I"))
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 0 < alignment <= 1 << 16 or alignment % 8:
            raise self._damaged(f"an alignment of {alignment}")
        found = [self._tensor() for _ in range(tensors)]
        position = self._passed + self._at
        start = -(-position // alignment) * alignment
        return self._checked(Header(metadata, tuple(found), start, self._size))

    def _checked(self, header: Header) -> Header:
        missing = header.wanted_bytes - self._size
        if missing > _MISSING_FROM_A_DOWNLOAD:
            raise self._damaged("tensors beyond any file's end")
        if missing > 0 and header.tensors:
            raise cut_off(self._path, missing, header.wanted_bytes)
        return header

    def _check_version(self, version: int) -> None:
        if version & 0xFFFF == 0 and version:
            raise self._fault(
                "was written for machines of the other byte order. Get the little-endian one."
            )
        if not 2 <= version <= _NEWEST:
            raise self._fault(
                f"is a GGUF of version {version}; versions 2 to {_NEWEST} can be read. "
                "Get a newer conversion of the model, or a newer local-assistants."
            )

    def _tensor(self) -> Tensor:
        name = self._text()
        dimensions = self._number("<I")
        if dimensions > 4:
            raise self._damaged(f"a tensor of {dimensions} dimensions")
        shape = tuple(self._number("<Q") for _ in range(dimensions))
        values_in_block, block = BLOCKS.get(self._number("<I"), (1, 0))
        values = 1
        for extent in shape:
            values *= extent
        return Tensor(name, shape, self._number("<Q"), values // values_in_block * block)

    def _value(self, kind: int) -> Value | Listed:
        if kind in _FORMATS:
            number: int | float = self._unpack(_FORMATS[kind])
            return number
        if kind == _BOOL:
            return self._take(1) != b"\0"
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._list(self._number("<I"))
        raise self._damaged(f"a value of type {kind}")

    def _list(self, kind: int) -> Value | Listed:
        """A short list of numbers; anything longer, and texts, are stepped over. Lists of lists do not exist."""
        count = self._number("<Q")
        if kind == _STRING:
            self._skip_texts(count)
            return Listed(count)
        form = "<B" if kind == _BOOL else _FORMATS.get(kind)
        if form is None:
            raise self._damaged(f"a list of values of type {kind}")
        if count > _MOST_KEPT:
            self._skip(count * struct.calcsize(form))
            return Listed(count)
        return tuple(self._unpack(form) for _ in range(count))

    def _skip_texts(self, count: int) -> None:
        """Step over `count` texts: some 100,000 a second at a time in the window, for vocabularies are long."""
        self._require(count * 8)
        window, at = self._window, self._at
        for _ in range(count):
            if at + 8 > len(window):
                self._at = at
                self._fill(8)
                window, at = self._window, self._at
            at += 8 + int.from_bytes(window[at : at + 8], "little")
            if at > len(window):  # the text reaches beyond the window
                self._at = len(window)
                self._skip(at - len(window))
                window, at = self._window, self._at
        self._at = at

    def _text(self) -> str:
        length = self._number("<Q")
        if length > _MOST_TEXT:
            raise self._damaged(f"a text of {length:,} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _count(self, most: int, what: str) -> int:
        count = self._number("<Q")
        if count > most:
            raise self._damaged(f"{count:,} {what}")
        return count

    def _number(self, form: str) -> int:
        return int(self._unpack(form))

    def _unpack(self, form: str) -> int | float:
        number: int | float = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return number

    def _take(self, count: int) -> bytes:
        if self._at + count > len(self._window):
            self._fill(count)
        taken = self._window[self._at : self._at + count]
        self._at += count
        return taken

    def _fill(self, count: int) -> None:
        """Have at least `count` bytes in the window from the current position on."""
        self._require(count)
        rest = self._window[self._at :]
        self._passed += self._at
        more = self._file.read(max(_WINDOW, count) - len(rest))
        self._window, self._at = rest + more, 0
        if len(self._window) < count:
            raise self._ends_early()  # it became shorter while it was read

    def _skip(self, count: int) -> None:
        left = len(self._window) - self._at
        if count <= left:
            self._at += count
            return
        self._require(count)
        self._passed += self._at + count
        self._window, self._at = b"", 0
        self._file.seek(self._passed)

    def _require(self, count: int) -> None:
        if self._passed + self._at + count <= self._end:
            return
        if self._end < self._size:
            raise self._damaged(f"a header of more than {_MOST_HEADER >> 20} MiB")
        raise self._ends_early()

    def _ends_early(self) -> BackendFault:
        return self._fault(
            f"is cut off: it ends after {self._size:,} bytes, in the middle of its header. Delete it "
            "and get it again: local-assistants models pull NAME, or from where it came."
        )

    def _damaged(self, what: str) -> BackendFault:
        return self._fault(f"is damaged: its header speaks of {what}. Delete it and get it again.")

    def _fault(self, what: str) -> BackendFault:
        return BackendFault(f"{self._path.name} {what}", detail=str(self._path))
