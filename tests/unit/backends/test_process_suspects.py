"""Who goes on when the model's process has died, and who is blamed."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from local_assistants.backends.llama_cpp.isolation.suspects import Suspects

PROOF = 3


def crashed(*names: str) -> Suspects[str]:
    """These were at work when the process died, each having done one step less than the one before it."""
    suspects: Suspects[str] = Suspects(PROOF)
    for name in names:
        suspects.add(name)
    suspects.next()
    for count, name in enumerate(reversed(names)):
        for _ in range(count + 1):
            suspects.step(name)
    assert suspects.died() is None
    return suspects


def test_newcomers_go_to_work_at_once() -> None:
    """As long as nothing has happened."""
    suspects: Suspects[str] = Suspects(PROOF)
    suspects.add("a")
    suspects.add("b")
    assert ["a", "b"] == suspects.next()
    assert [] == suspects.next()


def test_after_a_death_they_go_on_one_at_a_time() -> None:
    """Who has done the least goes first, and nobody beside it until it is cleared."""
    suspects = crashed("a", "b", "c")
    assert ["c"] == suspects.next()
    suspects.step("c")
    assert [] == suspects.next()
    for _ in range(PROOF - 1):
        suspects.step("c")
    assert ["b"] == suspects.next()
    assert ("c", "b") == suspects.at_work


def test_newcomers_wait_until_nobody_is_suspect() -> None:
    """They would only be drawn into it."""
    suspects = crashed("a")
    suspects.add("new")
    assert ["a"] == suspects.next()
    assert [] == suspects.next()
    suspects.drop("a")
    assert ["new"] == suspects.next()


def test_alone_at_a_second_death_is_the_culprit() -> None:
    """It is given up and the rest go on."""
    suspects = crashed("a", "b")
    suspects.next()
    assert "b" == suspects.died()
    assert ["a"] == suspects.next()
    assert ("a",) == suspects.everybody


def test_alone_at_a_first_death_gets_a_second_chance() -> None:
    """The process may have died for another reason."""
    assert ["a"] == crashed("a").next()


def test_not_alone_is_no_proof() -> None:
    """A suspect beside a cleared one is tried again, first and alone."""
    suspects = crashed("a", "b", "c")
    suspects.next()
    suspects.clear("c")
    assert ["b"] == suspects.next()
    assert suspects.died() is None
    assert ["b"] == suspects.next()
    assert "b" == suspects.died()


def test_who_stood_in_line_is_spared_once() -> None:
    """Not heard of while others were: it waits with the newcomers; at the next death it is as suspect as any."""
    suspects: Suspects[str] = Suspects(PROOF)
    for name in ("at work", "in line"):
        suspects.add(name)
    suspects.next()
    suspects.step("at work")
    suspects.died()
    assert ["at work"] == suspects.next()
    for _ in range(PROOF):
        suspects.step("at work")
    assert ["in line"] == suspects.next()
    suspects.died()
    assert ["in line"] == suspects.next()


def test_if_nobody_was_heard_of_nobody_is_spared() -> None:
    """One of them it must have been."""
    suspects: Suspects[str] = Suspects(PROOF)
    for name in ("a", "b"):
        suspects.add(name)
    suspects.next()
    suspects.died()
    assert ["b"] == suspects.next()
    assert "b" == suspects.died()


def test_cleared_is_no_suspect_any_more() -> None:
    """Alone at a death later on, it is asked once more before it is blamed."""
    suspects = crashed("a")
    suspects.next()
    for _ in range(PROOF):
        suspects.step("a")
    assert suspects.died() is None
    suspects.next()
    assert "a" == suspects.died()


def test_withdrawn_suspect_makes_room_for_the_next() -> None:
    """Nobody waits for a turn that was cancelled."""
    suspects = crashed("a", "b", "c")
    suspects.next()
    assert suspects.drop("c")
    assert not suspects.drop("b")
    assert ["a"] == suspects.next()


def test_death_while_loading_blames_nobody() -> None:
    """Nobody was at work."""
    suspects = crashed("a")
    assert suspects.died() is None
    assert ["a"] == suspects.next()


@dataclass(eq=False)
class Job:
    """Work of some steps; `deadly` is the step that ends the process, if one does."""

    length: int
    deadly: int | None
    done: int = field(default=0)


@given(
    st.lists(
        st.builds(Job, st.integers(1, 12), st.none() | st.integers(0, 11)), min_size=1, max_size=8
    ),
    st.integers(1, 4),
)
def test_the_guilty_fail_and_nobody_else_does(jobs: list[Job], places: int) -> None:
    """Whatever the mixture, every innocent job comes to its end and every deadly one is given up."""
    suspects: Suspects[Job] = Suspects(PROOF)
    for job in jobs:
        suspects.add(job)
    blamed: list[Job] = []
    for _ in range(1000):
        suspects.next()
        for job in suspects.at_work[:places]:
            if job.done == job.deadly:
                culprit = suspects.died()
                blamed += [culprit] if culprit else []
                break
            job.done += 1
            suspects.step(job)
            if job.done == job.length:
                suspects.drop(job)
    deadly = [job for job in jobs if job.deadly is not None and job.deadly < job.length]
    assert () == suspects.everybody
    assert {id(job) for job in deadly} == {id(job) for job in blamed}
    assert all(job.done == job.length for job in jobs if job not in deadly)
