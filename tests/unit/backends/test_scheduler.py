"""The scheduler over the real library, with toy models: places, priorities, pauses, cancels, faults, a full pool."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.scheduling.jobs import Job, WaitingLine
from local_assistants.backends.llama_cpp.scheduling.width import Widths
from local_assistants.backends.llama_cpp.settings import LlamaSettings
from local_assistants.backends.llama_cpp.turn import Fragment
from local_assistants.engine.errors import (
    AssistantsError,
    BackendFault,
    ContextOverflow,
    RateLimited,
)
from tests.support.scheduling import Desk, Heard
from tests.support.toy_gguf import write_random_model, write_saying_model
from tests.unit.backends.conftest import TOY_SETTINGS

WORDS = [f"w{number} " for number in range(60)]
Open = Callable[..., Desk]


@pytest.fixture
def speaker(tmp_path: Path) -> Iterator[Open]:
    """Opens a model that says sixty words, with settings; closed afterwards."""
    path = write_saying_model(tmp_path / "says.gguf", WORDS, context=4096)
    yield from _opener(path)


@pytest.fixture
def babbler(tmp_path: Path) -> Iterator[Open]:
    """Opens a model with random weights, with settings; closed afterwards."""
    yield from _opener(write_random_model(tmp_path / "random.gguf", context=4096))


def _opener(path: Path) -> Iterator[Open]:
    desks: list[Desk] = []

    def open_desk(widths: Widths | None = None, **settings: object) -> Desk:
        desks.append(Desk(path, replace(TOY_SETTINGS, **settings), widths))  # type: ignore[arg-type]
        return desks[-1]

    yield open_desk
    for desk in desks:
        desk.close()


# --- places and the line ---------------------------------------------------------------------------


def test_higher_priority_goes_first_then_the_older(speaker: Open) -> None:
    """While one place is taken the line forms by priority, within it by arrival."""
    desk = speaker(parallel=1)
    blocker, _ = desk.ask("x", max_tokens=50)
    order: list[str] = []
    heard: list[Heard] = []
    for name, priority in (("low", 0), ("first", 2), ("second", 2), ("third", 1)):
        job, words = desk.job(name, max_tokens=2, priority=priority)
        job.emit = _noting(order, name, words.put)
        desk.scheduler.submit(job)
        heard.append(words)
    desk.scheduler.cancel(blocker)
    assert all(words.over().ends == 1 for words in heard)
    assert ["first", "second", "third", "low"] == order


def _noting(
    order: list[str], name: str, emit: Callable[[Fragment | AssistantsError], None]
) -> Callable[[Fragment | AssistantsError], None]:
    def note(item: Fragment | AssistantsError) -> None:
        if name not in order:
            order.append(name)
        emit(item)

    return note


def test_waiting_long_enough_beats_priority(speaker: Open) -> None:
    """A level is worth half a minute, and no priority more than five; who gave a place back comes in where it was."""
    desk = speaker()
    line = WaitingLine()
    given = {"old": (0, 0.0), "soon": (1, 29.0), "late": (1, 31.0), "vast": (10**6, 301.0)}
    jobs = {name: desk.job(name, priority=priority)[0] for name, (priority, _) in given.items()}
    for name, job in jobs.items():
        job.arrived = given[name][1]
        line.add(job)
    assert [jobs[name] for name in ("soon", "old", "late", "vast")] == list(line)
    line.remove(jobs["soon"])
    line.add(jobs["soon"])
    jobs["old"].paused = True
    assert jobs["soon"] is line.first()
    jobs["soon"].paused = True
    assert jobs["late"] is line.first()


def test_line_is_bounded(speaker: Open) -> None:
    """One turn more than may wait is refused at once; when one has left there is room again."""
    desk = speaker(parallel=1, max_waiting=2)
    jobs = [desk.ask(f"{number}")[0] for number in range(3)]
    with pytest.raises(RateLimited, match="max_waiting"):
        desk.ask("one more")
    desk.scheduler.cancel(jobs[1])
    _, heard = desk.ask("room again")
    assert heard.over().text == "".join(WORDS)


def test_long_prompt_is_not_passed_for_ever(speaker: Open) -> None:
    """A prompt that needs most of the pool gets it although short ones keep coming."""
    desk = speaker(context_tokens=1024, parallel=8)
    short = [desk.ask(f"{number}" * 60) for number in range(6)]
    _, long = desk.ask("long " * 170)
    later = [desk.ask(f"{number}" * 60) for number in range(6)]
    begun_before = sum(bool(heard.tokens) for _, heard in later) if long.said(1) else 0
    assert begun_before < 6
    assert all(heard.over().text == "".join(WORDS) for _, heard in (*short, *later))
    assert long.over().text == "".join(WORDS)


# --- width -----------------------------------------------------------------------------------------


def test_more_turns_than_the_width_come_round_in_turn(speaker: Open) -> None:
    """Four at a time of eight: nobody gets more than a token ahead, and every answer is whole."""
    desk = speaker(decode_width=4, parallel=8)
    counts = [0] * 8
    spread: list[int] = []
    jobs: list[tuple[Job, Heard]] = []
    for number in range(8):
        job, heard = desk.job(f"question {number}")
        job.emit = _counting(counts, spread, number, heard.put)
        jobs.append((job, heard))
    for job, _ in jobs:
        desk.scheduler.submit(job)
    assert all(heard.over().text == "".join(WORDS) for _, heard in jobs)
    assert max(spread) <= 2


def _counting(
    counts: list[int],
    spread: list[int],
    number: int,
    emit: Callable[[Fragment | AssistantsError], None],
) -> Callable[[Fragment | AssistantsError], None]:
    def count(item: Fragment | AssistantsError) -> None:
        counts[number] += 1
        if all(10 < each < 50 for each in counts):
            spread.append(max(counts) - min(counts))
        emit(item)

    return count


def test_steps_are_as_wide_as_measured_best(speaker: Open) -> None:
    """With a machine that is fastest at two, six turns take three times the steps of two."""
    desk = speaker(Widths({1: 1.0, 2: 1.1, 4: 4.0, 8: 8.0}), parallel=6)
    jobs = [desk.job("same question") for _ in range(6)]
    for job, _ in jobs:
        desk.scheduler.submit(job)
    assert all(heard.over().ends == 1 for _, heard in jobs)
    # Sixty words, the end and the prompts; at full width it would be some 70 steps.
    assert desk.scheduler.statistics.steps >= 3 * 60


# --- prompts beside streams --------------------------------------------------------------------------


def test_stream_goes_on_while_a_long_prompt_comes_in(babbler: Open) -> None:
    """Between two tokens of the stream lies only a part of the prompt."""
    desk = babbler(context_tokens=4096)
    stream, heard = desk.ask("a stream", seed=3, temperature=1.0, max_tokens=1500)
    heard.said(20)
    marks: list[int] = []
    stream.emit = _marking(desk, marks, heard.put)
    before = desk.scheduler.evaluated_tokens
    job, answer = desk.ask("y" * 2000, max_tokens=1)
    answer.over()
    desk.scheduler.cancel(stream)
    assert job.turn.finished is not None
    inside = [mark for mark in marks if before < mark < before + 2000]
    steps = [right - left for left, right in pairwise(inside)]
    assert len(steps) > 10
    # A chunk as of a prompt that is alone would be 256.
    assert sorted(steps)[len(steps) // 2] < 128


def _marking(
    desk: Desk, marks: list[int], emit: Callable[[Fragment | AssistantsError], None]
) -> Callable[[Fragment | AssistantsError], None]:
    def mark(item: Fragment | AssistantsError) -> None:
        marks.append(desk.scheduler.evaluated_tokens)
        emit(item)

    return mark


def test_stretch_of_one_keeps_prompts_out_while_others_speak(speaker: Open) -> None:
    """The stream has its whole say before a token of the prompt is evaluated beside it."""
    desk = speaker(stretch=1.0)
    stream, heard = desk.ask("a stream")
    heard.said(3)
    order: list[str] = []
    stream.emit = _noting(order, "first end", heard.put)
    before = desk.scheduler.evaluated_tokens
    _, answer = desk.ask("z" * 500, max_tokens=1)
    heard.over()
    assert desk.scheduler.evaluated_tokens - before <= 70
    assert answer.over().ends == 1


def test_common_beginning_is_evaluated_once_for_all_who_come_together(speaker: Open) -> None:
    """Turns that arrive at the same time with the same long beginning share it, though none had it when let in."""
    desk = speaker()
    jobs = [desk.job("instructions " * 60 + f"{number}", max_tokens=1) for number in range(4)]
    length = len(jobs[0][0].tokens)
    for job, _ in jobs:
        desk.scheduler.submit(job)
    assert all(heard.over().ends == 1 for _, heard in jobs)
    assert desk.scheduler.evaluated_tokens < 2 * length


# --- cancel and pause ----------------------------------------------------------------------------------


def test_cancelled_prompt_stops_within_a_step(speaker: Open) -> None:
    """Of a prompt of 2,000 tokens no more than one further step is evaluated."""
    # One token a step: a machine with other work to do still has time to cancel it in the middle.
    desk = speaker(context_tokens=4096, prefill_chunk=1)
    job, heard = desk.job("x" * 2000)
    blocker = threading.Event()
    desk.scheduler.submit(job)
    while desk.scheduler.evaluated_tokens < 50:
        blocker.wait(0.001)
    desk.scheduler.cancel(job)
    evaluated = desk.scheduler.evaluated_tokens
    _, other = desk.ask("next", max_tokens=1)
    other.over()
    prompt_of_other = len(desk.job("next")[0].tokens)
    # One step may have been running when the count was read, and one may have ended in between.
    assert desk.scheduler.evaluated_tokens - evaluated <= 2 + prompt_of_other
    assert (heard.ends, heard.tokens) == (0, [])


def test_aborted_step_is_done_again_for_the_others(babbler: Open) -> None:
    """Cancelling long prompts over and over changes nothing in what a stream beside them says."""
    desk = babbler(context_tokens=4096, stretch=50.0)
    _, alone = desk.ask("story 3", max_tokens=400)
    _, beside = desk.ask("story 3", max_tokens=400)
    for number in range(25):
        beside.said(10 * number)
        job, _ = desk.ask(f"{number}" * 1500)
        time.sleep(0.002)
        desk.scheduler.cancel(job)
    assert alone.over().tokens == beside.over().tokens
    assert 400 == len(beside.tokens)


def test_paused_turn_waits_and_goes_on_where_it_was(speaker: Open) -> None:
    """It says nothing while it is paused, the others go on, and its answer is whole."""
    desk = speaker()
    job, heard = desk.ask("slow reader")
    heard.said(5)
    desk.scheduler.pause(job)
    _, other = desk.ask("another")
    other.over()
    said = len(heard.tokens)
    _, more = desk.ask("and another")
    more.over()
    assert said == len(heard.tokens) < 60
    desk.scheduler.resume(job)
    assert heard.over().text == "".join(WORDS)


def test_paused_turns_do_not_keep_the_places(speaker: Open) -> None:
    """With both places paused a third turn is served, and both go on later."""
    desk = speaker(parallel=2, sequences=2)
    paused = [desk.ask(f"slow {number}") for number in range(2)]
    for job, heard in paused:
        heard.said(3)
        desk.scheduler.pause(job)
    _, other = desk.ask("quick")
    assert other.over().text == "".join(WORDS)
    for job, heard in paused:
        assert heard.ends == 0
        desk.scheduler.resume(job)
    assert all(heard.over().text == "".join(WORDS) for _, heard in paused)


def test_paused_turn_can_be_cancelled(speaker: Open) -> None:
    """Its place is free again."""
    desk = speaker(parallel=1, max_waiting=0)
    job, heard = desk.ask("slow")
    heard.said(2)
    desk.scheduler.pause(job)
    desk.scheduler.cancel(job)
    _, other = desk.ask("next")
    assert (other.over().ends, heard.ends) == (1, 0)


# --- a full pool ---------------------------------------------------------------------------------------


def test_turn_that_stepped_back_loses_nothing(babbler: Open) -> None:
    """Turns that do not fit the pool together say what each says alone."""
    roomy = babbler(context_tokens=4096)
    alone = [roomy.ask(f"story {n}", max_tokens=150)[1].over().tokens for n in range(6)]
    tight = babbler(context_tokens=512, parallel=6)
    together = [tight.ask(f"story {n}", max_tokens=150)[1] for n in range(6)]
    assert alone == [heard.over().tokens for heard in together]


def test_only_turn_ends_where_the_pool_does(babbler: Open) -> None:
    """With nobody to step back for it the answer is cut, not lost."""
    desk = babbler(context_tokens=256)
    heard = [desk.ask("x" * 100, seed=seed, temperature=1.0)[1].over() for seed in range(6)]
    assert all(each.errors == [] for each in heard)
    assert 256 - len(desk.job("x" * 100)[0].tokens) in [len(each.tokens) for each in heard]


# --- faults --------------------------------------------------------------------------------------------


def test_reader_that_fails_costs_only_its_own_turn(speaker: Open) -> None:
    """The thread lives on, the other turn is whole, and the failed one has left the pool."""
    desk = speaker(parallel=2, max_waiting=0)
    broken, _ = desk.job("broken")

    def fail(_item: Fragment | AssistantsError) -> None:
        raise RuntimeError("the reader is gone")

    broken.emit = fail
    desk.scheduler.submit(broken)
    _, other = desk.ask("other")
    assert other.over().text == "".join(WORDS)
    assert broken.cancelled
    _, next_one = desk.ask("next")
    assert next_one.over().ends == 1


def test_foreign_tokens_are_refused_at_the_door(speaker: Open) -> None:
    """A token that the vocabulary does not have would end the process; here it costs nobody else a step."""
    desk = speaker(context_tokens=256)
    for tokens, complaint in (
        ([], "empty"),
        ([5, 10**6], "does not have"),
        ([-1], "does not have"),
    ):
        job, _ = desk.job("x")
        job.tokens = tokens
        with pytest.raises(BackendFault, match=complaint):
            desk.scheduler.submit(job)
    job.tokens = [5] * 257
    with pytest.raises(ContextOverflow, match="257"):
        desk.scheduler.submit(job)


def test_fault_in_a_step_fails_those_who_took_part_and_nobody_else(speaker: Open) -> None:
    """The thread lives on, and a turn that rested meanwhile is whole."""
    desk = speaker(parallel=4)
    resting, rested = desk.ask("resting")
    rested.said(3)
    desk.scheduler.pause(resting)
    blocker, _ = desk.ask("beside")
    bad, heard = desk.ask("x" * 1500)
    bad.tokens[-1] = 10**6  # behind the back of the check at the door
    [error] = heard.over().errors
    assert "does not have" in error.message
    desk.scheduler.cancel(blocker)
    desk.scheduler.resume(resting)
    assert rested.over().text == "".join(WORDS)
    _, later = desk.ask("later")
    assert later.over().text == "".join(WORDS)


def test_bound_turn_beside_a_free_one(speaker: Open) -> None:
    """A grammar holds for its own turn only."""
    desk = speaker()
    answer = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"enum": ["w1 w2"]}}}
    _, other = desk.ask("other")
    _, bound = desk.ask("bound", response_format=answer)
    assert bound.over().text == '"w1 w2"'
    assert other.over().text == "".join(WORDS)


def test_close_ends_every_turn_once(speaker: Open) -> None:
    """Those at work and those in line hear that the model was unloaded."""
    desk = speaker(parallel=2)
    heard = [desk.ask("x" * 1500 + str(number))[1] for number in range(5)]
    desk.scheduler.close()
    assert [1] * 5 == [each.ends for each in heard]
    with pytest.raises(BackendFault, match="unloaded"):
        desk.ask("too late")


def test_statistics_add_up(speaker: Open) -> None:
    """Rows are the tokens of all prompts and answers but the last of each, which is never evaluated."""
    desk = speaker()
    job, heard = desk.job("count")
    prompt = len(job.tokens)
    desk.scheduler.submit(job)
    heard.over()
    desk.scheduler.close()
    told = desk.scheduler.statistics
    assert told.rows == prompt + len(heard.tokens) - 1
    assert told.steps == len(heard.tokens)
    assert told.decode_seconds > 0
    assert told.sample_seconds > 0


# --- forgetting ----------------------------------------------------------------------------------------


def test_forgotten_session_leaves_nothing_even_when_it_was_at_work(speaker: Open) -> None:
    """What a turn evaluates after its session was forgotten goes when the turn ends."""
    desk = speaker()
    _, heard = desk.ask("secret " * 30, session="s")
    heard.said(5)
    desk.scheduler.forget("s")
    heard.over()
    _, other = desk.ask("next", max_tokens=1)
    other.over()
    again, answer = desk.ask("secret " * 30, session="s", max_tokens=1)
    answer.over()
    # The template's opening may be shared with the other turn; nothing of the message.
    assert again.turn.cached < 40


def test_context_refuses_what_would_end_the_process(speaker: Open) -> None:
    """Sequences, positions, tokens and sizes out of range are errors of ours, not aborts."""
    context = speaker(context_tokens=256, sequences=4).context
    bad = {
        "(?i)step of 0": [],
        "0 from 0": [Span([], 0, 0, wants_logits=True), Span([1], 0, 0, wants_logits=True)],
        "(?i)no sequence 4": [Span([1], 0, 4, wants_logits=True)],
        "1 from 256": [Span([1], 256, 0, wants_logits=True)],
        "not have": [Span([-1], 0, 0, wants_logits=True)],
        "300 tokens does not fit 256": [Span([1] * 300, 0, 0, wants_logits=True)],
    }
    for complaint, spans in bad.items():
        with pytest.raises(BackendFault, match=complaint):
            context.decode(spans)
    with pytest.raises(BackendFault, match="no scores"):
        context.logits(0)
    for number in (-1, 4):
        with pytest.raises(BackendFault, match="sequence"):
            context.rewind(number, 0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"parallel": 0}, "parallel"),
        ({"sequences": 300}, "sequences"),
        ({"stretch": 0.5}, "stretch"),
        ({"prefill_chunk": 0}, "prefill_chunk"),
        ({"decode_width": 0}, "decode_width"),
        ({"repeat_penalty": 0.0}, "repeat_penalty"),
        ({"kv_type": "q5_1"}, "kv_type"),
        ({"kv_type": "q8_0", "flash_attention": False}, "flash attention"),
        ({"stretch": float("nan")}, "stretch"),
    ],
)
def test_settings_that_make_no_sense_are_named(wrong: dict[str, object], named: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(BackendFault, match=named):
        LlamaSettings(**wrong).check()  # type: ignore[arg-type]
