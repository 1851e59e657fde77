"""How many prompt tokens a step can bear, against machines whose steps cost something known."""

from collections.abc import Callable

import pytest

from local_assistants.backends.llama_cpp.scheduling.costs import StepCosts

Machine = Callable[[int, int], float]  # seconds of a step by width and prompt tokens


def flat(width: int, tokens: int) -> float:
    """Reading the weights takes 40 ms, every row 10."""
    return 0.04 + 0.01 * (width + tokens)


def dear_at_first(width: int, tokens: int) -> float:
    """The second row of a step costs more than those after it."""
    rows = width + tokens
    return 0.05 + 0.037 * min(rows - 1, 2) + 0.012 * max(rows - 3, 0)


def run(costs: StepCosts, machine: Machine, width: int, steps: int) -> list[int]:
    """The chunks of so many steps beside `width` turns."""
    chunks: list[int] = []
    for _ in range(steps):
        chunks.append(costs.chunk(width))
        costs.observe(width, chunks[-1], machine(width, chunks[-1]))
    return chunks


def learned(machine: Machine, stretch: float, width: int) -> StepCosts:
    """Costs after a prompt alone and some steps without one."""
    costs = StepCosts(stretch=stretch, most=256)
    costs.observe(0, 256, machine(0, 256))
    for _ in range(5):
        costs.observe(width, 0, machine(width, 0))
    return costs


@pytest.mark.parametrize("machine", [flat, dear_at_first])
@pytest.mark.parametrize("width", [1, 4, 8])
def test_step_is_stretched_as_far_as_allowed_and_no_further(machine: Machine, width: int) -> None:
    """Once learned, a chunk takes no longer than it may, and one token more would or nearly so."""
    costs = learned(machine, 2.5, width)
    chunks = [chunk for chunk in run(costs, machine, width, 60)[20:] if chunk]
    alone = machine(width, 0)
    assert all(machine(width, chunk) <= 2.5 * alone * 1.01 for chunk in chunks)
    assert machine(width, max(chunks) + 2) > 2.5 * alone


def test_more_stretch_is_a_greater_chunk() -> None:
    """The setting divides time between prompts and streams."""
    narrow, wide = (run(learned(flat, stretch, 2), flat, 2, 30)[-1] for stretch in (1.6, 4.1))
    assert (3, 18) == (narrow, wide)


def test_prompts_get_on_whatever_they_cost() -> None:
    """Where even one token stretches a step too far, it is one token."""
    costs = learned(lambda width, tokens: 0.01 * width + tokens, 1.1, 1)
    assert {1} == set(run(costs, lambda _width, tokens: 0.01 + tokens, 1, 10))


def test_alone_a_prompt_has_the_whole_chunk() -> None:
    """Nobody to be stalled: nothing to be learned first."""
    assert 256 == StepCosts(stretch=2.0, most=256).chunk(0)


def test_chunk_is_never_more_than_set() -> None:
    """A machine on which prompts cost nothing gets the set chunk."""
    costs = learned(lambda _width, tokens: 0.01 + 1e-9 * tokens, 2.5, 3)
    assert 256 == costs.chunk(3)


def test_first_chunk_without_any_knowledge_is_small() -> None:
    """Before anything was measured a few tokens are tried."""
    assert 0 < StepCosts(stretch=2.0, most=256).chunk(2) <= 8


def test_what_streams_cost_alone_is_measured_again() -> None:
    """During a long admission some step goes without prompt tokens, so that a change is noticed."""
    costs = learned(flat, 2.0, 2)
    chunks = run(costs, flat, 2, 60)
    assert 2 <= chunks.count(0) <= 6
    slower = run(costs, lambda width, tokens: 3 * flat(width, tokens), 2, 200)[-20:]
    assert abs(max(slower) - max(chunks)) <= 1


def test_one_slow_step_changes_little() -> None:
    """A step that another program held up for seconds counts for no more than four times the usual."""
    costs = learned(flat, 2.0, 2)
    before = max(run(costs, flat, 2, 30))
    costs.observe(2, before, 30.0)
    assert costs.chunk(2) >= before // 2


def test_stretch_of_one_lets_prompts_wait_but_not_for_ever() -> None:
    """While others speak a prompt gets nothing, until it has waited for seconds."""
    costs = learned(flat, 1.0, 2)
    assert 0 == costs.chunk(2, waited=5.0)
    assert costs.chunk(2, waited=11.0) > 0
    assert 256 == costs.chunk(0, waited=0.0)


def test_unseen_width_is_judged_by_a_narrower_one() -> None:
    """Rather too little for the prompt than too long for the streams."""
    costs = learned(flat, 2.0, 2)
    seen = costs.chunk(2)
    assert seen == costs.chunk(7)
    assert costs.chunk(1) <= seen


def test_prefill_rate_is_that_of_prompts_alone() -> None:
    """Steps with several prompts, few tokens or streams beside them do not count."""
    costs = StepCosts(stretch=2.0, most=256)
    costs.observe(0, 8, 1.0)
    costs.observe(0, 200, 1.0, prompts=2)
    costs.observe(2, 100, 1.0)
    assert costs.prefill_rate is None
    costs.observe(0, 200, 2.0)
    assert 100 == costs.prefill_rate
