"""Random schedules of everything that can happen to turns, on a pool that is too small for them."""

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_assistants.backends.llama_cpp.batch import Span
from local_assistants.backends.llama_cpp.context import Outcome
from local_assistants.backends.llama_cpp.scheduling.scheduler import Job
from local_assistants.backends.llama_cpp.settings import LlamaSettings
from tests.support.scheduling import Desk, Heard
from tests.support.toy_gguf import write_random_model

POOL = 768
# Their answers hold no choice between two tokens whose scores are less than 0.03 apart: what else is in a step changes
# scores in the third decimal.
QUESTIONS = [
    f"{word} {number} " * (1 + 7 * int(number))
    for word, number in ("c0", "d0", "d1", "d2", "b3", "c3", "a4", "a5", "b5", "d5", "b7")
]
MOST = 60  # tokens of an answer
SETTINGS = LlamaSettings(
    context_tokens=POOL,
    threads=1,
    parallel=5,
    sequences=7,
    prefill_chunk=48,
    decode_width=3,
    max_waiting=1000,
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights."""
    return write_random_model(tmp_path_factory.mktemp("stress") / "random.gguf")


@pytest.fixture(scope="module")
def alone(path: Path) -> Iterator[dict[str, list[int]]]:
    """What each question is answered when nothing else goes on."""
    desk = Desk(path, LlamaSettings(context_tokens=2048, threads=1, parallel=1))
    yield {each: desk.ask(each, max_tokens=MOST)[1].over().tokens for each in QUESTIONS}
    desk.close()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_every_turn_ends_once_with_its_own_words(
    path: Path, alone: dict[str, list[int]], seed: int
) -> None:
    """Submits, cancels, pauses and forgets in any order: no turn is lost, none says another's words, nothing leaks."""
    desk = Desk(path, SETTINGS)
    asked = _mess_about(desk, random.Random(seed))
    for job, _, _ in asked:
        desk.scheduler.resume(job)
    for job, question, heard in asked:
        if job.cancelled:
            assert heard.ends <= 1
            assert heard.tokens == alone[question][: len(heard.tokens)]
        else:
            assert heard.over().errors == []
            assert (heard.ends, heard.tokens) == (1, alone[question])
    _check_nothing_is_left(desk)
    assert all(heard.ends <= 1 for _, _, heard in asked)


def _mess_about(desk: Desk, chance: random.Random) -> list[tuple[Job, str, Heard]]:
    asked: list[tuple[Job, str, Heard]] = []
    scheduler = desk.scheduler
    for _ in range(250):
        what = chance.random()
        if what < 0.35 or not asked:
            question, session = chance.choice(QUESTIONS), chance.choice(["s", "t", None])
            priority = chance.choice([0, 0, 1, -1])
            job, heard = desk.ask(question, session=session, priority=priority, max_tokens=MOST)
            asked.append((job, question, heard))
            continue
        job = chance.choice(asked)[0]
        if what < 0.45:
            scheduler.cancel(job)
        elif what < 0.6:
            scheduler.pause(job)
        elif what < 0.8:
            scheduler.resume(job)
        elif what < 0.85:
            scheduler.forget(chance.choice(["s", "t"]))
        else:
            time.sleep(chance.random() / 100)
    return asked


def _check_nothing_is_left(desk: Desk) -> None:
    """Once its thread has ended no sequence is busy, and the whole pool can be filled by one."""
    desk.scheduler.close()
    while desk.residents.evict():
        pass
    assert desk.residents.has_room(POOL)
    desk.context.rearm()  # closing has aborted whatever ran
    step = desk.context.batch_size
    for start in range(0, POOL, step):
        tokens = [7] * min(step, POOL - start)
        assert Outcome.DONE is desk.context.decode([Span(tokens, start, 0, wants_logits=False)])
    desk.context.free()
    desk.model.free()
