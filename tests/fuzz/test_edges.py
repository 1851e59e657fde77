"""Hypothesis on what no description covers: raw bodies, raw forms, raw queries, and streams taken up anywhere."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from .world import DOCUMENT, UNCHECKED, Request, World, check_stream

SHORT, LONG = 40, 2_000
POSTS = sorted(
    path
    for path, operations in DOCUMENT["paths"].items()
    if "application/json" in operations.get("post", {}).get("requestBody", {}).get("content", {})
)
LISTS = sorted(
    path
    for path, operations in DOCUMENT["paths"].items()
    if any(each["name"] == "limit" for each in operations.get("get", {}).get("parameters", ()))
)
FORMS = ["/v1/files", "/v1/uploads/{upload_id}/parts"]

LENGTHS = [
    pytest.param(SHORT, id="short"),
    pytest.param(LONG, id="long", marks=[pytest.mark.fuzz, pytest.mark.timeout(3600)]),
]


def examples(count: int) -> settings:
    """The same ones in a short run, new ones in a long."""
    return settings(
        max_examples=count,
        derandomize=count == SHORT,
        deadline=None,
        database=None,
        suppress_health_check=UNCHECKED,
        phases=[Phase.generate, Phase.shrink],
    )


def _object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{json.dumps(key)}: {value}" for key, value in pairs) + "}"


# --- JSON -------------------------------------------------------------------------------------------

# Characters that parsers, databases and file systems stumble over.
ODD = st.sampled_from(
    [
        "\0",
        "\ud800",
        "\u2028",
        "\x85",
        "\ufeff",
        "\U0001f600",
        "e\u0301",
        "'",
        '"',
        "%",
        "\\",
        "\x7f",
    ]
)
TEXT = st.lists(ODD | st.text(max_size=5), max_size=4).map("".join)
NUMBERS = st.sampled_from(
    ["0", "-0", "1e400", "-1e400", "1.0", "9" * 400, "NaN", "Infinity", "1E-400", "0x10", "01"]
)
LEAVES = (
    TEXT.map(json.dumps)
    | TEXT.map(lambda text: json.dumps(text, ensure_ascii=False))
    | NUMBERS
    | st.integers().map(str)
    | st.sampled_from(["null", "true", "false", "", "{", "]", "//", "\x00"])
)
NAMES = st.sampled_from(
    ["metadata", "model", "messages", "content", "role", "tools", "type", "tool_resources", "assistant_id", "name",
     "thread", "stream", "file_ids", "attributes", "query", "filters", "tool_outputs", "bytes", "purpose"]
)  # fmt: skip
JSONS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{','.join(items)}]")
        | st.lists(st.tuples(NAMES | TEXT, inner), max_size=5).map(_object)
    ),
    max_leaves=12,
)
ENCODINGS = st.sampled_from(["utf-8"] * 6 + ["utf-16", "utf-32", "utf-8-sig", "latin-1", "utf-7"])
TYPES = st.sampled_from(
    ["application/json"] * 8
    + ["application/json; charset=utf-16", "text/plain", "", "application/x-www-form-urlencoded", "a/b;"]
)  # fmt: skip


@pytest.mark.parametrize("count", LENGTHS)
def test_bodies(world: World, count: int) -> None:
    """Nearly JSON, in any encoding, under any content type, at every operation that reads JSON."""

    @examples(count)
    @given(st.sampled_from(POSTS), JSONS | st.binary(max_size=40), ENCODINGS, TYPES)
    def send(path: str, body: str | bytes, encoding: str, content_type: str) -> None:
        raw = body if isinstance(body, bytes) else body.encode(encoding, "replace")
        if isinstance(body, str) and encoding == "utf-8":
            raw = body.encode("utf-8", "surrogatepass")
        target = path.format_map(world.ids).encode()
        world.send(Request("POST", target, {"content-type": content_type}, raw, f"POST {path}"))

    send()


# --- forms ------------------------------------------------------------------------------------------

VALUES = (
    st.sampled_from(
        ["assistants", "vision", "x", "", "created_at", "3600", "-1", "9" * 40, "\0", "é"]
    )
    | TEXT
)
PART_NAMES = st.sampled_from(
    [
        "file",
        "purpose",
        "data",
        "filename",
        "expires_after[anchor]",
        "expires_after[seconds]",
        "",
        "x" * 300,
    ]
)
FILE_NAMES = st.sampled_from(
    ["a.txt", "../../etc/passwd", "", ".", "..", "a\0b", "x" * 400, "é.txt", "a\r\nX-Y: z", "/", "C:\\a", "\ud800"]
) | TEXT  # fmt: skip
PARTS = st.lists(
    st.tuples(PART_NAMES, st.none() | FILE_NAMES, VALUES | st.binary(max_size=60)), max_size=5
)
ENDS = st.sampled_from(
    ["--b--\r\n"] * 6 + ["--b--", "--b", "", "--b\r\n", "--c--\r\n", "\r\n--b--"]
)
BOUNDARIES = st.sampled_from(["b"] * 6 + ['"b"', "", "b; boundary=c", "x" * 300, "b\0", "é"])


def form(parts: list[tuple[str, str | None, str | bytes]], end: str) -> bytes:
    """The parts between boundaries, however odd."""
    body = b""
    for name, filename, value in parts:
        named = f'--b\r\nContent-Disposition: form-data; name="{name}"'
        named += "" if filename is None else f'; filename="{filename}"'
        content = value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
        body += named.encode("utf-8", "surrogatepass") + b"\r\n\r\n" + content + b"\r\n"
    return body + end.encode()


@pytest.mark.parametrize("count", LENGTHS)
def test_forms(world: World, count: int) -> None:
    """Forms with too much, too little and the wrong things, cut off anywhere."""

    @examples(count)
    @given(st.sampled_from(FORMS), PARTS, ENDS, BOUNDARIES, st.integers(0, 400))
    def send(path: str, parts: Any, end: str, boundary: str, cut: int) -> None:
        body = form(parts, end)
        headers = {"content-type": f"multipart/form-data; boundary={boundary}"}
        target = path.format_map(world.ids).encode()
        body = body[:cut] if cut % 9 == 0 else body
        world.send(Request("POST", target, headers, body, f"POST {path}"))

    send()


# --- queries ----------------------------------------------------------------------------------------

KEYS = st.sampled_from(
    [
        "limit",
        "order",
        "after",
        "before",
        "include[]",
        "include",
        "filter",
        "run_id",
        "purpose",
        "api-version",
        "x",
    ]
)
SETTINGS = st.sampled_from(
    ["1", "0", "100", "101", "-1", "1e2", "٣", "asc", "desc", "", "completed", "null", "%00", "%ff", "%", "%zz", "+",
     "step_details.tool_calls[*].file_search.results[*].content", "a&b", "1;2", "9" * 100]
) | TEXT.map(lambda text: quote(text.encode("utf-8", "surrogatepass")))  # fmt: skip
QUERIES = st.lists(st.tuples(KEYS, SETTINGS), max_size=5).map(
    lambda pairs: "&".join(f"{key}={value}" for key, value in pairs)
)


@pytest.mark.parametrize("count", LENGTHS)
def test_queries(world: World, count: int) -> None:
    """Lists asked for in every wrong way; also with the ids of living objects as cursors."""

    @examples(count)
    @given(st.sampled_from(LISTS), QUERIES, st.sampled_from(["", *world.ids]))
    def send(path: str, query: str, cursor: str) -> None:
        if cursor:
            query += f"&after={world.ids[cursor]}"
        target = f"{path.format_map(world.ids)}?{query}".encode()
        world.send(Request("GET", target, {}, b"", f"GET {path}"))

    send()


# --- streams ----------------------------------------------------------------------------------------

POSITIONS = st.integers(-1, 10).map(str) | st.sampled_from(
    ["", "x", "1.5", "9" * 18, "9" * 19, "\0", "1,2", " 1"]
)
EVENTS = "/v1/threads/{thread_id}/runs/{run_id}/events"


@pytest.mark.parametrize("count", LENGTHS)
def test_streams_taken_up_anywhere(world: World, count: int) -> None:
    """From every position the events are those that follow it, without a gap."""

    @examples(count)
    @given(POSITIONS, st.booleans(), st.sampled_from(["", "pause", "end", "x"]))
    def send(position: str, in_header: bool, until: str) -> None:
        headers = {"last-event-id": position} if in_header else {}
        query = f"until={until}" + ("" if in_header else f"&after={quote(position)}")
        target = f"{EVENTS.format_map(world.ids)}?{query}".encode()
        answer = world.send(Request("GET", target, headers, b"", f"GET {EVENTS}"))
        if answer.status == 200:
            numbers = [number for number, _ in check_stream(answer)]
            begun = int(position or 0)
            assert list(range(begun + 1, begun + 1 + len(numbers))) == numbers

    send()
