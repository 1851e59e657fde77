"""JSON schemas of what clients send and receive, generated from the models that check and answer requests.

Three things that pydantic cannot know are added: that a null in a body means "not given" (engine.requests.Body), what
bodies check across fields, and that sparse parts leave out what is None (engine.objects.base.Sparse).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from ..engine import objects, requests
from ..engine.events import EventName
from ..engine.objects import Wire
from ..engine.objects.base import Sparse
from ..engine.requests import Body

Json = dict[str, Any]
_REF = "#/components/schemas/{model}"
_PAYLOADS: tuple[tuple[str, type[Wire]], ...] = (
    ("thread.message.", objects.Message),
    ("thread.run.step.", objects.RunStep),
    ("thread.run.", objects.Run),
    ("thread.created", objects.Thread),
)


def name_of(kind: type[BaseModel]) -> str:
    """The schema's name: the model's, without the mark of privacy."""
    return kind.__name__.lstrip("_")


def component(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": _REF.format(model=name)}


def reference(kind: type[BaseModel]) -> Json:
    """A reference to a model's schema."""
    return component(f"{name_of(kind)}")


def _given(name: str, kind: str, **more: Any) -> Json:
    """A key that is there and not null."""
    return {"required": [name], "properties": {name: {"type": kind, **more}}}


_RULES: Mapping[type[Body], Json] = {
    requests.CreateBatch: {"oneOf": [_given("file_ids", "array"), _given("files", "array")]},
    requests.ToolResourceIds: {
        "not": _given("file_search", "object", **_given("vector_stores", "array"))
    },
    requests.FileSearchResources: {
        "not": {
            "allOf": [
                _given("vector_store_ids", "array", minItems=1),
                _given("vector_stores", "array", minItems=1),
            ]
        }
    },
    requests.ChunkingBody: {
        "if": {"properties": {"type": {"const": "static"}}},
        "then": _given("static", "object"),
        "else": {"not": _given("static", "object")},
    },
    requests.TruncationBody: {
        "if": {"properties": {"type": {"const": "last_messages"}}},
        "then": _given("last_messages", "integer"),
    },
}
"""What the bodies' own validators enforce beyond single fields."""


class _Schemas(GenerateJsonSchema):
    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        described.pop("title", None)
        for field in described.get("properties", {}).values():
            field.pop("title", None)
        kind = schema["cls"]
        if issubclass(kind, Body):
            _take_nulls(described)
            described.update(_RULES.get(kind, {}))
        elif issubclass(kind, Sparse):
            _leave_out_nulls(described)
        return described

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        if schema["type"] == "function-wrap":  # Sparse's: it drops keys and changes nothing else
            return None
        return super().ser_schema(schema)


def _take_nulls(described: JsonSchemaValue) -> None:
    required = described.get("required", ())
    for name, field in described.get("properties", {}).items():
        if name not in required and not _takes_null(field):
            default = {"default": field.pop("default")} if "default" in field else {}
            described["properties"][name] = {"anyOf": [field, {"type": "null"}], **default}


def _takes_null(field: Json) -> bool:
    return {"type": "null"} in field.get("anyOf", ())


def _leave_out_nulls(described: JsonSchemaValue) -> None:
    required = [
        name
        for name in described.get("required", ())
        if not _takes_null(described["properties"][name])
    ]
    described.pop("required", None)
    if required:
        described["required"] = required


def schemas(bodies: Iterable[type[Body]], answers: Iterable[type[Wire]]) -> Json:
    """All schemas by name: bodies as they are taken, objects as they are given, pages, the error, deltas."""
    taken = _definitions(bodies, "validation")
    given = _definitions(answers, "serialization")
    pages = {f"PageOf{name_of(kind)}": _page_of(kind) for kind in answers}
    common = given | pages | {"Error": _ERROR, "Delta": _DELTA}
    both = {name: f"{name}Body" for name in taken if name in common}
    return dict(sorted((common | _renamed(taken, both)).items()))


def _definitions(
    kinds: Iterable[type[BaseModel]], mode: Literal["validation", "serialization"]
) -> Json:
    wanted: list[tuple[type[BaseModel], Literal["validation", "serialization"]]]
    wanted = [(kind, mode) for kind in sorted(kinds, key=name_of)]
    _, document = models_json_schema(wanted, ref_template=_REF, schema_generator=_Schemas)
    return _renamed(document["$defs"], {name: name.lstrip("_") for name in document["$defs"]})


def _renamed(definitions: Json, names: Mapping[str, str]) -> Json:
    """The definitions under other names, also where they refer to each other."""
    text = json.dumps({names.get(name, name): schema for name, schema in definitions.items()})
    for old, new in names.items():
        text = text.replace(f'"{_REF.format(model=old)}"', f'"{_REF.format(model=new)}"')
    renamed: Json = json.loads(text)
    return renamed


def _page_of(kind: type[Wire]) -> Json:
    return {
        "type": "object",
        "required": ["object", "data", "first_id", "last_id", "has_more"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": reference(kind)},
            "first_id": _NULLABLE_TEXT,
            "last_id": _NULLABLE_TEXT,
            "has_more": {"type": "boolean"},
        },
    }


_NULLABLE_TEXT: Json = {"type": ["string", "null"]}
_TEXT: Json = {"type": "string"}
_ERROR: Json = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": _TEXT,
                "type": _TEXT,
                "param": _NULLABLE_TEXT,
                "code": _NULLABLE_TEXT,
            },
        }
    },
}
_DELTA: Json = {
    "description": "What was added to a message or step; entries of lists carry their index.",
    "type": "object",
    "required": ["id", "object", "delta"],
    "properties": {"id": _TEXT, "object": _TEXT, "delta": {"type": "object"}},
}


def event_stream() -> Json:
    """A stream of run events, with the payload of each."""
    payloads = {name.value: _payload(name.value) for name in EventName}
    return {
        "type": "string",
        "description": "Server-sent events, each with `id`, `event` and one line of JSON as `data`; the last is "
        "`event: done` with `data: [DONE]`. `x-events` has the payload of each.",
        "x-events": payloads,
    }


def _payload(event: str) -> Json:
    if event == EventName.DONE:
        return {"const": "[DONE]"}
    if event == EventName.ERROR:
        return component("Error")
    if event.endswith(".delta"):
        return component("Delta")
    return reference(next(kind for prefix, kind in _PAYLOADS if event.startswith(prefix)))
