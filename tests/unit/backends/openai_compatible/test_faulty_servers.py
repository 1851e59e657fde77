"""Turns on servers that fail in every way: what is tried again, what is said, and that nothing is said twice."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from local_assistants.backends.openai_compatible import OpenAICompatibleBackend
from local_assistants.engine.chat import ChatRequest, Delta, TextDelta
from local_assistants.engine.errors import (
    AssistantsError,
    BackendFault,
    ContextOverflow,
    InvalidRequest,
    RateLimited,
)
from tests.support.chat_server import (
    Caller,
    ChatServer,
    Reply,
    counts,
    delta,
    drops,
    events,
    finish,
    hangs,
    pieces,
    refuses,
    says,
    then,
)
from tests.support.turns import listen, user

from .conftest import Connect, StepClock

HELLO = user("Hello")
KEY = "sk-very-secret-1234"
OVERFLOW = {"error": {"code": 400, "message": "maximum context length is 100 tokens"}}


async def heard(backend: OpenAICompatibleBackend) -> tuple[list[Delta], AssistantsError]:
    """What was heard of a turn before its error."""
    deltas: list[Delta] = []

    async def listen() -> None:
        async for one in backend.stream(ChatRequest((HELLO,))):
            deltas.append(one)  # noqa: PERF401  (what came before the error is kept)

    with pytest.raises(AssistantsError) as caught:
        await listen()
    return deltas, caught.value


async def test_a_turn_without_faults(server: ChatServer, connect: Connect) -> None:
    """Text, the server's counts, the end; one request."""
    server.replies = [says("hel", "lo")]
    turn = await listen(await connect(server), HELLO)
    assert ("hello", 7, 3, "stop") == (
        turn.text,
        turn.usage.prompt_tokens,
        turn.usage.completion_tokens,
        turn.reason,
    )
    assert 1 == len(server.chats)


# --- before the first word -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [
        drops,
        refuses(429),
        refuses(500, {"error": {"message": "boom"}}),
        refuses(503, {"error": {"message": "Loading model"}}),
        refuses(408),
        events(),
        events(delta(role="assistant")),
        then(delta(role="assistant"), last=drops),
        events({"error": {"code": 500, "message": "slot crashed"}}),
        pieces(b": ping\n\n"),
    ],
    ids=[
        "dropped",
        "429",
        "500",
        "503",
        "408",
        "empty stream",
        "ended after the role",
        "cut after the role",
        "error in the stream",
        "only comments",
    ],
)
async def test_a_fault_before_the_first_word_is_not_noticed(
    fault: Reply, server: ChatServer, connect: Connect, clock: StepClock
) -> None:
    """The turn is tried again after a wait, and heard once."""
    server.replies = [fault, fault, says("hello")]
    turn = await listen(await connect(server), HELLO)
    assert ("hello", 3, [0.5, 1.0]) == (turn.text, len(server.chats), clock.waits)


async def test_attempts_come_to_an_end(
    server: ChatServer, connect: Connect, clock: StepClock
) -> None:
    """The error is the last one, with how often it was tried; waits do not grow without end."""
    server.replies = [refuses(500, {"error": {"message": "boom"}})]
    with pytest.raises(BackendFault, match=r"answered 500: boom \(6 attempts\)"):
        await listen(await connect(server, attempts=6, max_backoff=3.0), HELLO)
    assert (6, [0.5, 1.0, 2.0, 3.0, 3.0]) == (len(server.chats), clock.waits)


async def test_too_many_requests_to_the_end(server: ChatServer, connect: Connect) -> None:
    """The run is told that a limit was reached."""
    server.replies = [refuses(429, {"error": {"message": "slow down"}})]
    with pytest.raises(RateLimited, match="slow down") as caught:
        await listen(await connect(server, attempts=2), HELLO)
    assert "rate_limit_exceeded" == caught.value.code


async def test_the_server_says_how_long_to_wait(
    server: ChatServer, connect: Connect, clock: StepClock
) -> None:
    """And is not asked before that."""
    server.replies = [refuses(429, headers={"Retry-After": "7"}), says("hello")]
    await listen(await connect(server), HELLO)
    assert [7.0] == clock.waits


async def test_nobody_waits_for_an_hour(
    server: ChatServer, connect: Connect, clock: StepClock
) -> None:
    """What is longer than the longest wait ends the turn at once."""
    server.replies = [refuses(429, headers={"Retry-After": "3600"})]
    with pytest.raises(RateLimited):
        await listen(await connect(server), HELLO)
    assert (1, []) == (len(server.chats), clock.waits)


@pytest.mark.parametrize(
    ("fault", "error", "text"),
    [
        (refuses(400, {"error": {"message": "bad"}}), BackendFault, "answered 400: bad"),
        (refuses(401), BackendFault, "api_key_env"),
        (refuses(404), BackendFault, "name of the model"),
        (refuses(400, OVERFLOW), ContextOverflow, "100 tokens"),
        (refuses(400, b'{"error": "bad json_schema"}'), InvalidRequest, "schema"),
        (events("no json"), BackendFault, "no JSON object"),
        (events("[" * 100_000), BackendFault, "no JSON object"),
        (pieces(b"\x00\xff\n\n\x1f\x8b garbage"), BackendFault, "closed the connection"),
        (pieces(b"<html>", content_type="text/html"), BackendFault, "did not stream"),
    ],
    ids=["400", "401", "404", "overflow", "schema", "garbage", "deep", "binary", "html"],
)
async def test_what_would_fail_again_is_not_tried_again(
    fault: Reply, error: type[Exception], text: str, server: ChatServer, connect: Connect
) -> None:
    """A clear error after one request."""
    server.replies = [fault]
    with pytest.raises(error, match=text):
        await listen(await connect(server, attempts=1), HELLO)
    assert 1 == len(server.chats)


async def test_redirects_are_not_followed(server: ChatServer, connect: Connect) -> None:
    """A server does not send us elsewhere."""
    server.replies = [refuses(307, headers={"Location": f"{server.url}/elsewhere"})]
    with pytest.raises(BackendFault, match="Redirects are not followed"):
        await listen(await connect(server), HELLO)
    assert not [seen for seen in server.seen if seen.path == "/elsewhere"]


async def test_room_that_a_server_counts_is_not_asked_for(
    server: ChatServer, connect: Connect
) -> None:
    """vLLM refuses a limit that goes beyond its context; without one the answer ends there."""
    server.replies = [refuses(400, OVERFLOW), says("hello")]
    turn = await listen(await connect(server, attempts=1), HELLO, max_tokens=50)
    assert "hello" == turn.text
    assert [50, None] == [body.get("max_tokens") for body in server.chats]


# --- after the first word --------------------------------------------------------------------------


async def resets(caller: Caller) -> None:
    """Ends the stream as if it were over."""
    await caller.end()


@pytest.mark.parametrize(
    ("last", "text"),
    [(drops, "broke off"), (resets, "broke off. .* closed the connection")],
    ids=["cut", "ended early"],
)
async def test_a_stream_that_breaks_is_a_fault_and_no_repeat(
    last: Reply, text: str, server: ChatServer, connect: Connect
) -> None:
    """What was heard stands, and the server was asked once."""
    server.replies = [then(delta(content="hel"), last=last), says("hello")]
    deltas, error = await heard(await connect(server))
    assert ([TextDelta("hel")], 1) == (deltas, len(server.chats))
    with pytest.raises(BackendFault, match=text):
        raise error


async def test_an_error_in_the_middle_is_a_fault_and_no_repeat(
    server: ChatServer, connect: Connect
) -> None:
    """Even one that may pass."""
    server.replies = [events(delta(content="hel"), {"error": {"code": 503, "message": "gone"}})]
    deltas, error = await heard(await connect(server))
    assert ([TextDelta("hel")], BackendFault, 1) == (deltas, type(error), len(server.chats))


async def test_a_cut_call_is_a_fault(server: ChatServer, connect: Connect) -> None:
    """It is not passed for a whole one."""
    call = {"index": 0, "function": {"name": "f", "arguments": '{"x'}}
    server.replies = [then(delta(tool_calls=[call]), last=drops)]
    deltas, error = await heard(await connect(server))
    assert (1, BackendFault) == (len(deltas), type(error))


async def test_characters_cut_by_the_network(server: ChatServer, connect: Connect) -> None:
    """Every byte comes in a chunk of its own."""
    data = 'data: {"choices": [{"delta": {"content": "é😀"}}]}\n\ndata: [DONE]\n\n'.encode()
    server.replies = [pieces(*(data[i : i + 1] for i in range(len(data))))]
    assert "é😀" == (await listen(await connect(server), HELLO)).text


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"max_line_bytes": 1000}, "more than 1000 bytes"),
        ({"max_answer_bytes": 1000}, "more than 1000 bytes for one answer"),
    ],
)
async def test_floods_are_cut_off(
    limits: dict[str, int], text: str, server: ChatServer, connect: Connect
) -> None:
    """The connection is closed, however much the server would still send."""

    async def floods(caller: Caller) -> None:
        await caller.begin()
        while True:
            await caller.chunk(b"data: " + b"x" * 500)

    server.replies = [floods]
    with pytest.raises(BackendFault, match=text):
        await listen(await connect(server, **limits), HELLO)
    async with asyncio.timeout(5):
        await server.left.wait()


async def test_a_refusal_without_end_is_not_read_to_its_end(
    server: ChatServer, connect: Connect
) -> None:
    """Its beginning says enough."""

    async def floods(caller: Caller) -> None:
        await caller.write(b"HTTP/1.1 400 No\r\nConnection: close\r\n\r\n")
        while True:
            await caller.write(b"no " * 1000)

    server.replies = [floods]
    with pytest.raises(BackendFault, match="answered 400: no no"):
        await listen(await connect(server), HELLO)


async def test_counts_after_the_end_are_not_waited_for_without_end(
    server: ChatServer, connect: Connect
) -> None:
    """A connection that breaks after the answer was whole harms nobody; the counts are made here."""
    server.replies = [then(delta(content="hello"), finish("stop"), last=drops)]
    turn = await listen(await connect(server), HELLO)
    assert ("hello", "stop") == (turn.text, turn.reason)
    assert turn.usage.completion_tokens > 0


async def test_a_server_that_gives_no_counts(server: ChatServer, connect: Connect) -> None:
    """The prompt is counted as count_tokens does, and capabilities say so."""
    server.replies = [events(delta(content="hello you"), finish("stop"), "[DONE]"), says("hello")]
    backend = await connect(server)
    turn = await listen(backend, HELLO)
    counted = await backend.count_tokens(ChatRequest((HELLO,)))
    assert (counted, 3) == (turn.usage.prompt_tokens, turn.usage.completion_tokens)
    assert "counted here" == backend.capabilities.extra["endpoints"][0]["usage"]
    await listen(backend, HELLO)
    assert "exact" == backend.capabilities.extra["endpoints"][0]["usage"]


# --- time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "settings", "text"),
    [
        (hangs, {"first_token_timeout": 0.1}, "did not begin to answer within 0.1 seconds"),
        (
            then(delta(role="assistant"), last=hangs),
            {"first_token_timeout": 0.1},
            "did not begin to answer within 0.1 seconds",
        ),
        (
            then(delta(content="a"), last=hangs),
            {"token_timeout": 0.1},
            "fell silent in the middle of its answer for 0.1 seconds",
        ),
        (
            then(delta(content="a"), last=hangs),
            {"total_timeout": 0.1},
            "did not end its answer within 0.1 seconds",
        ),
        (hangs, {"total_timeout": 0.1}, "did not end its answer within 0.1 seconds"),
    ],
    ids=["no answer", "only a role", "silence", "all in all", "all in all, no answer"],
)
async def test_limits_of_time(
    reply: Reply, settings: dict[str, Any], text: str, server: ChatServer, connect: Connect
) -> None:
    """One request, a clear error, and the server sees the connection close."""
    server.replies = [reply]
    with pytest.raises(BackendFault, match=text):
        await listen(await connect(server, **settings), HELLO)
    async with asyncio.timeout(5):
        await server.left.wait()
    assert 1 == len(server.chats)


async def test_signs_of_life_are_no_token(server: ChatServer, connect: Connect) -> None:
    """Comments that keep the connection open do not keep a dead model's turn alive."""

    async def pings(caller: Caller) -> None:
        await caller.begin()
        while True:
            await caller.chunk(b": ping\n\n")
            await asyncio.sleep(0.01)

    server.replies = [pings]
    with pytest.raises(BackendFault, match="did not begin"):
        await listen(await connect(server, first_token_timeout=0.2), HELLO)


async def test_thinking_is_a_token(server: ChatServer, connect: Connect) -> None:
    """A model that thinks for longer than the first token may take is not given up."""

    async def thinks(caller: Caller) -> None:
        await caller.begin()
        for _ in range(12):
            await caller.event(delta(reasoning_content="hmm"))
            await asyncio.sleep(0.1)
        await caller.event(delta(content="hello"))
        await caller.event("[DONE]")
        await caller.end()

    server.replies = [thinks]
    backend = await connect(server, first_token_timeout=1.0, token_timeout=5.0)
    assert "hello" == (await listen(backend, HELLO)).text


@pytest.mark.parametrize("said", [(), (delta(content="a"),)], ids=["waiting", "speaking"])
async def test_cancelling_closes_the_connection(
    said: tuple[Any, ...], server: ChatServer, connect: Connect
) -> None:
    """At once, before the first word and after it, so that the server stops."""
    server.replies = [then(*said, last=hangs)]
    task = asyncio.create_task(listen(await connect(server), HELLO))
    async with asyncio.timeout(5):
        await server.asked.wait()
        task.cancel()
        await server.left.wait()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_closing_the_stream_closes_the_connection(
    server: ChatServer, connect: Connect
) -> None:
    """The engine does so when a run is cancelled."""
    server.replies = [then(delta(content="a"), last=hangs)]
    stream = (await connect(server)).stream(ChatRequest((HELLO,)))
    assert TextDelta("a") == await anext(stream)
    await stream.aclose()
    async with asyncio.timeout(5):
        await server.left.wait()


async def test_after_closing_there_are_no_turns(server: ChatServer, connect: Connect) -> None:
    """A clear error, and no request."""
    backend = await connect(server)
    await backend.close()
    with pytest.raises(BackendFault, match="closed"):
        await listen(backend, HELLO)
    with pytest.raises(BackendFault, match="closed"):
        await backend.count_tokens(ChatRequest((HELLO,)))
    assert [] == server.chats


# --- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["environment", "file"])
async def test_the_key_is_sent_and_shown_nowhere(
    place: str,
    server: ChatServer,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Also when the server repeats it in its errors."""
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    monkeypatch.setenv("OUR_KEY", KEY)
    given = {"api_key_env": "OUR_KEY"} if place == "environment" else {"api_key_file": file}
    server.replies = [refuses(401, {"error": {"message": f"wrong key {KEY}"}})]
    backend = await connect(server, **given)
    with pytest.raises(BackendFault, match=r"wrong key \*\*\*") as caught:
        await listen(backend, HELLO)
    assert {f"Bearer {KEY}"} == {seen.headers["authorization"] for seen in server.seen}
    assert (
        KEY not in f"{caught.value!r} {caught.value.message} {caplog.text} {backend.capabilities}"
    )


@pytest.mark.parametrize("key", [None, "", "two words", "line\nbreak", "schlüssel"])
async def test_a_key_that_cannot_be_one(
    key: str | None, server: ChatServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the place and not the key."""
    monkeypatch.delenv("OUR_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("OUR_KEY", key)
    with pytest.raises(BackendFault, match="OUR_KEY") as caught:
        await connect(server, api_key_env="OUR_KEY")
    assert not key or key not in caught.value.message


async def test_proxies_of_the_environment_are_not_used(
    server: ChatServer, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the settings ask for them."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert "hello" == (await listen(await connect(server), HELLO)).text
    with pytest.raises(BackendFault, match="cannot be reached"):
        await connect(server, environment_proxies=True)


async def test_usage_is_what_the_server_says(server: ChatServer, connect: Connect) -> None:
    """Cached tokens included."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 90},
    }
    server.replies = [events(delta(content="hello"), finish("length"), counts(usage), "[DONE]")]
    turn = await listen(await connect(server), HELLO)
    assert (100, 2, 90, "length") == (
        turn.usage.prompt_tokens,
        turn.usage.completion_tokens,
        turn.usage.cached_tokens,
        turn.reason,
    )
