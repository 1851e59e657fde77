"""What is to be done with one file of a vector store, and the rows that come of it. Pure but for reading the file."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....engine.errors import StorageFault
from ....engine.objects import StaticChunking
from ....engine.ports import Chunk, Extract, ToolFile
from ..chunking.chunking import Sizes
from ..embedding.prefix import heading_line
from .worker import Extracted, ExtractedChunk

OPENING = 2000  # code points by which a file as a whole is found
_SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class Job:
    """A file to be made searchable in a vector store.

    Attributes:
        vector_store_id: the store.
        file_id: the file.
        filename: its name, with which headings begin.
        path: where its bytes lie.
        sizes: of its chunks.
        content: SHA-256 of its bytes, in hexadecimal.
        recipe: names everything else that its chunks and vectors depend on.
    """

    vector_store_id: str
    file_id: str
    filename: str
    path: Path
    sizes: Sizes
    content: str
    recipe: str

    @property
    def key(self) -> tuple[str, str]:
        """(vector store id, file id)."""
        return self.vector_store_id, self.file_id

    def chunk_id(self, number: int) -> str:
        """The same at each add; searching reads the key from it."""
        return f"{self.vector_store_id}/{self.file_id}/{number}"

    def made(self, extract: Extract | None) -> bool:
        """Whether `extract` is what this job would make."""
        return extract is not None and (extract.content, extract.recipe) == (
            self.content,
            self.recipe,
        )

    def chunks(self, extracted: Extracted) -> list[Chunk]:
        """The rows of the file's text, still without vectors."""
        return [self._chunk(number, one) for number, one in enumerate(extracted.chunks)]

    def _chunk(self, number: int, one: ExtractedChunk) -> Chunk:
        return Chunk(
            id=self.chunk_id(number),
            vector_store_id=self.vector_store_id,
            file_id=self.file_id,
            index=number,
            text=one.text,
            start=one.start,
            end=one.end,
            page=one.page,
            heading=_SEPARATOR.join(part for part in (self.filename, one.heading) if part),
        )

    def passage(self, chunk: Chunk) -> tuple[str, str]:
        """What of a stored chunk is embedded: the heading line and the text."""
        heading = chunk.heading.removeprefix(self.filename).removeprefix(_SEPARATOR)
        return heading_line(self.filename, heading), chunk.text

    def extract(self, extracted: Extracted) -> Extract:
        """The record of the file's text; its vectors are still to come."""
        return Extract(
            vector_store_id=self.vector_store_id,
            file_id=self.file_id,
            content=self.content,
            recipe=self.recipe,
            filename=self.filename,
            text_bytes=extracted.text_bytes,
            chunks=len(extracted.chunks),
            opening=_opening(extracted.chunks),
        )


def new_job(
    vector_store_id: str, source: ToolFile, chunking: StaticChunking | None, recipe: str
) -> Job:
    """The job for a file. Reads all its bytes, so not for the event loop.

    Args:
        vector_store_id: where the file is to be found.
        source: the file.
        chunking: sizes that a client asked for; None: those that suit the embedding model.
        recipe: the worker's.

    Raises:
        StorageFault: the bytes cannot be read.
    """
    sizes = Sizes()
    if chunking is not None:
        sizes = Sizes(chunking.max_chunk_size_tokens, chunking.chunk_overlap_tokens)
    name = source.file.filename
    return Job(
        vector_store_id=vector_store_id,
        file_id=source.file.id,
        filename=name,
        path=source.path,
        sizes=sizes,
        content=_digest(source.path),
        recipe=_recipe(recipe, sizes, name),
    )


def _recipe(worker: str, sizes: Sizes, filename: str) -> str:
    """The name's ending chooses the parser; the name itself counts where it is embedded with the text."""
    form = heading_line("annual report.pdf", "Sales")
    ending = Path(filename).suffix.lower()
    return f"{worker} {sizes.tokens}/{sizes.overlap} {form} {ending} {heading_line(filename, '')}"


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StorageFault(
            f"The bytes of a file cannot be read: {error.strerror}. Check the data folder.",
            detail=str(error),
            passing=not isinstance(error, FileNotFoundError),
        ) from error


def _opening(chunks: Sequence[ExtractedChunk]) -> str:
    """The beginning of the text, no further than the first page that has any."""
    text, end = "", 0
    for one in chunks:
        if one.page != chunks[0].page or len(text) >= OPENING:
            break
        text += one.text[max(0, end - one.start) :]
        end = one.end
    return text[:OPENING]
