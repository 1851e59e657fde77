"""Turns by name: one at a time, in order, and known to whoever asks."""

import asyncio

from local_assistants.tools.code_interpreter.sessions.turns import Turns


async def test_one_at_a_time_in_the_order_of_coming() -> None:
    """Who waits longest is next; other names are not held up."""
    turns, order = Turns(), list[str]()

    async def work(name: str, mark: str) -> None:
        async with turns.turn(name):
            order.append(mark)
            await asyncio.sleep(0)
            order.append(mark)

    await asyncio.gather(*(work("a", mark) for mark in "123"), work("b", "b"))
    assert ["1", "1", "2", "2", "3", "3"] == [mark for mark in order if mark != "b"]
    assert order.index("b") < order.index("2")


async def test_a_name_is_wanted_from_the_first_who_comes_to_the_last_who_goes() -> None:
    """Also in the moment between two of them, when nobody has the turn yet."""
    turns, seen = Turns(), list[bool]()

    async def second() -> None:
        async with turns.turn("a"):
            pass

    async with turns.turn("a"):
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        seen.append(turns.wanted("a"))
    seen.append(turns.wanted("a"))
    await waiting
    seen.append(turns.wanted("a"))
    assert [True, True, False] == seen


async def test_who_gives_up_does_not_hold_the_name() -> None:
    """Neither in the line nor with the turn."""
    turns = Turns()

    async def wait() -> None:
        async with turns.turn("a"):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks)
    assert not turns.wanted("a")
    assert turns.rested.is_set()
