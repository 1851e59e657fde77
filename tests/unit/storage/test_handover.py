"""Results that one thread hands to the event loops that wait: each gets its own, one that is gone holds up nobody."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from local_assistants.storage.handover import Outcome, hand_over


async def test_a_group_is_settled_in_order() -> None:
    """Results and errors reach their futures, the earlier ones first; a cancelled one is passed over."""
    loop = asyncio.get_running_loop()
    futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(4)]
    settled: list[int] = []
    for number, future in enumerate(futures):
        future.add_done_callback(lambda _, number=number: settled.append(number))  # type: ignore[misc]
    futures[1].cancel()
    error = ValueError("no")
    outcomes = [Outcome(each, number) for number, each in enumerate(futures)]
    outcomes[2] = Outcome(futures[2], error=error)
    await asyncio.to_thread(hand_over, outcomes)
    results = await asyncio.gather(*futures, return_exceptions=True)
    assert [0, error, 3] == [results[0], results[2], results[3]]
    assert isinstance(results[1], asyncio.CancelledError)
    assert [1, 0, 2, 3] == settled


async def test_a_closed_loop_keeps_nobody_else_from_his_result() -> None:
    """Of two loops that wait for one group, one is closed before the group is done."""
    gone: Future[asyncio.Future[int]] = Future()

    def visit() -> None:
        loop = asyncio.new_event_loop()
        gone.set_result(loop.create_future())
        loop.close()

    visitor = threading.Thread(target=visit)
    visitor.start()
    visitor.join(10)
    own: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    await asyncio.to_thread(hand_over, [Outcome(gone.result(0), 1), Outcome(own, "mine")])
    async with asyncio.timeout(10):
        assert "mine" == await own
    assert not gone.result(0).done()


async def test_an_error_is_raised_where_it_is_awaited() -> None:
    """Whoever awaits gets the very error."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    hand_over([Outcome(future, error=ValueError("told"))])
    with pytest.raises(ValueError, match="told"):
        await future
