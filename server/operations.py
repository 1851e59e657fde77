"""What each route takes and gives, by the route's name: the part of the OpenAPI description that no route states.

A route without an entry here, and an entry without a route, fail a test. Knows no route and no request.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..engine import objects, requests
from ..engine.feed import Until
from ..engine.objects import Wire
from ..engine.requests import Body
from ..engine.requests.uploads import PURPOSES
from ..engine.services import BusyPolicy, ExportFormat
from .patience import POLICY_HEADER, WAIT_HEADER
from .reading import FILE_STATUSES, STEP_CONTENT

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, as OpenAPI writes it."""

    written: Schema


@dataclass(frozen=True, slots=True)
class Form:
    """A multipart form."""

    schema: Schema


@dataclass(frozen=True, slots=True)
class PageOf:
    """A page of a list."""

    of: type[Wire]


Answer = type[Wire] | PageOf | Schema


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route takes and gives.

    Attributes:
        answer: the 200; None: nothing is said of its body.
        body: what it reads; None: no body is read.
        parameters: in the query and in headers; those of the path come from it.
        media_type: of the answer.
        stream: whether `stream: true` makes the answer a stream of events.
        polled: whether the answer says when to poll again.
        open: whether it is served without a key, too.
    """

    answer: Answer | None = None
    body: type[Body] | Form | None = None
    parameters: tuple[Parameter, ...] = ()
    media_type: str = "application/json"
    stream: bool = False
    polled: bool = False
    open: bool = False


def _query(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter({"name": name, "in": "query", "description": description, "schema": schema})


def _header(name: str, description: str, **schema: Any) -> Parameter:
    return Parameter({"name": name, "in": "header", "description": description, "schema": schema})


def _limit(highest: int, default: int) -> Parameter:
    bounds = {"minimum": 1, "maximum": highest, "default": default}
    return _query("limit", "How many at most.", type="integer", **bounds)


ORDER = _query("order", "By time of creation.", type="string", enum=["asc", "desc"], default="desc")
AFTER = _query("after", "Id: what follows it in this order.", type="string")
BEFORE = _query("before", "Id: what stands immediately before it in this order.", type="string")
PAGE = (_limit(100, 20), ORDER, AFTER, BEFORE)
FILES_PAGE = (_limit(10_000, 10_000), ORDER, AFTER)
FILTER = _query("filter", "Only files in this status.", type="string", enum=list(FILE_STATUSES))
RUN_ID = _query("run_id", "Only messages of this run.", type="string")
EXCLUDE = _query("exclude", "A part that may be missing.", type="array", items={"type": "string"})
PURPOSE = _query("purpose", "Only files of this purpose.", type="string")
INCLUDE = _query(
    "include[]",
    "Show the text of search results.",
    type="array",
    items={"type": "string", "const": STEP_CONTENT},
)

POSITION = (
    _query("after", "Number of the last event seen.", type="integer", minimum=0, default=0),
    _header("Last-Event-ID", "The same; it wins.", type="integer", minimum=0),
    _query("until", "Follow to the next pause or to the end.", type="string", enum=list(Until)),
    INCLUDE,
)
THREAD_FILTERS = (
    Parameter(
        {
            "name": "metadata",
            "in": "query",
            "description": "Only threads with these pairs: `metadata[user]=ann`.",
            "style": "deepObject",
            "explode": True,
            "schema": {"type": "object", "additionalProperties": {"type": "string"}},
        }
    ),
    _query("created_from", "Only from this second on.", type="integer", minimum=0),
    _query("created_before", "Only before this second.", type="integer", minimum=0),
)
EXPORT_FORMAT = _query("format", "How it is laid out.", type="string", enum=list(ExportFormat))
PERIOD = (
    _query("since", "From this second on.", type="integer", minimum=0, default=0),
    _query("until", "Up to this second; now if it is not given.", type="integer", minimum=0),
)
STRETCH = tuple(
    Parameter(
        {
            "name": name,
            "in": "query",
            "required": True,
            "description": f"Where the stretch {verb}, in characters of the file's text.",
            "schema": {"type": "integer", "minimum": 0},
        }
    )
    for name, verb in (("start", "begins"), ("end", "ends"))
)
PATIENCE = (
    _header(POLICY_HEADER, "What to do at a busy thread.", type="string", enum=list(BusyPolicy)),
    _header(WAIT_HEADER, "Seconds to wait at most.", type="number", minimum=0),
)

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
BYTES: Schema = {"type": "string", "format": "binary"}
EXPIRES_AFTER: Schema = {
    "expires_after[anchor]": {"const": "created_at"},
    "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
}
FILE_FORM = Form(
    {
        "type": "object",
        "required": ["file", "purpose"],
        "properties": {
            "file": {**BYTES, "description": "With a file name; the first 512 MB are the limit."},
            "purpose": {"type": "string", "enum": list(PURPOSES)},
            **EXPIRES_AFTER,
        },
    }
)


PART_FORM = Form({"type": "object", "required": ["data"], "properties": {"data": BYTES}})


def _object(properties: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "required": list(properties), "properties": dict(properties)}


DELETED = _object({"id": TEXT, "object": TEXT, "deleted": {"const": True}})
TEXTS: Schema = {"type": "array", "items": _object({"type": {"const": "text"}, "text": TEXT})}
FOUND = _object(
    {
        "object": {"const": "vector_store.search_results.page"},
        "search_query": {"type": "array", "items": TEXT},
        "data": {
            "type": "array",
            "items": _object(
                {
                    "file_id": TEXT,
                    "filename": TEXT,
                    "score": {"type": "number"},
                    "attributes": {"type": "object"},
                    "content": TEXTS,
                }
            ),
        },
        "has_more": {"type": "boolean"},
        "next_page": {"type": "null"},
    }
)
FILE_TEXT = _object(
    {
        "object": {"const": "vector_store.file_content.page"},
        "data": TEXTS,
        "has_more": {"type": "boolean"},
        "next_page": {"type": "null"},
    }
)
MODELS = _object(
    {
        "object": {"const": "list"},
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
    }
)
READY: Schema = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["ok", "ready", "not ready"]},
        "reasons": {"type": "object", "additionalProperties": TEXT},
        "loading": {"type": "object", "additionalProperties": SHARE},
    },
}
MODEL_STATES = _object(
    {
        "object": {"const": "list"},
        "data": {
            "type": "array",
            "items": _object(
                {
                    "name": TEXT,
                    "state": {"enum": ["unloaded", "loading", "ready", "failed"]},
                    "progress": SHARE,
                    "bytes": {"type": "integer", "minimum": 0},
                    "detail": TEXT,
                }
            ),
        },
    }
)
RUN_PROMPT = _object(
    {
        "object": {"const": "thread.run.prompt"},
        "thread_id": TEXT,
        "run_id": TEXT,
        "model": TEXT,
        "tools": {
            "type": "array",
            "items": _object({"name": TEXT, "description": TEXT, "parameters": {"type": "object"}}),
        },
        "messages": {
            "type": "array",
            "items": {"type": "object", "properties": {"role": TEXT}, "required": ["role"]},
        },
    }
)
PASSAGE = _object(
    {
        "object": {"const": "vector_store.file.passage"},
        "vector_store_id": TEXT,
        "file_id": TEXT,
        "filename": {"type": ["string", "null"]},
        "page": {"type": ["integer", "null"], "minimum": 1},
        "text": TEXT,
        **dict.fromkeys(("text_start", "start", "end"), COUNT),
        "quote": TEXT,
    }
)
CITATIONS = _object(
    {
        "object": {"const": "list"},
        "data": {
            "type": "array",
            "items": _object(
                {
                    **dict.fromkeys(("index", "start_index", "end_index"), COUNT),
                    "text": TEXT,
                    "passage": {"anyOf": [PASSAGE, {"type": "null"}]},
                }
            ),
        },
    }
)
GB_DAYS: Schema = {"type": "number", "minimum": 0}
STORAGE_USE = _object(
    {
        "object": {"const": "vector_store.usage"},
        "since": COUNT,
        "until": COUNT,
        "gb_days": GB_DAYS,
        "vector_stores": {
            "type": "array",
            "items": _object({"vector_store_id": TEXT, "gb_days": GB_DAYS}),
        },
    }
)
PROGRESS = _object(
    {
        "object": {"const": "vector_store.progress"},
        "vector_store_id": TEXT,
        "status": {"enum": ["in_progress", "completed", "expired"]},
        "file_counts": {"$ref": "#/components/schemas/FileCounts"},
        "files": {
            "type": "array",
            "items": _object(
                {
                    "file_id": TEXT,
                    "filename": {"type": ["string", "null"]},
                    "stage": {"enum": ["reading", "embedding"]},
                    "chunks": {"type": ["integer", "null"], "minimum": 0},
                    "chunks_embedded": COUNT,
                    "setback": {
                        "anyOf": [_object({"reason": TEXT, "attempts": COUNT}), {"type": "null"}]
                    },
                }
            ),
        },
        "has_more": {"type": "boolean"},
    }
)

_ASSISTANTS = {
    "list_assistants": Operation(PageOf(objects.Assistant), parameters=PAGE),
    "create_assistant": Operation(objects.Assistant, requests.CreateAssistant),
    "get_assistant": Operation(objects.Assistant),
    "modify_assistant": Operation(objects.Assistant, requests.ModifyAssistant),
    "delete_assistant": Operation(DELETED),
}
_THREADS = {
    "create_thread": Operation(objects.Thread, requests.CreateThread),
    "create_thread_and_run": Operation(objects.Run, requests.CreateThreadAndRun, stream=True),
    "get_thread": Operation(objects.Thread),
    "modify_thread": Operation(objects.Thread, requests.ModifyThread),
    "delete_thread": Operation(DELETED),
    "list_messages": Operation(PageOf(objects.Message), parameters=(*PAGE, RUN_ID)),
    "create_message": Operation(objects.Message, requests.CreateMessage, PATIENCE),
    "get_message": Operation(objects.Message),
    "modify_message": Operation(objects.Message, requests.ModifyMetadata),
    "delete_message": Operation(DELETED),
}
_RUNS = {
    "list_runs": Operation(PageOf(objects.Run), parameters=PAGE),
    "create_run": Operation(objects.Run, requests.CreateRun, (INCLUDE, *PATIENCE), stream=True),
    "get_run": Operation(objects.Run, polled=True),
    "modify_run": Operation(objects.Run, requests.ModifyMetadata),
    "cancel_run": Operation(objects.Run),
    "submit_tool_outputs": Operation(objects.Run, requests.SubmitOutputs, (INCLUDE,), stream=True),
    "follow_run": Operation(parameters=POSITION, stream=True),
    "list_steps": Operation(PageOf(objects.RunStep), parameters=(*PAGE, INCLUDE)),
    "get_step": Operation(objects.RunStep, parameters=(INCLUDE,)),
}
_FILES = {
    "list_files": Operation(PageOf(objects.File), parameters=(*FILES_PAGE, PURPOSE)),
    "create_file": Operation(objects.File, FILE_FORM),
    "get_file": Operation(objects.File),
    "delete_file": Operation(DELETED),
    "get_file_content": Operation(BYTES, media_type="application/octet-stream"),
}
_UPLOADS = {
    "create_upload": Operation(objects.Upload, requests.CreateUpload),
    "add_upload_part": Operation(objects.UploadPart, PART_FORM),
    "complete_upload": Operation(objects.Upload, requests.CompleteUpload),
    "cancel_upload": Operation(objects.Upload),
}
_STORES = {
    "list_vector_stores": Operation(PageOf(objects.VectorStore), parameters=PAGE),
    "create_vector_store": Operation(objects.VectorStore, requests.CreateVectorStore),
    "get_vector_store": Operation(objects.VectorStore),
    "modify_vector_store": Operation(objects.VectorStore, requests.ModifyVectorStore),
    "delete_vector_store": Operation(DELETED),
    "search_vector_store": Operation(FOUND, requests.SearchStore),
    "list_store_files": Operation(PageOf(objects.VectorStoreFile), parameters=(*PAGE, FILTER)),
    "add_store_file": Operation(objects.VectorStoreFile, requests.CreateStoreFile),
    "get_store_file": Operation(objects.VectorStoreFile, polled=True),
    "modify_store_file": Operation(objects.VectorStoreFile, requests.ModifyStoreFile),
    "remove_store_file": Operation(DELETED),
    "get_store_file_content": Operation(FILE_TEXT),
    "create_batch": Operation(objects.FileBatch, requests.CreateBatch),
    "get_batch": Operation(objects.FileBatch, polled=True),
    "cancel_batch": Operation(objects.FileBatch),
    "list_batch_files": Operation(PageOf(objects.VectorStoreFile), parameters=(*PAGE, FILTER)),
}
_LOCAL = {
    "list_threads": Operation(PageOf(objects.ThreadSummary), parameters=(*PAGE, *THREAD_FILTERS)),
    "export_thread": Operation(BYTES, parameters=(EXPORT_FORMAT,), media_type="application/jsonl"),
    "get_run_prompt": Operation(RUN_PROMPT),
    "list_model_states": Operation(MODEL_STATES),
    "get_indexing_progress": Operation(PROGRESS),
    "get_storage_use": Operation(STORAGE_USE, parameters=PERIOD),
    "get_passage": Operation(PASSAGE, parameters=STRETCH),
    "list_citations": Operation(CITATIONS),
}
_REST = {
    "list_models": Operation(MODELS),
    "get_model": Operation(objects.Model),
    "delete_model": Operation(DELETED),
    "healthz": Operation(READY, open=True),
    "readyz": Operation(READY, parameters=(EXCLUDE,), open=True),
    "metrics": Operation(TEXT, media_type="text/plain"),
}

OPERATIONS: Mapping[str, Operation] = {
    **_ASSISTANTS,
    **_THREADS,
    **_RUNS,
    **_FILES,
    **_UPLOADS,
    **_STORES,
    **_LOCAL,
    **_REST,
}
"""By the route's name, which is its function's."""
