"""Several endpoints: who answers whom, and what happens when one goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from local_assistants.backends.openai_compatible import OpenAICompatibleBackend
from local_assistants.engine.chat import ChatMessage, ChatRequest, TextDelta
from local_assistants.engine.errors import BackendFault
from tests.support.chat_server import (
    MODELS,
    ChatServer,
    Reply,
    chat_server,
    delta,
    drops,
    hangs,
    refuses,
    says,
    then,
)
from tests.support.turns import listen, user

from .conftest import Connect, StepClock

HELLO = user("Hello")


@pytest.fixture
async def servers() -> AsyncIterator[tuple[ChatServer, ChatServer, ChatServer]]:
    """Three servers of the same model."""
    async with AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(chat_server()) for _ in range(3)]
        yield opened[0], opened[1], opened[2]


Servers = tuple[ChatServer, ChatServer, ChatServer]


def asked(servers: Servers) -> list[int]:
    """How many turns each server was asked for."""
    return [len(server.chats) for server in servers]


async def own(backend: OpenAICompatibleBackend, servers: Servers, session: str) -> ChatServer:
    """The server that a session goes to; nothing is left of having asked."""
    before = asked(servers)
    await listen(backend, HELLO, session=session)
    return next(s for s, n in zip(servers, before, strict=True) if len(s.chats) > n)


async def until(backend: OpenAICompatibleBackend, url: str, trouble: bool) -> None:
    """Wait until an endpoint is in trouble, or out of it."""
    async with asyncio.timeout(5):
        while bool(troubles(backend)[url]) != trouble:  # noqa: ASYNC110  (it is the backend's affair)
            await asyncio.sleep(0.01)


def troubles(backend: OpenAICompatibleBackend) -> dict[str, str | None]:
    """The trouble of each endpoint."""
    return {one["url"]: one["trouble"] for one in backend.capabilities.extra["endpoints"]}


# --- who answers -----------------------------------------------------------------------------------


async def test_a_session_stays_where_it_is(servers: Servers, connect: Connect) -> None:
    """Its prefix is cached there."""
    backend = await connect(*servers)
    for _ in range(6):
        await listen(backend, HELLO, session="thread_1")
    assert [0, 0, 6] == sorted(asked(servers))


async def test_sessions_are_spread(servers: Servers, connect: Connect) -> None:
    """Every server has some of many."""
    backend = await connect(*servers)
    for number in range(30):
        await listen(backend, HELLO, session=f"thread_{number}")
    assert min(asked(servers)) >= 3


async def test_without_a_session_the_beginning_counts(servers: Servers, connect: Connect) -> None:
    """The same instructions go to the same server, whatever follows; others are spread."""
    backend = await connect(*servers)
    system = ChatMessage(role="system", content="Be brief.")
    for number in range(6):
        await listen(backend, system, user(f"Question {number}"))
    assert [0, 0, 6] == sorted(asked(servers))
    for number in range(30):
        await listen(backend, ChatMessage(role="system", content=f"You are {number}."))
    assert min(asked(servers)) >= 3


async def test_only_the_lost_server_s_sessions_move(
    servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """And they come back with it."""
    backend = await connect(*servers)
    sessions = [f"thread_{number}" for number in range(12)]
    before = {session: await own(backend, servers, session) for session in sessions}
    lost = before["thread_0"]
    await lost.stop()
    during = {session: await own(backend, servers, session) for session in sessions}
    assert lost not in during.values()
    assert all(during[s] is before[s] for s in sessions if before[s] is not lost)
    await lost.start()
    clock.check()
    await until(backend, lost.url, trouble=False)
    assert before == {session: await own(backend, servers, session) for session in sessions}


async def test_a_busy_server_is_relieved(servers: Servers, connect: Connect) -> None:
    """From the set number of turns on, further ones go to the least busy."""
    backend = await connect(*servers, spill_at=2)
    first = await own(backend, servers, "thread_1")
    first.replies = [then(delta(content="a"), last=hangs)]
    streams = [backend.stream(ChatRequest((HELLO,), session="thread_1")) for _ in range(2)]
    for stream in streams:
        assert TextDelta("a") == await anext(stream)
    assert first is not await own(backend, servers, "thread_1")
    for stream in streams:
        await stream.aclose()
    first.replies = [says("hello")]
    assert first is await own(backend, servers, "thread_1")


async def test_nobody_is_relieved_where_it_is_turned_off(
    servers: Servers, connect: Connect
) -> None:
    """Affinity alone decides."""
    backend = await connect(*servers, spill_at=None)
    first = await own(backend, servers, "thread_1")
    first.replies = [then(delta(content="a"), last=hangs)]
    streams = [backend.stream(ChatRequest((HELLO,), session="thread_1")) for _ in range(9)]
    assert [TextDelta("a")] * 9 == [await anext(stream) for stream in streams]
    assert 10 == len(first.chats)
    for stream in streams:
        await stream.aclose()


# --- what fails ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "left_out"),
    [(drops, True), (refuses(503), True), (refuses(500), False), (refuses(429), False)],
    ids=["dropped", "503", "500", "429"],
)
async def test_another_endpoint_takes_over_at_once(
    fault: Reply, left_out: bool, servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """Without a wait; whether the first one is left out depends on what it said."""
    backend = await connect(*servers)
    first = await own(backend, servers, "thread_1")
    first.replies = [fault]
    turn = await listen(backend, HELLO, session="thread_1")
    assert ("hello", []) == (turn.text, clock.waits)
    assert left_out == (troubles(backend)[first.url] is not None)
    number = len(first.chats)
    await listen(backend, HELLO, session="thread_1")
    assert left_out == (len(first.chats) == number)


async def test_what_was_left_out_comes_back_by_a_check(
    servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """The next one that it passes."""
    backend = await connect(*servers)
    first = await own(backend, servers, "thread_1")
    first.replies = [drops]
    await listen(backend, HELLO, session="thread_1")
    first.replies = [says("hello")]
    clock.check()
    await until(backend, first.url, trouble=False)
    assert first is await own(backend, servers, "thread_1")


async def test_a_check_finds_who_is_gone(
    servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """Before any turn is tried there."""
    backend = await connect(*servers)
    await servers[0].stop()
    clock.check()
    await until(backend, servers[0].url, trouble=True)
    assert "cannot be reached" in str(troubles(backend)[servers[0].url])
    await servers[0].start()


async def test_a_check_does_not_wait_for_ever(
    servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """A server that hangs is one that is gone."""
    backend = await connect(*servers, health_timeout=1.0)
    servers[0].pages["/v1/models"] = hangs
    clock.check()
    await until(backend, servers[0].url, trouble=True)
    assert "does not answer within 1 seconds" in str(troubles(backend)[servers[0].url])


@pytest.mark.parametrize("page", [refuses(500), refuses(200, b"{" * 100_000), hangs, drops])
async def test_no_answer_ends_the_checks(
    page: Reply, servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """Whatever a server says of itself, it is asked again."""
    backend = await connect(*servers, health_timeout=1.0)
    servers[0].replies = [drops]
    servers[0].pages["/v1/models"] = page
    for number in range(30):
        await listen(backend, HELLO, session=f"thread_{number}")
    before = len(servers[0].seen)
    clock.check()
    async with asyncio.timeout(5):
        while len(servers[0].seen) == before:  # noqa: ASYNC110  (it is the backend's affair)
            await asyncio.sleep(0.01)
    servers[0].pages["/v1/models"] = MODELS
    clock.check()
    await until(backend, servers[0].url, trouble=False)


async def test_a_server_that_hangs_is_not_asked_twice(servers: Servers, connect: Connect) -> None:
    """When no first word came in time another one may answer; the same would not be quicker."""
    backend = await connect(*servers, first_token_timeout=0.7)
    first = await own(backend, servers, "thread_1")
    first.replies = [hangs]
    assert "hello" == (await listen(backend, HELLO, session="thread_1")).text
    for server in servers:
        server.replies = [hangs]
    before = asked(servers)
    with pytest.raises(BackendFault, match="did not begin to answer"):
        await listen(backend, HELLO, session="thread_1")
    assert [1, 1, 1] == [a - b for a, b in zip(asked(servers), before, strict=True)]


async def test_all_endpoints_down_is_said_of_each(
    servers: Servers, connect: Connect, clock: StepClock
) -> None:
    """With its reason and what to do; and the turn waited for one to come back."""
    backend = await connect(*servers)
    for server in servers:
        await server.stop()
    with pytest.raises(BackendFault, match="Start the server") as caught:
        await listen(backend, HELLO)
    for server in servers:
        assert f"{server.url}: The model's server cannot be reached" in caught.value.message
        await server.start()
    assert [] != clock.waits


async def test_a_server_that_comes_back_is_used_by_those_who_wait(
    server: ChatServer, connect: Connect, clock: StepClock
) -> None:
    """A turn that finds everything down looks again before it gives up."""
    backend = await connect(server)
    await server.stop()
    clock.check()
    await until(backend, server.url, trouble=True)
    await server.start()
    assert "hello" == (await listen(backend, HELLO)).text


async def test_one_endpoint_is_enough_to_open(servers: Servers, connect: Connect) -> None:
    """The others may come later."""
    await servers[0].stop()
    await servers[1].stop()
    backend = await connect(*servers)
    assert "hello" == (await listen(backend, HELLO)).text
    await servers[0].start()
    await servers[1].start()


async def test_opening_fails_when_all_are_down(servers: Servers, connect: Connect) -> None:
    """Each is named with its reason."""
    for server in servers:
        server.pages["/v1/models"] = refuses(502)
    with pytest.raises(BackendFault, match=r"No endpoint .* can be used") as caught:
        await connect(*servers)
    assert all(
        f"{server.url}: The model's server answered 502" in caught.value.message
        for server in servers
    )


async def test_an_endpoint_named_twice_is_one(server: ChatServer, connect: Connect) -> None:
    """With and without /v1."""
    backend = await connect(server, endpoints=(server.url, f"{server.url}/v1/"))
    assert [server.url] == list(troubles(backend))
