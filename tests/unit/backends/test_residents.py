"""Which sequence a prompt goes on from: shared, parked and brought back states, on the real library."""

import random
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.kv.cells import Cells
from tests.support.kv_pool import PATIENCE, KVPool, kv_pool
from tests.support.toy_gguf import write_random_model

RULES = list(range(20, 80))  # what two conversations begin with


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights."""
    return write_random_model(tmp_path_factory.mktemp("model") / "random.gguf")


def talk(number: int, length: int = 60) -> list[int]:
    """The words of a conversation that nobody else has."""
    chooser = random.Random(number)
    return [chooser.randrange(20, 300) for _ in range(length)]


def fresh(model: Path, ids: list[int], length: int = 3) -> list[int]:
    """What a pool that knows nothing answers."""
    with kv_pool(model) as pool:
        return pool.turn(None, ids, length).said


def test_a_turn_goes_on_where_the_thread_left_off(model: Path) -> None:
    """Everything but the new tokens is known, and the answer is the one of a fresh evaluation."""
    with kv_pool(model) as pool:
        first = pool.turn("a", talk(1))
        prompt = [*talk(1), *first.said, *talk(2, 5)]
        second = pool.turn("a", prompt)
    # The last token that was said has not been evaluated: nothing came after it.
    assert (0, len(talk(1)) + 2) == (first.cached, second.cached)
    assert fresh(model, prompt) == second.said


def test_instructions_are_shared_with_a_conversation_at_work(model: Path) -> None:
    """Also while the sequence that holds them is busy; it is not disturbed by that."""
    with kv_pool(model) as pool:
        busy = pool.residents.take([*RULES, *talk(1)], "a")
        pool.evaluate(busy, [*RULES, *talk(1)])
        other = pool.turn("b", [*RULES, *talk(2)])
        said = pool.evaluate(busy, [*RULES, *talk(1), 50])
    assert len(RULES) == other.cached
    assert fresh(model, [*RULES, *talk(2)]) == other.said
    assert fresh(model, [*RULES, *talk(1), 50], 1) == [said]


def test_instructions_are_shared_after_their_thread_went_on(model: Path) -> None:
    """A thread that grew keeps its sequence; the newcomer gets the beginning in another one."""
    with kv_pool(model) as pool:
        first = pool.turn("a", [*RULES, *talk(1)])
        other = pool.turn("b", [*RULES, *talk(2)])
        again = pool.turn("a", [*RULES, *talk(1), *first.said, 40])
    assert (len(RULES), len(RULES) + len(talk(1)) + 2) == (other.cached, again.cached)


def test_two_that_began_together_evaluate_their_instructions_once(model: Path) -> None:
    """The second one gets them when the first has evaluated them, and goes on by itself."""
    with kv_pool(model) as pool:
        first = pool.residents.take([*RULES, *talk(1)], "a")
        second = pool.residents.take([*RULES, *talk(2)], "b")
        pool.evaluate(first, [*RULES, *talk(1)])
        pool.evaluate(second, [*RULES, *talk(2)][:10])
        gained = pool.residents.catch_up(second, [*RULES, *talk(2)])
        nothing_more = pool.residents.catch_up(second, [*RULES, *talk(2)])
        said = pool.evaluate(second, [*RULES, *talk(2)])
    assert (len(RULES) - 10, 0) == (gained, nothing_more)
    assert fresh(model, [*RULES, *talk(2)], 1) == [said]


def test_shared_cells_count_once(model: Path) -> None:
    """Three conversations with the same instructions need them once: that decides who is let in."""
    with kv_pool(model) as pool:
        for number in range(3):
            ids = [*RULES, *talk(number)]
            pool.evaluate(pool.residents.take(ids, str(number)), ids)
        taken = len(RULES) + 3 * len(talk(0))
        assert pool.residents.has_room(pool.context.size - taken)
        assert not pool.residents.has_room(pool.context.size - taken + 1)
        assert 10 == pool.residents.missing([*RULES, *talk(9, 10)])


def test_idle_conversations_do_not_count(model: Path) -> None:
    """They leave when the room is needed."""
    with kv_pool(model) as pool:
        pool.turn("a", talk(1))
        assert pool.residents.has_room(pool.context.size)


def test_what_leaves_the_pool_comes_back_from_memory(model: Path) -> None:
    """More conversations than sequences: each finds its state again and says what it would have said."""
    with kv_pool(model) as pool:
        prompts = {str(number): talk(number) for number in range(7)}
        for session, ids in prompts.items():
            ids += [*pool.turn(session, ids).said, *talk(99, 4)]
        cached = {session: pool.turn(session, ids).cached for session, ids in prompts.items()}
    assert dict.fromkeys(prompts, 62) == cached


def test_a_parked_beginning_is_of_use_to_others(model: Path) -> None:
    """The instructions of a conversation that left the pool need not be evaluated for a new one."""
    with kv_pool(model) as pool:
        pool.turn("a", [*RULES, *talk(1)])
        while pool.residents.evict():
            pass
        heard = pool.turn("b", [*RULES, *talk(2)])
    assert len(RULES) == heard.cached
    assert fresh(model, [*RULES, *talk(2)]) == heard.said


def test_nobody_has_to_leave_for_a_common_beginning(model: Path) -> None:
    """A long conversation of another thread is brought back for its instructions only where there is room for it."""
    with kv_pool(model) as pool:
        pool.turn("a", [*RULES, *talk(1, 300)])
        while pool.residents.evict():
            pass
        pool.turn("b", talk(2, 200))
        crowded = pool.turn("c", [*RULES, *talk(3)])
        going_on = pool.turn("b", [*talk(2, 200), 40])
        while pool.residents.evict():
            pass
        roomy = pool.turn("d", [*RULES, *talk(1, 300)[:100], 40])
    assert (0, 200, 160) == (crowded.cached, going_on.cached, roomy.cached)


def test_nobody_has_to_leave_for_a_state_that_will_never_fit(model: Path, tmp_path: Path) -> None:
    """One that was parked when the pool was larger; the other conversation stays where it is."""
    with kv_pool(model, tmp_path) as pool:
        pool.turn("a", talk(1, 400))
    with kv_pool(model, tmp_path, context_tokens=256) as pool:
        pool.turn("b", talk(2))
        again = pool.turn("a", [*talk(1, 400)[:60], 5])
        parked = pool.parking.memory_used
        other = pool.turn("b", talk(2))
    assert (0, 0, len(talk(2)) - 1) == (again.cached, parked, other.cached)


def test_a_slow_way_back_is_not_taken(model: Path) -> None:
    """Where evaluating is quicker than fetching a state, it is evaluated."""
    with kv_pool(model) as pool:
        pool.turn("a", talk(1))
        while pool.residents.evict():
            pass
        pool.residents.prefill_rate = 1e9
        assert 0 == pool.turn("a", [*talk(1), 40]).cached
        while pool.residents.evict():
            pass
        pool.residents.prefill_rate = 10.0
        assert 0 < pool.turn("a", [*talk(1), 40]).cached


def test_memory_of_none_keeps_nothing(model: Path) -> None:
    """Without a budget a conversation that had to leave is evaluated again."""
    with kv_pool(model, park_memory=0) as pool:
        pool.turn("a", talk(1))
        while pool.residents.evict():
            pass
        assert (0, 0) == (pool.turn("a", [*talk(1), 40]).cached, pool.parking.memory_used)


def test_a_model_that_cannot_rewind_goes_on_from_whole_states_only(model: Path) -> None:
    """A prompt that extends all that a sequence holds goes on there; one that branches off begins anew."""
    with kv_pool(model, can_rewind=False) as pool:
        first = pool.turn("a", talk(1))
        longer = [*talk(1), *first.said[:2], *talk(2, 5)]
        second = pool.turn("a", longer)
        branch = pool.turn("a", [*talk(1), 7, 8, 9])
    assert (62, 0) == (second.cached, branch.cached)
    assert fresh(model, longer) == second.said


def test_a_whole_state_comes_back_for_a_model_that_cannot_rewind(model: Path) -> None:
    """Parked states are copies: a branch finds its own although the thread went on in the pool."""
    with kv_pool(model, can_rewind=False) as pool:
        first = pool.turn("a", talk(1))
        while pool.residents.evict():
            pass
        longer = [*talk(1), *first.said[:2], *talk(2, 5)]
        second = pool.turn("a", longer)
    assert 62 == second.cached
    assert fresh(model, longer) == second.said


def test_forgetting_leaves_nothing_to_go_on_from(model: Path, tmp_path: Path) -> None:
    """Neither in the pool, nor in memory, nor on disk; conversations at work are named as not done."""
    with kv_pool(model, tmp_path) as pool:
        pool.turn("a", talk(1))
        pool.park_everything()
        pool.turn("b", talk(2))
        while pool.residents.evict():
            pass
        busy = pool.residents.take(talk(3), "c")
        done = pool.residents.forget({"a", "b", "c"})
        assert ({"a", "b"}, []) == (done, list(tmp_path.glob("*/*")))
        pool.residents.release(busy)
        assert {"c"} == pool.residents.forget({"c"})
        assert [0, 0, 0] == [pool.turn(str(n), [*talk(n), 40]).cached for n in (1, 2, 3)]


def test_a_disk_too_small_is_not_written_to_for_ever(model: Path, tmp_path: Path) -> None:
    """Each conversation is written once, although the next one takes its place; then there is nothing to do."""
    with kv_pool(model, tmp_path, park_disk=45_000) as pool:
        for number in range(3):
            pool.turn(str(number), talk(number))
        more: list[bool] = []
        for _ in range(8):
            more.append(pool.residents.park_idle())
            assert pool.parking.flush(PATIENCE)
        assert [True] * 3 + [False] * 5 == more
        assert 1 == len(list(tmp_path.glob("*/*")))


def _random_turn(pool: KVPool, chooser: random.Random, threads: dict[str, list[int]]) -> None:
    """One turn of any thread: going on, starting, or branching off from what it said before."""
    session = str(chooser.randrange(9))
    ids = threads.setdefault(session, RULES[: chooser.choice([0, 30, 60])])
    if chooser.random() < 0.2:
        del ids[chooser.randrange(len(ids) // 2, len(ids) + 1) :]
    ids += talk(chooser.randrange(1000), chooser.randrange(1, 80))
    if len(ids) > 220:
        del ids[40:]
    ids += pool.turn(session, ids, chooser.randrange(1, 4)).said


@pytest.mark.parametrize("can_rewind", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_any_turns_over_a_small_pool_are_answered_as_by_a_fresh_one(
    model: Path, tmp_path: Path, seed: int, can_rewind: bool
) -> None:
    """Whatever was shared, cut, parked, written and brought back: the next token is that of a fresh evaluation."""
    chooser, threads = random.Random(seed), dict[str, list[int]]()
    states: list[tuple[list[int], list[int]]] = []
    budget = {"park_memory": 250_000, "park_disk": 300_000}
    with kv_pool(model, tmp_path, can_rewind=can_rewind, **budget) as pool:
        for number in range(60):
            _random_turn(pool, chooser, threads)
            if number % 7 == 0:
                pool.park_everything()
            ids = list(threads[chooser.choice(list(threads))])
            states.append((ids, pool.turn("probe", ids, 1).said))
            assert pool.parking.memory_used <= 250_000
            assert pool.parking.disk_used <= 300_000
    with kv_pool(model, park_memory=0) as plain:
        for ids, said in states:
            assert plain.turn(None, ids, 1).said == said
            while plain.residents.evict():
                pass


def test_cells_of_any_history_are_those_of_single_cells() -> None:
    """Counting runs of cells gives what counting the cells one by one gives."""
    chooser = random.Random(1)
    cells, exact, number = Cells(4), [list[int]() for _ in range(4)], 0
    for _ in range(3000):
        sequence, other = chooser.randrange(4), chooser.randrange(4)
        held = exact[sequence]
        action = chooser.randrange(3)
        if action == 0:
            count = chooser.randrange(6)
            cells.grow(sequence, count)
            held += range(number, number + count)
            number += count
        elif action == 1:
            length = chooser.randrange(len(held) + 1)
            cells.cut(sequence, length)
            del held[length:]
        elif other != sequence and not exact[other]:
            length = chooser.randrange(len(held) + 1)
            cells.share(sequence, other, length)
            exact[other] = held[:length]
        some = chooser.sample(range(4), chooser.randrange(5))
        assert len({cell for each in some for cell in exact[each]}) == cells.taken(some)
