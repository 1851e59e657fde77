"""What a turn comes to reaches its reader, and waits for it."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.outlet import Item, Outlet, Post, is_last
from local_assistants.backends.llama_cpp.turn import Fragment
from local_assistants.engine.chat import ChatRequest, Finish, TextDelta
from local_assistants.engine.errors import BackendFault
from tests.support.turns import Turn, listen, user

MOST = 32


class Gate:
    """Hears when a turn is held up and let go."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def outlet(self, post: Post) -> Outlet:
        """An outlet that tells it."""
        return Outlet(post, lambda: self.heard.append("hold"), lambda: self.heard.append("go"))


def fragment(number: int) -> Fragment:
    """One that can be told from others."""
    return Fragment((TextDelta(f"{number} "),), (number,))


async def on_a_thread(*steps: Sequence[tuple[Outlet, Item]], post: Post) -> None:
    """Each step's items are put and delivered together, as the scheduler does."""

    def work() -> None:
        for step in steps:
            for outlet, item in step:
                outlet.put(item)
            post.deliver()

    thread = threading.Thread(target=work)
    thread.start()
    await asyncio.to_thread(thread.join)


async def test_turns_of_a_step_get_what_is_theirs() -> None:
    """In order, and the error after what was said before it."""
    post = Post()
    left, right = Gate().outlet(post), Gate().outlet(post)
    fault = BackendFault("gone")
    steps = [[(left, fragment(n)), (right, fragment(-n))] for n in range(3)]
    await on_a_thread(*steps, [(right, fault)], post=post)
    assert [fragment(n) for n in range(3)] == [await left.get() for _ in range(3)]
    assert [fragment(-n) for n in range(3)] == [await right.get() for _ in range(3)]
    with pytest.raises(BackendFault, match="gone"):
        await right.get()


async def test_nothing_comes_before_the_post() -> None:
    """What is put waits for the end of the step."""
    post = Post()
    outlet = Gate().outlet(post)
    outlet.put(fragment(1))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(outlet.get(), 0.02)
    post.deliver()
    assert fragment(1) == await outlet.get()


async def test_turn_is_held_up_once_and_let_go_when_half_is_read() -> None:
    """Not with every fragment that comes or goes."""
    post, gate = Post(), Gate()
    outlet = gate.outlet(post)
    await on_a_thread([(outlet, fragment(n)) for n in range(MOST + 2)], post=post)
    held = list(gate.heard)
    for _ in range(MOST // 2 + 1):
        await outlet.get()
    still = list(gate.heard)
    await outlet.get()
    assert ["hold"] == held == still
    assert ["hold", "go"] == gate.heard


async def test_reader_whose_loop_is_gone_disturbs_nobody() -> None:
    """The others get their post."""
    post = Post()
    ours = Gate().outlet(post)

    async def make() -> Outlet:
        return Gate().outlet(post)

    theirs = await asyncio.to_thread(lambda: asyncio.run(make()))
    await on_a_thread([(theirs, fragment(1)), (ours, fragment(2))], post=post)
    assert fragment(2) == await ours.get()


async def test_slow_reader_stops_its_turn_and_no_other(random_model: Path) -> None:
    """The model evaluates no more of it than there is room for, and goes on when it is read."""
    settings = LlamaSettings(context_tokens=2048, threads=1)
    backend = await LlamaCppBackend.open(random_model, settings)
    slow = backend.stream(ChatRequest((user("Hello"),), seed=1, max_tokens=400))
    first = await anext(slow)
    other = await listen(backend, user("Hi"), seed=2, max_tokens=100)
    await asyncio.sleep(0.2)
    held = backend.evaluated_tokens
    await asyncio.sleep(0.2)
    assert held == backend.evaluated_tokens < 400
    turn = Turn((first, *[delta async for delta in slow]))
    await backend.close()
    assert (100, 400) == (other.usage.completion_tokens, turn.usage.completion_tokens)


def test_the_end_is_known() -> None:
    """By the last delta of a fragment."""
    assert is_last(Fragment((TextDelta("a"), Finish("stop")), (1,)))
    assert not is_last(Fragment((TextDelta("a"),), (1,)))
    assert not is_last(Fragment((), ()))
