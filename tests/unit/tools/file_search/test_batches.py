"""What the model reads next: queries first, callers together, like lengths together."""

import asyncio
from collections.abc import Sequence

import pytest

from local_assistants.engine.errors import ToolFault
from local_assistants.tools.file_search.embedding.batches import Batches, Priority


class Model:
    """A model that notes what it is given and takes its time only where it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def encode(self, texts: list[str]) -> list[bytes]:
        """The text itself as its vector."""
        self.batches.append(texts)
        await self.may_go.wait()
        if "broken" in texts:
            raise ValueError("broken")
        return [text.encode() for text in texts]


def _asked(
    batches: Batches, texts: Sequence[str], priority: Priority = Priority.PASSAGE
) -> asyncio.Task[list[bytes]]:
    lengths = [len(text) for text in texts]
    return asyncio.create_task(batches.vectors(texts, lengths, priority))


async def test_every_text_gets_its_own_vector() -> None:
    """However texts are ordered into batches, the vectors come in the callers' order."""
    batches = Batches(Model().encode, 3)
    texts = ["ccc", "a", "eeeee", "bb", "dddd", "a", ""]

    assert [text.encode() for text in texts] == await _asked(batches, texts)


async def test_a_query_waits_for_one_batch_only() -> None:
    """It goes before all passages that came earlier."""
    model = Model()
    model.may_go.clear()
    batches = Batches(model.encode, 2)
    passages = _asked(batches, ["p1", "p2", "p3", "p4"])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    query = _asked(batches, ["query"], Priority.QUERY)
    await asyncio.sleep(0)
    model.may_go.set()
    await asyncio.gather(passages, query)

    assert [["p1", "p2"], ["query"], ["p3", "p4"]] == model.batches


async def test_callers_share_a_batch() -> None:
    """Single passages of several files do not go to the model one by one."""
    model = Model()
    batches = Batches(model.encode, 4)
    await asyncio.gather(*[_asked(batches, [f"file {number}"]) for number in range(4)])

    assert 1 == len(model.batches)


async def test_like_lengths_go_together_and_the_oldest_first() -> None:
    """Short texts are not padded to the length of long ones, and nobody is passed over for ever."""
    model = Model()
    batches = Batches(model.encode, 2)
    await asyncio.gather(_asked(batches, ["s1", "long text 1", "s2", "long text 2"]))

    assert [["s1", "s2"], ["long text 1", "long text 2"]] == model.batches


async def test_a_failure_is_its_batch_s_alone() -> None:
    """The callers of the batch hear of it, later ones get their vectors."""
    batches = Batches(Model().encode, 2)
    with pytest.raises(ValueError, match="broken"):
        await _asked(batches, ["broken"])

    assert [b"whole"] == await _asked(batches, ["whole"])


async def test_who_is_gone_is_not_embedded() -> None:
    """Cancelling takes the caller's texts out; the others' go on."""
    model = Model()
    model.may_go.clear()
    batches = Batches(model.encode, 1)
    first, gone, last = (_asked(batches, [name]) for name in ("first", "gone", "last"))
    await asyncio.sleep(0)
    gone.cancel()
    model.may_go.set()
    await asyncio.gather(first, last)

    assert [["first"], ["last"]] == model.batches


async def test_closing_gives_up_what_waits() -> None:
    """The batch at the model comes to its end; who waits behind it is told."""
    model = Model()
    model.may_go.clear()
    batches = Batches(model.encode, 1)
    first, second = _asked(batches, ["first"]), _asked(batches, ["second"])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    closing = asyncio.create_task(batches.close())
    await asyncio.sleep(0)
    model.may_go.set()
    await closing

    assert [b"first"] == await first
    with pytest.raises(ToolFault, match="closed"):
        await second
