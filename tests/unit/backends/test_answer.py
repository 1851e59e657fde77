"""An answer that was broken off goes on after the tokens that it had said."""

from contextlib import aclosing

from local_assistants.backends.llama_cpp import LlamaCppBackend
from local_assistants.backends.llama_cpp.turn import Fragment
from local_assistants.engine.chat import ChatRequest, Delta, Finish, UsageDelta
from tests.support.turns import texts, user

REQUEST = ChatRequest((user("Hello"),), seed=4, max_tokens=24)


async def hear(
    backend: LlamaCppBackend, request: ChatRequest, said: tuple[int, ...] = ()
) -> list[Fragment]:
    """All fragments of an answer."""
    async with aclosing(backend.answer(request, said)) as fragments:
        return [fragment async for fragment in fragments]


def tokens(fragments: list[Fragment]) -> tuple[int, ...]:
    """What the fragments are made of."""
    return tuple(token for fragment in fragments for token in fragment.tokens)


def deltas(fragments: list[Fragment]) -> list[Delta]:
    """What the fragments say."""
    return [delta for fragment in fragments for delta in fragment.deltas]


async def test_broken_off_anywhere_an_answer_goes_on_as_it_would_have(
    babbler: LlamaCppBackend,
) -> None:
    """First part and rest make up the whole answer, and the rest counts the tokens of both."""
    whole = await hear(babbler, REQUEST)
    for broken in range(0, len(whole), 5):
        rest = await hear(babbler, REQUEST, tokens(whole[:broken]))
        assert tokens(whole) == tokens(whole[:broken]) + tokens(rest)
        assert "".join(texts(deltas(whole))) == "".join(texts(deltas(whole[:broken] + rest)))
        [usage] = [delta for delta in deltas(rest) if isinstance(delta, UsageDelta)]
        assert usage.completion_tokens == len(tokens(whole))


async def test_broken_off_where_the_window_ends_it_ends(babbler: LlamaCppBackend) -> None:
    """A rest that no longer fits the window is cut, not refused."""
    said = tuple(range(300, 310)) * 210
    [last] = await hear(babbler, ChatRequest((user("Hello"),)), said)
    assert last.deltas[-1] == Finish("length")
