"""Our own OpenAPI 3.1 description, made from the routes and from the models that check and answer requests.

Routes read raw requests themselves, so what each takes and gives stands in `operations`; paths, names and summaries
come from the routes. Constraints are those of the pydantic models, so nothing is promised that is not enforced. Knows
no request.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute

from ..engine.requests import Body, CreateBatch
from .operations import OPERATIONS, Answer, Form, Operation, PageOf
from .reading import ID_PREFIXES
from .schemas import component, event_stream, name_of, reference, schemas

Json = dict[str, Any]
_DESCRIPTION = """\
The Assistants API v2, served from this machine. Every path below `/v1` is also served below `/openai`, `/openai/v1`,
`/openai/deployments/{name}`, `/api/projects/{name}` and at the root (without `/v1`), with any `api-version` or none.

Updates are POSTs, successes are 200 with JSON, every mistake is the error envelope. In bodies an explicit null means
"not given"; where a field can be cleared, modify calls read it as "clear".
"""
_POLL = "openai-poll-after-ms"
_EVERY_ANSWER = ("x-request-id", "openai-processing-ms", "openai-version")


def routes_of(routers: Iterable[APIRouter]) -> list[APIRoute]:
    """The routes that belong into the description, in order."""
    routes = [route for router in routers for route in router.routes]
    return [each for each in routes if isinstance(each, APIRoute) and each.include_in_schema]


def describe(routers: Iterable[APIRouter], version: str) -> Json:
    """The document for these routers."""
    routes = routes_of(routers)
    paths: dict[str, Json] = {}
    for route in routes:
        operation = OPERATIONS.get(route.name, Operation())
        for method in sorted(route.methods or ()):
            path = paths.setdefault(route.path.replace(":path}", "}"), {})
            path[method.lower()] = _operation(route, operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "local-assistants",
            "version": version,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "this server"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(str(r.tags[0]) for r in routes if r.tags)],
        "security": [{}, {"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": _components(),
    }


# --- one operation ---------------------------------------------------------------------------------


def _operation(route: APIRoute, operation: Operation) -> Json:
    summary, _, rest = (route.endpoint.__doc__ or "").strip().partition("\n")
    described: Json = {
        "operationId": route.name,
        "summary": summary,
        "tags": list(route.tags),
        "parameters": [
            *(_path_parameter(name) for name in route.param_convertors),
            *(dict(each.written) for each in operation.parameters),
        ],
        "responses": {
            "200": _answer(operation),
            "default": {"$ref": "#/components/responses/Error"},
        },
    }
    if rest.strip():
        described["description"] = rest.strip()
    if operation.body is not None:
        described["requestBody"] = _request_body(operation.body)
    if operation.open:
        described["security"] = []
    return described


def _path_parameter(name: str) -> Json:
    prefix = ID_PREFIXES.get(name)
    schema: Json = {"type": "string", "minLength": 1}
    if prefix is not None:
        schema["pattern"] = f"^{prefix}"
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _request_body(body: type[Body] | Form) -> Json:
    if isinstance(body, Form):
        return {"required": True, "content": {"multipart/form-data": {"schema": dict(body.schema)}}}
    needed = body is CreateBatch or any(f.is_required() for f in body.model_fields.values())
    return {"required": needed, "content": {"application/json": {"schema": reference(body)}}}


def _answer(operation: Operation) -> Json:
    content: Json = {}
    if operation.answer is not None:
        content[operation.media_type] = {"schema": _answer_schema(operation.answer)}
    if operation.stream:
        content["text/event-stream"] = {"schema": event_stream()}
    names = (*_EVERY_ANSWER, _POLL) if operation.polled else _EVERY_ANSWER
    return {"description": "It was done.", "headers": _headers(names), "content": content}


def _answer_schema(answer: Answer) -> Json:
    if isinstance(answer, PageOf):
        return component(f"PageOf{name_of(answer.of)}")
    if isinstance(answer, Mapping):
        return dict(answer)
    return reference(answer)


def _headers(names: Iterable[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


# --- what operations share -------------------------------------------------------------------------


def _components() -> Json:
    bodies = {each.body for each in OPERATIONS.values() if isinstance(each.body, type)}
    answers = {
        each.answer.of if isinstance(each.answer, PageOf) else each.answer
        for each in OPERATIONS.values()
        if isinstance(each.answer, PageOf | type)
    }
    return {
        "schemas": schemas(bodies, answers),
        "responses": {
            "Error": {
                "description": "A mistake or a fault. Below `/openai`, 401 and unknown paths have Azure's two keys.",
                "headers": _headers(_EVERY_ANSWER),
                "content": {"application/json": {"schema": component("Error")}},
            }
        },
        "headers": {
            "x-request-id": {
                "description": "Names this request in the log.",
                "schema": {"type": "string"},
            },
            "openai-processing-ms": {
                "description": "Until the answer began.",
                "schema": {"type": "integer"},
            },
            "openai-version": {"schema": {"type": "string"}},
            _POLL: {
                "description": "Wait so long before the next poll.",
                "schema": {"type": "integer"},
            },
        },
        "securitySchemes": {
            "bearer": {
                "type": "http",
                "scheme": "bearer",
                "description": "Asked for once the operator has made keys.",
            },
            "apiKey": {
                "type": "apiKey",
                "in": "header",
                "name": "api-key",
                "description": "Azure's way to send the same key.",
            },
        },
    }
