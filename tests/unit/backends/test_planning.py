"""What each turn gets of a step."""

import pytest

from local_assistants.backends.llama_cpp.scheduling.planning import Demand, after, plan


def test_everyone_who_generates_has_a_token_and_prompts_share_the_chunk() -> None:
    """The oldest prompt goes first; what it leaves of the chunk goes to the next."""
    demands = [Demand(50, 0), Demand(1, 0), Demand(100, 0), Demand(1, 0), Demand(7, 0)]
    assert [50, 1, 14, 1, 0] == plan(demands, width=2, chunk=64)


def test_prompt_without_a_chunk_waits() -> None:
    """A chunk of none leaves the step to those who generate."""
    assert [0, 1] == plan([Demand(9, 0), Demand(1, 0)], width=1, chunk=0)


def test_width_goes_to_the_first_in_the_round() -> None:
    """Of equals the first in order."""
    demands = [Demand(1, 5), Demand(1, 4), Demand(1, 5), Demand(1, 3), Demand(1, 4)]
    assert [0, 1, 0, 1, 1] == plan(demands, width=3, chunk=0)


def test_those_served_go_to_the_end_of_the_round() -> None:
    """They keep their order there; the others keep their places."""
    demands = [Demand(1, 7), Demand(1, 3), Demand(9, 2), Demand(1, 5)]
    assert [7, 9, 8, 5] == after(demands, [0, 1, 4, 0])


@pytest.mark.parametrize(("turns", "width"), [(8, 4), (7, 5), (3, 2), (5, 5), (16, 6)])
def test_all_come_round_equally(turns: int, width: int) -> None:
    """No turn is ever ahead of another by more than a token, and none waits longer than a round takes."""
    served, counts, last = [0] * turns, [0] * turns, [0] * turns
    for step in range(1, 100):
        demands = [Demand(1, each) for each in served]
        shares = plan(demands, width=width, chunk=0)
        served = after(demands, shares)
        assert sum(shares) == width
        for index in (index for index, share in enumerate(shares) if share):
            assert step - last[index] <= -(-turns // width)
            counts[index], last[index] = counts[index] + 1, step
        assert max(counts) - min(counts) <= 1
