"""Lines of the transcript and chunks of files as rows and back; both are no objects of the API."""

import json
from dataclasses import asdict
from typing import Any

from ..engine.chat import ChatMessage
from ..engine.ports import Chunk, Citation, MadeFile, TranscriptEntry
from . import rows


def entry(
    thread_id: str, run_id: str | None, step_id: str | None, message_id: str | None, *rest: Any
) -> TranscriptEntry:
    """A line of the transcript, from the columns of its row."""
    body, evidence, seq = rest
    message = None if body is None else rows.decode_model(ChatMessage, body)
    brought: dict[str, Any] = {} if evidence is None else json.loads(evidence)
    citations = tuple(Citation(**found) for found in brought.get("citations", ()))
    files = tuple(MadeFile(**made) for made in brought.get("files", ()))
    failed = brought.get("failed") is True
    return TranscriptEntry(
        thread_id, run_id, step_id, message_id, message, citations, files, failed=failed, seq=seq
    )


def evidence(entry: TranscriptEntry) -> str | None:
    """What a line brought beside its words, as JSON; None when that is nothing."""
    if not entry.citations and not entry.files and not entry.failed:
        return None
    brought: dict[str, Any] = {
        "citations": [asdict(citation) for citation in entry.citations],
        "files": [asdict(made) for made in entry.files],
    }
    return rows.encode(brought | ({"failed": True} if entry.failed else {}))


def chunk_row(chunk: Chunk) -> dict[str, Any]:
    """The parameters of a chunk's row."""
    return {
        "id": rows.clean(chunk.id),
        "vector_store_id": rows.clean(chunk.vector_store_id),
        "file_id": rows.clean(chunk.file_id),
        "position": chunk.index,
        "heading": rows.clean_search_text(chunk.heading),
        "text": rows.clean_search_text(chunk.text),
        "start": chunk.start,
        "end": chunk.end,
        "page": chunk.page,
        "vector": chunk.vector,
    }
