"""Text in a steady pace: joined, in order, complete; errors are not lost."""

import asyncio

import pytest

from local_assistants.tools.code_interpreter.log_stream import LogStream


class Receiver:
    """Takes what is sent; can be held up, and can refuse."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.came = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.refuses = False

    async def take(self, text: str) -> None:
        """Hear a text."""
        await self.open.wait()
        if self.refuses:
            raise ConnectionError("nobody listens")
        self.heard.append(text)
        self.came.set()


async def test_pieces_that_come_at_once_are_joined() -> None:
    """A thousand prints are a few transactions, and nothing is lost or out of order."""
    receiver = Receiver()
    async with LogStream(receiver.take) as logs:
        for number in range(1000):
            await logs.write(f"{number}\n")
            if number % 100 == 0:
                await asyncio.sleep(0)
    assert [str(number) for number in range(1000)] == "".join(receiver.heard).splitlines()
    assert len(receiver.heard) <= 3


async def test_the_first_piece_does_not_wait() -> None:
    """It is sent while the code goes on in silence."""
    receiver = Receiver()
    async with LogStream(receiver.take) as logs:
        await logs.write("at once")
        async with asyncio.timeout(5):
            await receiver.came.wait()
        assert ["at once"] == receiver.heard


async def test_a_piece_after_the_first_comes_without_another_push() -> None:
    """The last words before a long silence are shown, too."""
    receiver = Receiver()
    async with LogStream(receiver.take) as logs:
        await logs.write("one ")
        async with asyncio.timeout(5):
            await receiver.came.wait()
            receiver.came.clear()
            await logs.write("two")
            await receiver.came.wait()
        assert ["one ", "two"] == receiver.heard


async def test_flushing_waits_for_what_is_on_its_way() -> None:
    """A picture that follows comes after all that was printed before."""
    receiver = Receiver()
    async with LogStream(receiver.take) as logs:
        receiver.open.clear()
        await logs.write("a")
        await asyncio.sleep(0)
        await logs.write("b")
        flushing = asyncio.create_task(logs.flush())
        await asyncio.sleep(0)
        assert not flushing.done()
        receiver.open.set()
        await flushing
        assert "ab" == "".join(receiver.heard)


async def talk_on(receiver: Receiver) -> None:
    """Write for ever."""
    async with LogStream(receiver.take) as logs, asyncio.timeout(5):
        while True:
            await logs.write("more")
            await asyncio.sleep(0.01)


async def stumble(receiver: Receiver) -> None:
    """Write something, then fail."""
    async with LogStream(receiver.take) as logs:
        await logs.write("lost")
        raise ZeroDivisionError


async def test_an_error_of_sending_reaches_the_writer() -> None:
    """Code must not go on talking to nobody."""
    receiver = Receiver()
    receiver.refuses = True
    with pytest.raises(ConnectionError, match="nobody listens"):
        await talk_on(receiver)


async def test_an_error_of_the_block_is_not_replaced() -> None:
    """What went wrong first is what is told."""
    receiver = Receiver()
    receiver.refuses = True
    with pytest.raises(ZeroDivisionError):
        await stumble(receiver)
