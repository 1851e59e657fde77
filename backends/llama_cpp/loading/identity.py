"""Which model a file is, told in milliseconds: states and measurements are kept under this name.

The name covers the whole header, the size and many small samples of the weights, not every byte: two files that differ
in a single weight may share it. It does not depend on where the file lies or when it was written.
"""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from .gguf import unreadable

_HEAD = 8 << 20  # bytes; the metadata of a model with 150,000 tokens takes about six million
_SAMPLES = 256  # over the rest of the file, so that every tensor of some size is touched
_SAMPLE = 16 << 10  # bytes
_SPLIT = re.compile(r"(.*)-00001-of-(\d{5})\.gguf")


def model_identity(path: Path | str) -> str:
    """A name for the model in a GGUF: 32 hexadecimal digits. All parts of a split model count.

    Raises:
        BackendFault: a file cannot be read.
    """
    try:
        stats = [(part, part.stat()) for part in _parts(Path(path))]
        return _identity(tuple((part, each.st_size, each.st_mtime_ns) for part, each in stats))
    except OSError as error:
        raise unreadable(Path(path), error) from error


def _parts(path: Path) -> list[Path]:
    found = _SPLIT.fullmatch(path.name)
    if found is None:
        return [path]
    stem, count = found.groups()
    names = (f"{stem}-{number:05}-of-{count}.gguf" for number in range(1, int(count) + 1))
    return [path.with_name(name) for name in names]


@lru_cache(maxsize=64)
def _identity(parts: tuple[tuple[Path, int, int], ...]) -> str:
    """The name of files as they were at a time; that the time is an argument keeps a changed file from an old name."""
    digest = hashlib.blake2b(digest_size=16)
    for path, size, _time in parts:
        digest.update(size.to_bytes(8, "little"))
        with path.open("rb") as file:
            for start, length in _stretches(size):
                digest.update(_read(file, start, length))
    return digest.hexdigest()


def _stretches(size: int) -> list[tuple[int, int]]:
    """Where to read, as (start, length)."""
    if size <= _HEAD + _SAMPLES * _SAMPLE:
        return [(0, size)]
    step = (size - _HEAD - _SAMPLE) // (_SAMPLES - 1)
    return [(0, _HEAD), *((_HEAD + number * step, _SAMPLE) for number in range(_SAMPLES))]


def _read(file: BinaryIO, start: int, length: int) -> bytes:
    file.seek(start)
    return file.read(length)
