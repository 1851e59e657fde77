"""Small valid objects for the tests of a store."""

from typing import Any

from local_assistants.engine import objects
from local_assistants.engine.ports import Chunk
from local_assistants.engine.states import (
    BatchStatus,
    MessageStatus,
    RunStatus,
    StepStatus,
    StoreFileStatus,
    StoreStatus,
    UploadStatus,
)


def thread(number: int = 1, **fields: Any) -> objects.Thread:
    """A thread `thread_<number>`."""
    return objects.Thread(id=f"thread_{number}", created_at=100, **fields)


def assistant(number: int = 1, **fields: Any) -> objects.Assistant:
    """An assistant `asst_<number>`."""
    return objects.Assistant(id=f"asst_{number}", created_at=100, model="m", **fields)


def message(number: int = 1, **fields: Any) -> objects.Message:
    """A user message `msg_<number>` of thread_1."""
    known: dict[str, Any] = {
        "id": f"msg_{number}",
        "created_at": 100,
        "thread_id": "thread_1",
        "status": MessageStatus.COMPLETED,
        "role": "user",
    }
    return objects.Message(**known | fields)


def run(number: int = 1, **fields: Any) -> objects.Run:
    """A queued run `run_<number>` of `thread_<number>`."""
    known: dict[str, Any] = {
        "id": f"run_{number}",
        "created_at": 100,
        "assistant_id": "asst_1",
        "thread_id": f"thread_{number}",
        "status": RunStatus.QUEUED,
        "model": "m",
    }
    return objects.Run(**known | fields)


def step(number: int = 1, **fields: Any) -> objects.RunStep:
    """A step `step_<number>` of run_1."""
    known: dict[str, Any] = {
        "id": f"step_{number}",
        "created_at": 100,
        "run_id": "run_1",
        "assistant_id": "asst_1",
        "thread_id": "thread_1",
        "type": "tool_calls",
        "status": StepStatus.IN_PROGRESS,
        "step_details": objects.ToolCallsDetails(),
    }
    return objects.RunStep(**known | fields)


def file(number: int = 1, **fields: Any) -> objects.File:
    """A file `file-<number>`."""
    known: dict[str, Any] = {"purpose": "assistants", "filename": "a.txt", "bytes": 3}
    return objects.File(id=f"file-{number}", created_at=100, **known | fields)


def upload(number: int = 1, **fields: Any) -> objects.UploadRecord:
    """A pending upload `upload_<number>`."""
    known: dict[str, Any] = {"status": UploadStatus.PENDING, "expires_at": 3700, "bytes": 3}
    known |= {"purpose": "assistants", "filename": "a.txt", "mime_type": "text/plain"}
    return objects.UploadRecord(id=f"upload_{number}", created_at=100, **known | fields)


def part(number: int = 1, **fields: Any) -> objects.UploadPartRecord:
    """A part `part_<number>` of upload_1."""
    known: dict[str, Any] = {"upload_id": "upload_1", "size": 3}
    return objects.UploadPartRecord(id=f"part_{number}", created_at=100, **known | fields)


def vector_store(number: int = 1, **fields: Any) -> objects.VectorStore:
    """A vector store `vs_<number>`."""
    known: dict[str, Any] = {"status": StoreStatus.COMPLETED}
    return objects.VectorStore(id=f"vs_{number}", created_at=100, **known | fields)


def store_file(number: int = 1, **fields: Any) -> objects.VectorStoreFile:
    """`file-<number>` in vs_1."""
    known: dict[str, Any] = {
        "id": f"file-{number}",
        "created_at": 100,
        "vector_store_id": "vs_1",
        "status": StoreFileStatus.IN_PROGRESS,
    }
    return objects.VectorStoreFile(**known | fields)


def batch(number: int = 1, **fields: Any) -> objects.FileBatch:
    """A batch `vsfb_<number>` of vs_1."""
    known: dict[str, Any] = {"vector_store_id": "vs_1", "status": BatchStatus.IN_PROGRESS}
    return objects.FileBatch(id=f"vsfb_{number}", created_at=100, **known | fields)


def chunk(number: int, text: str, **fields: Any) -> Chunk:
    """A chunk `chunk_<number>` of file-1 in vs_1."""
    known: dict[str, Any] = {
        "id": f"chunk_{number}",
        "vector_store_id": "vs_1",
        "file_id": "file-1",
        "index": number,
        "text": text,
        "start": 0,
        "end": len(text),
    }
    return Chunk(**known | fields)
