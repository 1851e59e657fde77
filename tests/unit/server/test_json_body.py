"""JSON bodies: of any size in bounded time, in one encoding, with one meaning."""

import asyncio
import json
from typing import Any

import pytest

from local_assistants.engine.errors import InvalidRequest, TooLarge
from local_assistants.server.json_body import MAX_VALUES, parse
from tests.support.answers import error_of

from .house import House

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("raw", [b"", b" \r\n\t", b"{}", b"\xef\xbb\xbf{}", b"\xef\xbb\xbf"])
def test_nothing_is_an_empty_object(raw: bytes) -> None:
    """Also behind a byte order mark."""
    assert {} == parse(raw)


def test_the_last_of_two_equal_keys_counts() -> None:
    """As in every common parser; none of them is told apart by a client."""
    assert {"a": 2} == parse(b'{"a": 1, "a": 2}')


def test_a_body_of_too_many_values_is_refused() -> None:
    """What costs is their number."""
    with pytest.raises(TooLarge, match="too many values"):
        parse(b"[" + b"{}," * MAX_VALUES + b"{}]")


def test_strings_hold_no_values() -> None:
    """A long text full of brackets, commas and quotes is one value."""
    text = '[{,"\\' * MAX_VALUES
    assert [text] == parse(json.dumps([text]).encode())


@pytest.mark.parametrize("raw", [b'"' * (2 * MAX_VALUES), b'"\\' * MAX_VALUES, b"\\" * 600_000])
def test_counting_is_not_fooled_into_a_crash(raw: bytes) -> None:
    """Odd quotes are a parser's mistake to tell."""
    with pytest.raises(InvalidRequest, match="could not parse"):
        parse(raw)


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        ({"content-encoding": "gzip"}, b"{}", 400),
        ({"content-encoding": "identity"}, b"{}", 200),
        ({"content-type": "application/json; charset=utf-8"}, '{"metadata": {"é": "ü"}}', 200),
        ({"content-type": "application/json; charset=latin-1"}, b'{"metadata": {"\xe9": ""}}', 400),
        ({"content-type": "APPLICATION/JSON"}, b"{}", 200),
        ({"content-type": "application/merge-patch+json"}, b"{}", 200),
        ({"content-type": ";"}, b"{}", 400),
    ],
)
async def test_encodings(house: House, headers: dict[str, str], content: Any, status: int) -> None:
    """UTF-8 and nothing else, uncompressed; a mistake is said to be one."""
    answer = await house.client.post("/threads", content=content, headers=JSON | headers)
    assert status == answer.status_code
    if status == 400:
        assert "invalid_request_error" == error_of(answer)["type"]


async def test_a_large_body_leaves_the_loop_to_others(house: House) -> None:
    """While 20 MB are read and checked, others are answered."""
    messages = [{"role": "user", "content": "x" * 250_000} for _ in range(80)]
    body = json.dumps({"messages": messages, "unknown": 1}).encode()
    sending = asyncio.create_task(house.client.post("/threads", content=body, headers=JSON))
    await asyncio.sleep(0)
    alive = await house.client.get("http://localhost/healthz")
    assert (200, False) == (alive.status_code, sending.done())
    assert "unknown_parameter" == error_of(await sending)["code"]
