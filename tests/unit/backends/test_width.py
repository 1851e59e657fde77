"""The width probe: what is best of what was measured, and that it is measured once."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.context import NativeContext, Outcome
from local_assistants.backends.llama_cpp.native import NativeModel
from local_assistants.backends.llama_cpp.scheduling.width import Widths, find_widths, measure
from tests.support.toy_gguf import write_random_model
from tests.unit.backends.conftest import TOY_SETTINGS

# Seconds of a step: the fastest in all is 6, and 8 is slower than 4.
MACHINE = {1: 0.050, 2: 0.087, 3: 0.115, 4: 0.125, 6: 0.176, 8: 0.296, 16: 0.530}


@pytest.fixture
def context(tmp_path: Path) -> Iterator[NativeContext]:
    """A context of a model with random weights."""
    model = NativeModel(write_random_model(tmp_path / "random.gguf"), TOY_SETTINGS)
    opened = NativeContext(model, TOY_SETTINGS)
    yield opened
    opened.free()
    model.free()


def test_best_width_is_the_fastest_in_all() -> None:
    """As many as want to as long as that pays; beyond the best width no more."""
    widths = Widths(MACHINE)
    assert [0, 1, 2, 3, 4] == [widths.best(turns) for turns in range(5)]
    assert 6 == widths.best(6) == widths.best(8) == widths.best(16) == widths.best(40)


def test_width_between_two_measured_ones_is_judged_by_both() -> None:
    """Seven lies between six and eight, and is slower than six."""
    assert 6 == Widths(MACHINE).best(7)
    assert 7 == Widths({1: 1.0, 6: 2.0, 8: 2.1}).best(7)


def test_wider_is_preferred_where_it_is_nearly_as_fast() -> None:
    """Noise of the measurement makes nobody wait."""
    assert 4 == Widths({1: 1.0, 2: 1.99, 4: 4.05}).best(4)


def test_set_width_goes_before_the_measured() -> None:
    """Also when fewer want to."""
    widths = Widths(MACHINE, cap=3)
    assert [2, 3, 3] == [widths.best(turns) for turns in (2, 3, 16)]


def test_without_a_measurement_all_take_part() -> None:
    """Nothing known, nothing forbidden."""
    assert 16 == Widths().best(16)


def test_probe_times_every_width_and_leaves_the_pool_empty(context: NativeContext) -> None:
    """Up to as many as there may be, that width included; every sequence can begin at its first position."""
    seconds = measure(context, 7)
    assert [1, 2, 3, 4, 6, 7] == sorted(seconds)
    assert all(taken > 0 for taken in seconds.values())
    for number in range(TOY_SETTINGS.sequences):
        outcome = context.decode([Span([5, 6], 0, number, wants_logits=True)])
        assert Outcome.DONE is outcome


def test_result_is_kept_and_not_measured_again(context: NativeContext, tmp_path: Path) -> None:
    """The second load on this machine reads what the first one wrote."""
    settings = replace(TOY_SETTINGS, probe_folder=tmp_path / "probes")
    first = find_widths(context, settings, "model").seconds
    before = context.decode_seconds
    assert first == find_widths(context, settings, "model").seconds
    assert before == context.decode_seconds


@pytest.mark.parametrize(
    "other", [{"kv_type": "q8_0"}, {"repack": False}, {"parallel": 3}, {"flash_attention": True}]
)
def test_other_circumstances_are_measured_anew(
    context: NativeContext, tmp_path: Path, other: dict[str, object]
) -> None:
    """What steps cost depends on them."""
    settings = replace(TOY_SETTINGS, probe_folder=tmp_path)
    find_widths(context, settings, "model")
    before = context.decode_seconds
    find_widths(context, replace(settings, **other), "model")  # type: ignore[arg-type]
    assert before < context.decode_seconds
    assert 2 == len(list(tmp_path.glob("*.json")))


def test_another_model_is_measured_anew(context: NativeContext, tmp_path: Path) -> None:
    """By its identity, not by its path."""
    settings = replace(TOY_SETTINGS, probe_folder=tmp_path)
    find_widths(context, settings, "model")
    find_widths(context, settings, "another")
    assert 2 == len(list(tmp_path.glob("*.json")))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"seconds": {}}',
        b"\xff\xfe",
        "no seconds",
        "negative",
        "not a number",
        "infinite",
        "foreign key",
        "too wide",
    ],
)
def test_damaged_result_is_measured_again(
    context: NativeContext, tmp_path: Path, content: bytes | str
) -> None:
    """Whatever the file holds; afterwards it is whole."""
    settings = replace(TOY_SETTINGS, probe_folder=tmp_path, parallel=4)
    whole = find_widths(context, settings, "model").seconds
    [file] = tmp_path.glob("*.json")
    kept = json.loads(file.read_bytes())
    damage: dict[str, dict[str, object]] = {
        "no seconds": {**kept, "seconds": {}},
        "negative": {**kept, "seconds": {"1": -1.0}},
        "not a number": {**kept, "seconds": {"1": float("nan")}},
        "infinite": {**kept, "seconds": {"1": float("inf")}},
        "foreign key": {**kept, "key": {}},
        "too wide": {**kept, "seconds": {"1": 1.0, "900": 1.0}},
    }
    file.write_bytes(
        content if isinstance(content, bytes) else json.dumps(damage[content]).encode()
    )
    before = context.decode_seconds
    again = find_widths(context, settings, "model").seconds
    assert before < context.decode_seconds
    assert list(whole) == list(again)
    assert json.loads(file.read_bytes())["seconds"] == {str(w): s for w, s in again.items()}


def test_folder_that_cannot_be_written_is_no_fault(context: NativeContext, tmp_path: Path) -> None:
    """The model is loaded all the same, and measured again the next time."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    settings = replace(TOY_SETTINGS, probe_folder=blocked / "probes", parallel=2)
    assert [1, 2] == list(find_widths(context, settings, "model").seconds)


@pytest.mark.parametrize("given", [{"parallel": 1}, {"sequences": 1}, {"decode_width": 5}])
def test_nothing_is_measured_where_nothing_can_be_chosen(
    context: NativeContext, given: dict[str, object]
) -> None:
    """One turn at a time, or a width that was set."""
    before = context.decode_seconds
    widths = find_widths(context, replace(TOY_SETTINGS, **given), "model")  # type: ignore[arg-type]
    assert before == context.decode_seconds
    assert {} == widths.seconds
