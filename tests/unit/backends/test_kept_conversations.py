"""Conversations that go on: after a restart, after a kill, after they were forgotten; on the whole backend."""

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp import LlamaCppBackend, LlamaSettings
from local_assistants.backends.llama_cpp.kv.parking import forget
from local_assistants.engine.chat import ChatRequest, Delta
from tests.support.one_turn import SESSION, Cost, ask
from tests.support.toy_gguf import write_random_model
from tests.support.turns import Turn, listen, user

STORY = "Once upon a time there was a pool of keys and values. " * 4


@pytest.fixture
async def backend(random_model: Path, tmp_path: Path) -> AsyncIterator[LlamaCppBackend]:
    """A model that babbles, with one sequence, so that every other conversation has to leave the pool."""
    settings = LlamaSettings(
        context_tokens=2048, threads=1, sequences=1, parallel=1, park_folder=tmp_path / "states"
    )
    made = await LlamaCppBackend.open(random_model, settings)
    yield made
    await made.close()


@pytest.mark.parametrize(("turns", "die"), [(3, False), (2, True)])
def test_a_conversation_goes_on_in_another_process(
    random_model: Path, tmp_path: Path, turns: int, die: bool
) -> None:
    """Turn by turn a new process, which ended well or was killed while idle: only new tokens are evaluated."""
    messages, costs = [("user", STORY)], list[Cost]()
    for _ in range(turns):
        costs.append(ask(random_model, tmp_path, messages, die=die))
        messages += [("assistant", costs[-1].text), ("user", "And then?")]
    assert 0 == costs[0].cached
    for before, cost in pairwise(costs):
        # All of the turn before but the last token of its answer, which nothing came after.
        assert before.prompt + 23 == cost.cached
        assert cost.evaluated < 0.4 * cost.prompt


async def test_what_left_the_pool_is_told_as_cached(backend: LlamaCppBackend) -> None:
    """A conversation that another one pushed out comes back, and usage says how much of it."""
    first = await listen(backend, user(STORY), session="a", max_tokens=8, temperature=0.0)
    await listen(backend, user("Something else. " * 20), session="b", max_tokens=8)
    history = (user(STORY), first.message, user("And then?"))
    again = await listen(backend, *history, session="a", max_tokens=8, temperature=0.0)
    usage = again.usage
    assert first.usage.prompt_tokens + 7 == usage.cached_tokens
    assert usage.prompt_tokens - usage.cached_tokens < 40


async def test_forgetting_erases_answers_states_and_files(
    backend: LlamaCppBackend, tmp_path: Path
) -> None:
    """The next turn of that name starts from nothing, while another conversation keeps its own."""
    for session in ("a", "b"):
        await listen(backend, user(session + STORY), session=session, max_tokens=8)
    await backend.forget("a")
    again = await listen(backend, user("a" + STORY), session="a", max_tokens=8)
    other = await listen(backend, user("b" + STORY), session="b", max_tokens=8)
    assert again.usage.cached_tokens < 10 < other.usage.cached_tokens


async def test_a_turn_at_work_is_forgotten_when_it_ends(backend: LlamaCppBackend) -> None:
    """It goes on undisturbed; then nothing of it is left, its answer's tokens neither."""
    request = ChatRequest((user(STORY),), session="a", max_tokens=40, temperature=0.0)
    deltas: list[Delta] = []
    async for delta in backend.stream(request):
        if not deltas:
            await backend.forget("a")
        deltas.append(delta)
    first = Turn(tuple(deltas))
    history = (user(STORY), first.message, user("So?"))
    again = await listen(backend, *history, session="a", max_tokens=1)
    assert (0, "length") == (again.usage.cached_tokens, first.reason)


async def test_a_closed_model_s_conversations_can_be_forgotten(
    random_model: Path, tmp_path: Path
) -> None:
    """By their folder and their key alone."""
    states = tmp_path / "states"
    ask(random_model, states, [("user", STORY)])
    assert 1 == len(list(states.glob("*/*")))
    forget(states, SESSION)
    assert [] == list(states.glob("*/*"))


def test_states_of_another_model_are_not_taken(random_model: Path, tmp_path: Path) -> None:
    """A file put into the place of the old one is another model, whatever its name."""
    states = tmp_path / "states"
    ask(random_model, states, [("user", STORY)])
    write_random_model(random_model, seed=8)
    [folder] = states.iterdir()
    cost = ask(random_model, states, [("user", STORY)])
    assert (0, 2) == (cost.cached, len(list(states.iterdir())))
    assert folder in states.iterdir()
