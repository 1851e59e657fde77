"""The 51 operations of the API, as a client sees them: method, path, type of the answer.

Standard library only, because it is read in every client's environment and by the page that shows the results. Types
are names inside the openai package; "list of T" is the list envelope around T.
"""

import re
from dataclasses import dataclass

_THREAD = "/threads/{thread}"
_RUN = f"{_THREAD}/runs/{{run}}"
_STORE = "/vector_stores/{store}"
_MESSAGE_TYPE = "types.beta.threads.Message"
_RUN_TYPE = "types.beta.threads.Run"
_STEP_TYPE = "types.beta.threads.runs.RunStep"
_STORE_FILE_TYPE = "types.vector_stores.VectorStoreFile"
_BATCH_TYPE = "types.vector_stores.VectorStoreFileBatch"

LIST = "list of "
BYTES = "bytes"

_TABLE = (
    ("GET", "/assistants", LIST + "types.beta.Assistant"),
    ("POST", "/assistants", "types.beta.Assistant"),
    ("GET", "/assistants/{assistant}", "types.beta.Assistant"),
    ("POST", "/assistants/{assistant}", "types.beta.Assistant"),
    ("DELETE", "/assistants/{assistant}", "types.beta.AssistantDeleted"),
    ("POST", "/threads", "types.beta.Thread"),
    ("GET", _THREAD, "types.beta.Thread"),
    ("POST", _THREAD, "types.beta.Thread"),
    ("DELETE", _THREAD, "types.beta.ThreadDeleted"),
    ("POST", "/threads/runs", _RUN_TYPE),
    ("GET", f"{_THREAD}/messages", LIST + _MESSAGE_TYPE),
    ("POST", f"{_THREAD}/messages", _MESSAGE_TYPE),
    ("GET", f"{_THREAD}/messages/{{message}}", _MESSAGE_TYPE),
    ("POST", f"{_THREAD}/messages/{{message}}", _MESSAGE_TYPE),
    ("DELETE", f"{_THREAD}/messages/{{message}}", "types.beta.threads.MessageDeleted"),
    ("GET", f"{_THREAD}/runs", LIST + _RUN_TYPE),
    ("POST", f"{_THREAD}/runs", _RUN_TYPE),
    ("GET", _RUN, _RUN_TYPE),
    ("POST", _RUN, _RUN_TYPE),
    ("POST", f"{_RUN}/cancel", _RUN_TYPE),
    ("POST", f"{_RUN}/submit_tool_outputs", _RUN_TYPE),
    ("GET", f"{_RUN}/steps", LIST + _STEP_TYPE),
    ("GET", f"{_RUN}/steps/{{step}}", _STEP_TYPE),
    ("GET", "/vector_stores", LIST + "types.VectorStore"),
    ("POST", "/vector_stores", "types.VectorStore"),
    ("GET", _STORE, "types.VectorStore"),
    ("POST", _STORE, "types.VectorStore"),
    ("DELETE", _STORE, "types.VectorStoreDeleted"),
    ("POST", f"{_STORE}/search", LIST + "types.VectorStoreSearchResponse"),
    ("GET", f"{_STORE}/files", LIST + _STORE_FILE_TYPE),
    ("POST", f"{_STORE}/files", _STORE_FILE_TYPE),
    ("GET", f"{_STORE}/files/{{file}}", _STORE_FILE_TYPE),
    ("POST", f"{_STORE}/files/{{file}}", _STORE_FILE_TYPE),
    ("DELETE", f"{_STORE}/files/{{file}}", "types.vector_stores.VectorStoreFileDeleted"),
    ("GET", f"{_STORE}/files/{{file}}/content", LIST + "types.vector_stores.FileContentResponse"),
    ("POST", f"{_STORE}/file_batches", _BATCH_TYPE),
    ("GET", f"{_STORE}/file_batches/{{batch}}", _BATCH_TYPE),
    ("POST", f"{_STORE}/file_batches/{{batch}}/cancel", _BATCH_TYPE),
    ("GET", f"{_STORE}/file_batches/{{batch}}/files", LIST + _STORE_FILE_TYPE),
    ("GET", "/files", LIST + "types.FileObject"),
    ("POST", "/files", "types.FileObject"),
    ("GET", "/files/{file}", "types.FileObject"),
    ("DELETE", "/files/{file}", "types.FileDeleted"),
    ("GET", "/files/{file}/content", BYTES),
    ("POST", "/uploads", "types.Upload"),
    ("POST", "/uploads/{upload}/parts", "types.uploads.UploadPart"),
    ("POST", "/uploads/{upload}/complete", "types.Upload"),
    ("POST", "/uploads/{upload}/cancel", "types.Upload"),
    ("GET", "/models", LIST + "types.Model"),
    ("GET", "/models/{model}", "types.Model"),
    ("DELETE", "/models/{model}", "types.ModelDeleted"),
)
_PREFIX = re.compile(r"/(?:v1|openai/v1|openai/deployments/[^/]+|openai|api/projects/[^/]+)(?=/)")


@dataclass(frozen=True)
class Operation:
    """One of the 51, numbered as in the API's own order."""

    number: int
    method: str
    path: str
    answer: str

    @property
    def name(self) -> str:
        """As it is shown and reported."""
        return f"{self.method} {self.path}"

    def matches(self, path: str) -> bool:
        """Whether a path without prefix belongs to it."""
        return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.path), path) is not None


OPERATIONS = tuple(Operation(number, *row) for number, row in enumerate(_TABLE, 1))

# The envelope's keys beside `data`, where it is not the usual one.
USUAL_ENVELOPE = frozenset({"object", "first_id", "last_id", "has_more"})
OTHER_ENVELOPES = {
    "GET /models": frozenset({"object"}),
    "POST /vector_stores/{store}/search": frozenset(
        {"object", "search_query", "has_more", "next_page"}
    ),
    "GET /vector_stores/{store}/files/{file}/content": frozenset(
        {"object", "has_more", "next_page"}
    ),
}

# Every served model is a base model, and only fine-tuned ones can be deleted.
ALWAYS_REFUSED = {"DELETE /models/{model}": 403}


def operation_of(method: str, path: str) -> Operation | None:
    """The operation that a request asks for; None when it is none of the API's.

    A fixed word wins over a name: `/threads/runs` is no thread.
    """
    bare = _PREFIX.sub("", path, count=1)
    found = [op for op in OPERATIONS if op.method == method and op.matches(bare)]
    return min(found, key=lambda op: op.path.count("{"), default=None)
