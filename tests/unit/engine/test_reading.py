"""How much of an output a model is given: by its speed, its window and the run's budget."""

import pytest

from local_assistants.engine.chat import Capabilities
from local_assistants.engine.objects import Usage
from local_assistants.engine.reading import reading
from local_assistants.engine.settings import CoreSettings

SETTINGS = CoreSettings(tool_output_tokens=1200, reading_seconds=20)


def usual(rate: float | None, window: int = 32_768, calls: int = 1) -> int:
    """What is read in good time by a model of this speed and window."""
    able = Capabilities(context_window=window, prefill_rate=rate)
    return reading(SETTINGS, able, Usage.of(500, 50), calls=calls).usual


@pytest.mark.parametrize(
    ("rate", "expected"),
    [(None, 1200), (5.0, 1200), (60.0, 1200), (119.0, 1200), (120.0, 2400), (500.0, 8192)],
)
def test_a_fast_model_reads_more(rate: float | None, expected: int) -> None:
    """In steps of doubling, so that a rate that wavers changes no prompt; a quarter of the window at most."""
    assert expected == usual(rate)


@pytest.mark.parametrize(("window", "expected"), [(2048, 512), (4096, 1024), (131_072, 9600)])
def test_a_quarter_of_the_window_is_for_one_output(window: int, expected: int) -> None:
    """Question, history and answer need room as well."""
    assert expected == usual(480.0, window)


def test_calls_of_one_turn_share_what_is_read() -> None:
    """It is one prompt that holds the outputs of all of them; none gets less than a passage."""
    assert [1200, 600, 400, 300, 300] == [usual(None, calls=calls) for calls in (1, 2, 3, 4, 8)]


def test_there_is_room_for_more_than_is_read_in_good_time() -> None:
    """For a client that asks: half the window less what the prompt begins with, a quarter whatever that is."""
    able = Capabilities(context_window=16_384)
    short = reading(SETTINGS, able, Usage.of(500, 50))
    long = reading(SETTINGS, able, Usage.of(12_000, 50))

    assert (1200, 8192 - 550) == (short.usual, short.most)
    assert (1200, 4096) == (long.usual, long.most)


def test_the_runs_own_budget_counts() -> None:
    """An output that the next prompt could not hold would end the run as incomplete."""
    able = Capabilities(context_window=32_768)
    tight = reading(SETTINGS, able, Usage.of(500, 50), prompt_budget=1500)
    gone = reading(SETTINGS, able, Usage.of(500, 50), prompt_budget=100)

    assert (950, 950) == (tight.usual, tight.most)
    assert (300, 300) == (gone.usual, gone.most)
