"""Checks every answer of the server against the SDK's own types, which the SDK itself does not do.

Hangs on the HTTP client as a response hook. It validates with pydantic in strict mode (no conversions, no unknown
literals), and then looks at what pydantic lets pass in these types: known fields that are missing and fields that the
types do not know. `differences.FIELDS` are the only exceptions. Streams are checked event by event while the SDK reads
them, without holding it up.

Imports no HTTP library: which one it is depends on the SDK's version.
"""

import importlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cache
from typing import Any, cast, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from .differences import FIELDS, Difference
from .operations import (
    ALWAYS_REFUSED,
    BYTES,
    LIST,
    OTHER_ENVELOPES,
    USUAL_ENVELOPE,
    Operation,
    operation_of,
)
from .reporting import Traffic

_ALLOWED = {difference.key: difference for difference in FIELDS}
_DELTAS = {"MessageDeltaEvent", "RunStepDeltaEvent"}  # fragments: hardly any field is always there
_ERROR_KEYS = {"message", "type", "param", "code"}
_STAND_INS = {"thread.run": ("Run", "instructions"), "vector_store": ("VectorStore", "name")}
_HEADERS = ("x-request-id", "openai-processing-ms", "openai-version")


class Strict:
    """The hook; findings, operations and events go to `traffic`."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def on_response(self, response: Any) -> None:
        """For a client with blocking calls."""
        if self._is_stream(response):
            self._tap(response)
        else:
            self._check(response, response.read())

    async def on_async_response(self, response: Any) -> None:
        """For an asynchronous client."""
        if self._is_stream(response):
            self._tap_async(response)
        else:
            self._check(response, await response.aread())

    def _is_stream(self, response: Any) -> bool:
        self._check_headers(response)
        return str(response.headers.get("content-type", "")).startswith("text/event-stream")

    def _check_headers(self, response: Any) -> None:
        missing = [name for name in _HEADERS if name not in response.headers]
        if missing:
            self._find(f"{response.request.url.path}: headers {missing} are missing")
        polled = "x-stainless-poll-helper" in response.request.headers
        if polled and "openai-poll-after-ms" not in response.headers:
            self._find(f"{response.request.url.path}: a poll is not told when to come again")

    def _check(self, response: Any, body: bytes) -> None:
        request = response.request
        where = f"{request.method} {request.url.path}"
        operation = operation_of(request.method, request.url.path)
        if response.status_code != 200:
            self._check_error(where, response.status_code, body)
            if operation and ALWAYS_REFUSED.get(operation.name) == response.status_code:
                self._traffic.operations.add(operation.name)
        elif operation is None:
            self._find(f"{where}: answered, but is no operation of the API")
        else:
            self._traffic.operations.add(operation.name)
            if operation.answer != BYTES:
                self._check_answer(operation, json.loads(body))

    def _check_error(self, where: str, status: int, body: bytes) -> None:
        try:
            error = json.loads(body)["error"]
        except (ValueError, KeyError, TypeError):
            self._find(f"{where}: the body of {status} is no error envelope: {body[:200]!r}")
            return
        azure = status == 401 and set(error) == {"code", "message"} and "/openai/" in where
        if set(error) != _ERROR_KEYS and not azure:
            self._find(f"{where}: the error envelope of {status} has the keys {sorted(error)}")

    def _check_answer(self, operation: Operation, answer: Any) -> None:
        if not operation.answer.startswith(LIST):
            self.validate(type_named(operation.answer), answer, operation.name)
            return
        expected = {"data", *OTHER_ENVELOPES.get(operation.name, USUAL_ENVELOPE)}
        if set(answer) != expected:
            self._find(f"{operation.name}: envelope with {sorted(answer)}")
        items: list[Any] = answer["data"]
        for item in items:
            self.validate(type_named(operation.answer.removeprefix(LIST)), item, operation.name)
        if "first_id" in expected:
            ends = [items[0]["id"], items[-1]["id"]] if items else [None, None]
            if [answer.get("first_id"), answer.get("last_id")] != ends:
                self._find(f"{operation.name}: first_id and last_id are not those of the page")

    # --- streams

    def _tap(self, response: Any) -> None:
        original: Callable[..., Iterator[bytes]] = response.iter_bytes
        reading = _Reading(self, response.request)

        def iter_bytes(*args: Any, **more: Any) -> Iterator[bytes]:
            for chunk in original(*args, **more):
                reading.feed(chunk)
                yield chunk
            reading.end()

        response.iter_bytes = iter_bytes

    def _tap_async(self, response: Any) -> None:
        original: Callable[..., AsyncIterator[bytes]] = response.aiter_bytes
        reading = _Reading(self, response.request)

        async def aiter_bytes(*args: Any, **more: Any) -> AsyncIterator[bytes]:
            async for chunk in original(*args, **more):
                reading.feed(chunk)
                yield chunk
            reading.end()

        response.aiter_bytes = aiter_bytes

    def on_stream(self, request: Any) -> None:
        """A stream has begun: its operation answered."""
        operation = operation_of(request.method, request.url.path)
        if operation is not None:
            self._traffic.operations.add(operation.name)

    def on_event(self, name: str, data: str) -> None:
        """One event of a stream, as it stood on the wire."""
        self._traffic.events.add(name)
        if name == "done":
            if data != "[DONE]":
                self._find(f"event done carries {data!r}")
            return
        payload = json.loads(data)
        if name == "error":
            if set(payload.get("error", {})) != _ERROR_KEYS:
                self._find(f"event error carries {data[:200]}")
            return
        type_ = event_types().get(name)
        if type_ is None:
            self._find(f"the SDK knows no event {name!r}")
            return
        self.validate(type_, payload, f"event {name}")

    def on_broken_stream(self, last: str) -> None:
        """A stream was read to its end and did not end with `done`."""
        self._find(f"a stream ended with {last!r} instead of done")

    # --- types

    def validate(self, type_: Any, payload: Any, where: str) -> None:
        """Note everything about `payload` that does not fit `type_`."""
        try:
            parsed = _adapter(type_).validate_json(json.dumps(self._stand_in(payload)), strict=True)
        except ValidationError as error:
            for problem in error.errors(include_url=False)[:5]:
                at = ".".join(map(str, problem["loc"]))
                self._find(f"{where}: {at}: {problem['msg']} ({str(problem['input'])[:80]})")
            return
        self._walk(parsed, where, fragment=type(parsed).__name__ in _DELTAS)

    def _stand_in(self, payload: Any) -> Any:
        """A copy in which the nulls that are allowed by exception are empty strings."""
        name, field = _STAND_INS.get(payload.get("object", ""), ("", ""))
        if name and payload.get(field, "") is None and self._allow("null", f"{name}.{field}"):
            return {**payload, field: ""}
        return payload

    def _walk(self, value: Any, where: str, *, fragment: bool) -> None:
        if isinstance(value, BaseModel):
            self._compare_fields(value, where, fragment=fragment)
            for _, inner in value:
                self._walk(inner, where, fragment=fragment)
        elif isinstance(value, list):
            items = list[Any](cast("Any", value))
            for inner in items:
                self._walk(inner, where, fragment=fragment)

    def _compare_fields(self, value: BaseModel, where: str, *, fragment: bool) -> None:
        name, fields = type(value).__name__, type(value).model_fields
        missing = set[str]() if fragment else set(fields) - value.model_fields_set
        for field in sorted(missing):
            if not self._allow("left out", f"{name}.{field}"):
                self._find(f"{where}: {name}.{field} is missing")
        for field in sorted(value.model_extra or {}):
            if not self._allow("extra", f"{name}.{field}"):
                self._find(f"{where}: {name}.{field} is unknown to the SDK")

    def _allow(self, kind: str, field: str) -> bool:
        difference: Difference | None = _ALLOWED.get(f"{kind}: {field}")
        if difference is not None:
            self._traffic.exceptions.add(difference.key)
        return difference is not None

    def _find(self, finding: str) -> None:
        self._traffic.findings.append(finding)


class _Reading:
    """Cuts a stream into its events while it passes."""

    def __init__(self, strict: Strict, request: Any) -> None:
        self._strict = strict
        self._rest = b""
        self._last = ""
        strict.on_stream(request)

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they come."""
        *frames, self._rest = (self._rest + chunk).split(b"\n\n")
        for frame in frames:
            lines = frame.decode().split("\n")
            fields = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            self._last = fields["event"]
            self._strict.on_event(fields["event"], fields["data"])

    def end(self) -> None:
        """The server closed it."""
        if self._last != "done" or self._rest:
            self._strict.on_broken_stream(self._last)


@cache
def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


@cache
def type_named(name: str) -> Any:
    """A type inside the openai package."""
    module, _, attribute = f"openai.{name}".rpartition(".")
    return getattr(importlib.import_module(module), attribute)


@cache
def event_types() -> dict[str, Any]:
    """Event name -> type of its payload, as the SDK's union has them."""
    union = get_args(type_named("types.beta.AssistantStreamEvent"))[0]
    members: list[Any] = list(get_args(union))
    return {
        get_args(member.model_fields["event"].annotation)[0]: member.model_fields["data"].annotation
        for member in members
    }
