"""The tokens of earlier answers."""

from collections.abc import Mapping

from local_assistants.backends.llama_cpp.kv.answers import AnswerMemory, occurrences
from local_assistants.backends.llama_cpp.kv.token_ids import common_prefix, packed, unpacked
from local_assistants.engine.chat import ChatMessage, ToolCall


def said(text: str, *arguments: str) -> ChatMessage:
    """An answer in words and calls of one tool."""
    calls = tuple(ToolCall(id="", name="add", arguments=each) for each in arguments)
    return ChatMessage(role="assistant", content=text, tool_calls=calls)


def test_an_answer_is_known_by_what_it_said() -> None:
    """However its arguments are spaced and whatever white space surrounds it, but in its own conversation only."""
    memory = AnswerMemory()
    memory.remember("a", said("So: ", '{"b": 1, "a": 2}'), [5, 6])
    found = [memory.recall(session, said("So:", '{"a":2,"b":1}')) for session in ("a", "b", None)]
    assert [(5, 6), None, None] == found


def test_the_same_words_may_have_been_other_tokens() -> None:
    """An answer is known by how often it had been given before, too; spacing of arguments does not make it another."""
    memory = AnswerMemory()
    first, again = said("", '{"a": 1}'), said("", '{"a":1}')
    history = [first, ChatMessage(role="tool", content="1"), again, said("", '{"a":2}')]
    before = occurrences(history)
    for index, (message, nth) in enumerate(zip(history, before, strict=True)):
        memory.remember("a", message, [index], nth)
    found = [memory.recall("a", *each) for each in zip(history, before, strict=True)]
    assert [(0,), (1,), (2,), (3,)] == found


def test_what_was_forgotten_is_gone() -> None:
    """Of the conversation that was named, and of that alone."""
    memory = AnswerMemory()
    memory.remember("a", said("Yes."), [1])
    memory.remember("b", said("Yes."), [2])
    memory.forget("a")
    assert [None, (2,)] == [memory.recall(session, said("Yes.")) for session in ("a", "b")]


def test_answers_that_are_kept_elsewhere_are_read_once() -> None:
    """At the first question that cannot be answered; newer ones are not overwritten by them."""
    asked: list[str] = []
    first = AnswerMemory()
    first.remember("a", said("one"), [1])
    first.remember("a", said("two"), [2])

    def kept(session: str) -> Mapping[bytes, bytes]:
        asked.append(session)
        return first.of(session)

    second = AnswerMemory(kept)
    second.remember("a", said("two"), [22])
    found = [second.recall("a", said(text)) for text in ("one", "two", "three", "four")]
    assert ([(1,), (22,), None, None], ["a"]) == (found, asked)


def test_the_budget_is_kept_by_dropping_the_oldest() -> None:
    """The conversation that was used longest ago loses its answers first."""
    memory = AnswerMemory(budget=4000)
    for number in range(100):
        memory.remember(f"session {number % 10}", said(str(number)), [number] * 50)
        assert memory.size <= 4000
    assert (None, (99,) * 50) == (
        memory.recall("session 0", said("0")),
        memory.recall("session 9", said("99")),
    )


def test_ids_keep_their_values_in_bytes() -> None:
    """Four bytes each, negative ones too."""
    ids = [0, 1, 151643, -7]
    assert (16, ids) == (len(packed(ids)), list(unpacked(packed(ids))))


def test_the_common_beginning_counts_whole_ids() -> None:
    """Ids that share a byte are different ids."""
    assert [2, 0, 3, 0] == [
        common_prefix(packed(left), packed(right))
        for left, right in (
            ([1, 2, 3], [1, 2, 259]),
            ([1], [257]),
            ([1, 2, 3], [1, 2, 3, 4]),
            ([], [1]),
        )
    ]
