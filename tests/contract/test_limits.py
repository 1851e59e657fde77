"""Every limit of the contract's section 1 over HTTP: what lies at it is taken, what lies beyond refused as in 5.4."""

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.engine import CODE, FUNCTION, SEARCH

from .web import USER, Json, Web, told

SCHEMA = {"type": "json_schema", "json_schema": {"name": "n"}}
STATIC = {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 0}
EXPIRY = {"anchor": "last_active_at", "days": 1}
UPLOAD = {
    "filename": "b.txt",
    "purpose": "assistants",
    "bytes": 5,
    "mime_type": "text/plain",
    "expires_after": {"anchor": "created_at", "seconds": 3600},
}
RUN = {"assistant_id": "{assistant}"}
PLACES: Mapping[str, tuple[str, Json]] = {
    "assistant": ("/assistants", {"model": "scripted"}),
    "changed assistant": ("/assistants/{assistant}", {}),
    "thread": ("/threads", {"messages": [USER]}),
    "message": ("/threads/{thread}/messages", USER),
    "run": ("/threads/{thread}/runs", RUN | {"additional_messages": [USER]}),
    "thread and run": ("/threads/runs", RUN | {"thread": {"messages": [USER]}}),
    "store": ("/vector_stores", {}),
    "changed store": ("/vector_stores/{store}", {}),
    "store file": ("/vector_stores/{store}/files", {"file_id": "{file}"}),
    "batch": ("/vector_stores/{store}/file_batches", {"file_ids": ["{file}"]}),
    "batch of files": ("/vector_stores/{store}/file_batches", {}),
    "search": ("/vector_stores/{store}/search", {"query": "q"}),
    "upload": ("/uploads", UPLOAD),
}


@dataclass(frozen=True)
class Limit:
    """A field's ends: values that are taken, values that are not, and what is said of those.

    `base` is merged into the place's body first; `param` is the field's dotted path, `named` the one that the refusal
    names where it differs.
    """

    place: str
    param: str
    taken: tuple[Any, ...]
    refused: tuple[tuple[Any, str, str], ...]
    base: Any = None
    named: str = ""


def long_text(
    param: str, most: int, letter: str
) -> tuple[tuple[Any, ...], tuple[tuple[Any, str, str], ...]]:
    """Text of at most so many characters."""
    message = (
        f"Invalid '{param}': string too long. Expected a string with maximum length {most}, "
        f"but got a string with length {most + 1} instead."
    )
    return (letter * most,), ((letter * (most + 1), message, "string_above_max_length"),)


def array(param: str, item: Any, most: int) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """An array of at most so many items."""
    message = (
        f"Invalid '{param}': array too long. Expected an array with maximum length {most}, "
        f"but got an array with length {most + 1} instead."
    )
    return ([item] * most,), (([item] * (most + 1), message, "array_above_max_length"),)


def number(
    param: str, kind: str, least: tuple[Any, Any], most: tuple[Any, Any] | None
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """A number within bounds; each as (the bound, a value beyond)."""
    begin = f"Invalid '{param}': {kind}"
    end = "but got {} instead."
    low = f"{begin} below minimum value. Expected a value >= {least[0]}, {end.format(least[1])}"
    taken, refused = (least[0],), ((least[1], low, f"{kind}_below_min_value"),)
    if most is None:
        return taken, refused
    high = f"{begin} above maximum value. Expected a value <= {most[0]}, {end.format(most[1])}"
    return (*taken, most[0]), (*refused, (most[1], high, f"{kind}_above_max_value"))


def text_limit(place: str, param: str, most: int, base: Any = None) -> Limit:
    """A limit of a string's length, counted in characters and not in bytes; names take ASCII only."""
    letter = "n" if param.endswith("name") and base else "é"
    return Limit(place, param, *long_text(param, most, letter), base)


def array_limit(place: str, param: str, item: Any, most: int, base: Any = None) -> Limit:
    """A limit of an array's length."""
    return Limit(place, param, *array(param, item, most), base)


def number_limit(
    place: str,
    param: str,
    least: tuple[Any, Any],
    most: tuple[Any, Any] | None = None,
    *,
    kind: str = "integer",
    base: Any = None,
) -> Limit:
    """The ends of a number's range."""
    return Limit(place, param, *number(param, kind, least, most), base)


def map_limits(place: str, param: str) -> list[Limit]:
    """At most 16 pairs, keys up to 64 characters, strings up to 512."""
    many = (
        f"Invalid '{param}': too many properties. Expected an object with at most 16 properties, "
        "but got an object with 17 properties instead."
    )
    sixteen, seventeen = ({str(n): "v" for n in range(count)} for count in (16, 17))
    key = f"{param}.{'k' * 65}"
    long_key = (
        f"Invalid '{key}': property name too long. Expected a string with maximum length 64, "
        "but got a string with length 65 instead."
    )
    beyond = ({"k" * 65: "v"}, long_key, "string_above_max_length")
    return [
        Limit(place, param, (sixteen,), ((seventeen, many, "object_above_max_properties"),)),
        Limit(place, param, ({"k" * 64: "v"},), (beyond,), named=key),
        text_limit(place, f"{param}.k", 512),
    ]


def settings_limits(place: str) -> list[Limit]:
    """What assistants and runs share."""
    return [
        text_limit(place, "instructions", 256_000),
        array_limit(place, "tools", CODE, 128),
        text_limit(place, "tools[0].function.name", 64, {"tools": [FUNCTION]}),
        number_limit(
            place,
            "tools[0].file_search.max_num_results",
            (1, 0),
            (50, 51),
            base={"tools": [SEARCH | {"file_search": {}}]},
        ),
        number_limit(
            place,
            "tools[0].file_search.ranking_options.score_threshold",
            (0, -0.5),
            (1, 1.5),
            kind="decimal",
            base={"tools": [SEARCH | {"file_search": {"ranking_options": {}}}]},
        ),
        number_limit(place, "temperature", (0, -0.5), (2, 2.5), kind="decimal"),
        number_limit(place, "top_p", (0, -0.5), (1, 1.5), kind="decimal"),
        text_limit(place, "response_format.json_schema.name", 64, {"response_format": SCHEMA}),
        *map_limits(place, "metadata"),
    ]


def run_limits(place: str) -> list[Limit]:
    """What both ways to create a run share."""
    truncation = {"truncation_strategy": {"type": "last_messages"}}
    return [
        *settings_limits(place),
        number_limit(place, "max_prompt_tokens", (1, 0)),
        number_limit(place, "max_completion_tokens", (1, 0)),
        number_limit(place, "truncation_strategy.last_messages", (1, 0), base=truncation),
    ]


def resource_limits(place: str, prefix: str = "", *, seeds: bool = True) -> list[Limit]:
    """20 files for code, one store, or one made on the way with up to 10,000 files."""
    code = f"{prefix}tool_resources.code_interpreter.file_ids"
    search = f"{prefix}tool_resources.file_search"
    limits = [
        array_limit(place, code, "{file}", 20),
        array_limit(place, f"{search}.vector_store_ids", "{store}", 1),
    ]
    if not seeds:
        return limits
    seeded = [array_limit(place, f"{search}.vector_stores", {}, 1)]
    return limits + seeded


ALL: list[Limit] = [
    text_limit("assistant", "name", 256),
    text_limit("assistant", "description", 512),
    *settings_limits("assistant"),
    *resource_limits("assistant"),
    text_limit("changed assistant", "name", 256),
    text_limit("changed assistant", "description", 512),
    *settings_limits("changed assistant"),
    *resource_limits("changed assistant", seeds=False),
    *map_limits("thread", "metadata"),
    array_limit("thread", "messages", USER, 1000),
    *map_limits("thread", "messages[0].metadata"),
    text_limit("thread", "messages[0].content", 256_000),
    *resource_limits("thread"),
    array_limit(
        "thread",
        "tool_resources.file_search.vector_stores[0].file_ids",
        "{file}",
        10_000,
        {"tool_resources": {"file_search": {"vector_stores": [{}]}}},
    ),
    *map_limits("message", "metadata"),
    text_limit("message", "content", 256_000),
    text_limit("message", "content[0].text", 256_000, {"content": [{"type": "text"}]}),
    array_limit("message", "content", {"type": "text", "text": "a"}, 500),
    array_limit("message", "attachments", {"file_id": "{file}"}, 500),
    *run_limits("run"),
    text_limit("run", "additional_instructions", 256_000),
    array_limit("run", "additional_messages", USER, 1000),
    text_limit("run", "additional_messages[0].content", 256_000),
    *run_limits("thread and run"),
    text_limit("thread and run", "thread.messages[0].content", 256_000),
    *resource_limits("thread and run", seeds=False),
    *resource_limits("thread and run", "thread."),
    array_limit("store", "file_ids", "{file}", 500),
    number_limit("store", "expires_after.days", (1, 0), (365, 366), base={"expires_after": EXPIRY}),
    number_limit(
        "changed store", "expires_after.days", (1, 0), (365, 366), base={"expires_after": EXPIRY}
    ),
    number_limit(
        "store",
        "chunking_strategy.static.max_chunk_size_tokens",
        (100, 99),
        (4096, 4097),
        base={"chunking_strategy": {"type": "static", "static": STATIC}},
    ),
    number_limit(
        "store",
        "chunking_strategy.static.chunk_overlap_tokens",
        (0, -1),
        base={"chunking_strategy": {"type": "static", "static": STATIC}},
    ),
    *map_limits("store", "metadata"),
    *map_limits("changed store", "metadata"),
    *map_limits("store file", "attributes"),
    array_limit("batch", "file_ids", "{file}", 2000),
    array_limit("batch of files", "files", {"file_id": "{file}"}, 2000),
    *map_limits("batch", "attributes"),
    number_limit("search", "max_num_results", (1, 0), (50, 51)),
    number_limit("search", "ranking_options.score_threshold", (0, -0.5), (1, 1.5), kind="decimal"),
    number_limit("upload", "expires_after.seconds", (3600, 3599), (2_592_000, 2_592_001)),
]


def put(body: Any, path: str, value: Any) -> Any:
    """`body` with `value` at a dotted path; what is missing on the way is made."""
    found = re.match(r"(\[\d+\]|[^.\[]+)\.?(.*)", path, re.DOTALL)
    assert found is not None
    name, rest = found[1], found[2]
    made = copy.deepcopy(body)
    key: Any = int(name[1:-1]) if name.startswith("[") else name
    if rest and isinstance(key, str):
        made.setdefault(key, {})
    made[key] = put(made[key], rest, value) if rest else value
    return made


def filled(body: Json, ids: Mapping[str, str]) -> Any:
    """`body` with ids where `{name}` stands."""
    text = json.dumps(body)
    for name, id_ in ids.items():
        text = text.replace(f'"{{{name}}}"', f'"{id_}"')
    return json.loads(text)


@pytest.mark.parametrize("limit", ALL, ids=[f"{one.place}-{one.param}"[:80] for one in ALL])
async def test_a_limit(web: Web, limit: Limit) -> None:
    """Nothing is stored of what is refused, and the refusal says what was expected and where."""
    ids = {
        "assistant": (await web.assistant())["id"],
        "file": (await web.upload())["id"],
        "store": (await web.post("/vector_stores"))["id"],
    }
    place, base = PLACES[limit.place]
    body: Json = base | (limit.base or {})
    for value in limit.taken:
        path = place.format(**ids, thread=(await web.thread("hi"))["id"])
        await web.post(path, filled(put(body, limit.param, value), ids))
    for value, message, code in limit.refused:
        path = place.format(**ids, thread=(await web.thread("hi"))["id"])
        error = await web.refused("POST", path, json=filled(put(body, limit.param, value), ids))
        assert (message, "invalid_request_error", limit.named or limit.param, code) == told(error)


@pytest.mark.parametrize("kind", ["text", "image_url"])
async def test_all_parts_of_a_message_together_have_a_limit(web: Web, kind: str) -> None:
    """Four texts or data URLs of full length are taken, one character more is not: a page holds a hundred messages."""
    prefix = "data:image/png;base64," if kind == "image_url" else ""
    full = prefix + "A" * (256_000 - len(prefix))
    part = {"type": kind, kind: {"url": full} if prefix else full}
    path = f"/threads/{(await web.thread('hi'))['id']}/messages"
    await web.post(path, {"role": "user", "content": [part] * 4})
    more = [*[part] * 4, {"type": "text", "text": "b"}]
    error = await web.refused("POST", path, json={"role": "user", "content": more})
    assert told(error)[0] == (
        "Invalid 'content': its parts come to 1024001 characters. A message has 1024000 at most."
    )
    assert "content" == error["param"]


@pytest.mark.parametrize("place", ["assistant", "message", "run", "thread and run", "store"])
async def test_what_becomes_one_object_is_sent_in_4_mib(web: Web, place: str) -> None:
    """A longer body is not read: a page holds a hundred such objects, and every event of a run has it whole."""
    path = PLACES[place][0].format(thread=(await web.thread("hi"))["id"])
    error = await web.refused("POST", path, status=413, content=b" " * (4 * 1024 * 1024 + 1))
    assert error["message"].startswith("Maximum content size limit (4194304) exceeded")


async def test_an_overlap_is_at_most_half(web: Web) -> None:
    """Half of the chunk is taken, one token more is not."""
    sizes = [{"max_chunk_size_tokens": 200, "chunk_overlap_tokens": n} for n in (100, 101)]
    bodies = [{"chunking_strategy": {"type": "static", "static": size}} for size in sizes]
    await web.post("/vector_stores", bodies[0])
    error = await web.refused("POST", "/vector_stores", json=bodies[1])
    assert told(error) == (
        "'chunk_overlap_tokens' must not exceed half of 'max_chunk_size_tokens'.",
        "invalid_request_error",
        "chunking_strategy.static",
        "invalid_value",
    )


@pytest.mark.parametrize(
    ("place", "body", "param"),
    [
        ("message", {"content": []}, "content"),
        ("batch", {"file_ids": []}, "file_ids"),
        ("batch of files", {"files": []}, "files"),
        ("search", {"query": []}, "query"),
    ],
)
async def test_arrays_that_may_not_be_empty(web: Web, place: str, body: Json, param: str) -> None:
    """The refusal tells the least length."""
    path, base = PLACES[place]
    ids = {"thread": (await web.thread())["id"], "store": (await web.post("/vector_stores"))["id"]}
    error = await web.refused("POST", path.format(**ids), json=base | body)
    assert told(error) == (
        f"Invalid '{param}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead.",
        "invalid_request_error",
        param,
        "empty_array",
    )


@pytest.mark.parametrize("name", ["a b", "ü", "a.b", "f\n"])
async def test_names_of_functions_have_an_alphabet(web: Web, name: str) -> None:
    """Letters, digits, underscore and hyphen."""
    good = {"type": "function", "function": {"name": "Az09_-"}}
    await web.assistant(tools=[good])
    bad = {"model": "scripted", "tools": [{"type": "function", "function": {"name": name}}]}
    error = await web.refused("POST", "/assistants", json=bad)
    assert ("invalid_value", "tools[0].function.name") == (error["code"], error["param"])
