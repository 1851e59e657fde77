"""Schemathesis over our own description: every operation, with what it allows and with what it forbids."""

from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from local_assistants.engine.requests.base import as_array, as_object

from .world import DOCUMENT, UNCHECKED, Request, World

SCHEMA: Any = schemathesis.openapi.from_dict(DOCUMENT)  # its own types are generic over transports
OPERATIONS: list[Any] = [found.ok() for found in SCHEMA.get_all_operations()]
LABELS = [str(operation.label) for operation in OPERATIONS]
MODES = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE]
ON_IDLE = {"POST /v1/threads/{thread_id}/messages", "POST /v1/threads/{thread_id}/runs"}
IN_BODIES = {
    "assistant_id": "assistant_id",
    "file_id": "file_id",
    "file_ids": "file_id",
    "vector_store_ids": "vector_store_id",
    "tool_call_id": "tool_call_id",
    "part_ids": "part_id",
}


def alive(value: Any, ids: dict[str, str]) -> Any:
    """`value` with ids and models that exist wherever one belongs."""
    if (items := as_array(value)) is not None:
        return [alive(item, ids) for item in items]
    given_object = as_object(value)
    if given_object is None:
        return value
    made = {key: alive(item, ids) for key, item in given_object.items()}
    for key, name in IN_BODIES.items():
        if isinstance(made.get(key), str):
            made[key] = ids[name]
        elif isinstance(made.get(key), list) and made[key]:
            made[key] = [ids[name]]
    if isinstance(made.get("model"), str):
        made["model"] = "scripted"
    return made


def request_of(case: Any, ids: dict[str, str], living: int) -> Request:
    """The case as raw bytes, with living ids in its path and body; the thread is busy or, for 2 and above, idle."""
    if living > 1 and case.operation.label in ON_IDLE:
        ids = {**ids, "thread_id": ids["idle_thread_id"]}
    parameters: dict[str, Any] = case.path_parameters or {}
    parameters.update((name, ids[name]) for name in parameters if name in ids)
    if as_object(case.body) is not None and case.media_type == "application/json":
        case.body = alive(case.body, ids)
    return raw(case)


def raw(case: Any) -> Request:
    """The case as the bytes that a client would send."""
    arguments: dict[str, Any] = case.as_transport_kwargs(base_url="http://localhost")
    arguments = {k: v for k, v in arguments.items() if k in requests.Request("GET").__dict__}
    prepared = requests.Request(**arguments).prepare()
    body = prepared.body or b""
    return Request(
        prepared.method or "GET",
        (prepared.path_url).encode("ascii", "ignore"),
        {str(k): str(v) for k, v in prepared.headers.items() if k.lower() != "content-length"},
        body if isinstance(body, bytes) else str(body).encode(),
        case.operation.label,
    )


def fuzz(world: World, operation: Any, count: int, steady: bool) -> None:
    """Send `count` cases of each kind; the world checks every answer."""
    for mode in MODES:

        @settings(
            max_examples=count,
            derandomize=steady,
            deadline=None,
            database=None,
            suppress_health_check=UNCHECKED,
            phases=[Phase.generate, Phase.shrink],
        )
        @given(case=operation.as_strategy(generation_mode=mode), living=st.integers(0, 3))
        def send(case: Any, living: int) -> None:
            world.send(request_of(case, world.ids, living) if living else raw(case))

        try:
            send()
        except Unsatisfiable:
            assert mode is GenerationMode.NEGATIVE  # nothing can be wrong with it


@pytest.mark.parametrize("operation", OPERATIONS, ids=LABELS)
def test_every_operation_in_short(world: World, operation: Any) -> None:
    """A few cases each; the same in every run."""
    fuzz(world, operation, 2, steady=True)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("operation", OPERATIONS, ids=LABELS)
def test_every_operation_at_length(world: World, operation: Any) -> None:
    """More than 20,000 together; other cases in every run."""
    fuzz(world, operation, 190, steady=False)
