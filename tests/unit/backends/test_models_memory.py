"""Models coming and going: a budget of memory and idle times."""

import asyncio

import pytest

from local_assistants.backends.models import LocalModels
from local_assistants.engine.errors import BackendFault
from tests.support.clock import VirtualClock
from tests.support.models import GB, REQUEST, Machine, Model, said, served, settle, states, trio


@pytest.fixture
def machine() -> Machine:
    """A machine with nothing loaded."""
    return Machine()


# --- the budget ------------------------------------------------------------------------------------


async def test_what_fits_together_stays(machine: Machine) -> None:
    """Nobody leaves without need."""
    models = served(trio(machine, GB, GB), 2 * GB)
    for name in "abab":
        assert f"{name}!" == await said(models, name)
    assert ["+a", "+b"] == machine.history


async def test_the_longest_unused_leaves_first(machine: Machine) -> None:
    """And no more than has to."""
    clock = VirtualClock()
    entries = {model.name: model.entry() for model in trio(machine, GB, GB, GB)}
    models = LocalModels(entries, clock=clock, budget=2 * GB)
    for name in "abac":
        await said(models, name)
        await clock.advance(1, sleepers=0)
    assert ["+a", "+b", "-b", "+c"] == machine.history
    assert ["ready", "unloaded", "ready"] == states(models)


async def test_a_large_one_makes_several_leave(machine: Machine) -> None:
    """Until it fits; and before it is loaded, not after."""
    models = served(trio(machine, GB, GB, 2 * GB), 2 * GB)
    for name in "abc":
        await said(models, name)
    assert {"c": 2 * GB} == machine.loaded
    assert 2 * GB == machine.most


async def test_a_model_that_has_left_answers_all_the_same(machine: Machine) -> None:
    """Whoever holds it streams, counts and asks what it can do as before; it is loaded again."""
    models = served(trio(machine, GB, GB), GB)
    held = await models.backend("a")
    await said(models, "b")
    assert 100 == held.capabilities.context_window
    assert {"b": GB} == machine.loaded
    assert 1 == await held.count_tokens(REQUEST)
    assert {"a": GB} == machine.loaded


async def test_one_in_use_is_waited_for(machine: Machine) -> None:
    """It ends its stream in peace; then it leaves."""
    a, b = trio(machine, GB, GB)
    models = served([a, b], GB)
    a.speaking.clear()
    first = asyncio.create_task(said(models, "a"))
    await settle()
    second = asyncio.create_task(said(models, "b"))
    await settle()
    assert (["+a"], ["ready", "loading"]) == (machine.history, states(models))
    a.speaking.set()
    assert ["a!", "b!"] == [*await asyncio.gather(first, second)]
    assert ["+a", "-a", "+b"] == machine.history


async def test_newcomers_to_one_that_has_to_leave_wait_their_turn(machine: Machine) -> None:
    """Else a busy model would keep others out for ever."""
    a, b = trio(machine, GB, GB)
    models = served([a, b], GB)
    a.speaking.clear()
    first = asyncio.create_task(said(models, "a"))
    await settle()
    other = asyncio.create_task(said(models, "b"))
    await settle()
    late = asyncio.create_task(said(models, "a"))
    await settle()
    assert not late.done()
    a.speaking.set()
    assert ["a!", "b!", "a!"] == [*await asyncio.gather(first, other, late)]
    assert ["+a", "-a", "+b", "-b", "+a"] == machine.history


async def test_an_unused_one_leaves_rather_than_one_in_use(machine: Machine) -> None:
    """Though it was used later."""
    a, b, c = trio(machine, GB, GB, GB)
    models = served([a, b, c], 2 * GB)
    a.speaking.clear()
    busy = asyncio.create_task(said(models, "a"))
    await settle()
    await said(models, "b")
    assert "c!" == await said(models, "c")
    assert ["+a", "+b", "-b", "+c"] == machine.history
    a.speaking.set()
    assert "a!" == await busy


async def test_two_that_do_not_fit_together_take_turns(machine: Machine) -> None:
    """Forty callers of both at once are all answered, and never are both in memory."""
    models = served(trio(machine, GB, GB), GB)
    answers = await asyncio.gather(*(said(models, "ab"[number % 2]) for number in range(40)))
    assert ["a!", "b!"] * 20 == answers
    assert GB == machine.most


async def test_one_that_does_not_fit_even_alone_is_refused(machine: Machine) -> None:
    """And nobody has to leave for it."""
    models = served(trio(machine, GB, 5 * GB), 2 * GB)
    await said(models, "a")
    with pytest.raises(BackendFault, match=r"'b' needs about 5\.00 GB .* may take 2\.00 GB"):
        await models.backend("b")
    assert (["ready", "failed"], ["+a"]) == (states(models), machine.history)


async def test_what_takes_no_memory_waits_for_nobody(machine: Machine) -> None:
    """A script or another server answers while a large model is loaded."""
    a, b = trio(machine, GB, GB)
    a.loading.clear()
    models = LocalModels({"a": a.entry(), "b": b.entry(weightless=True)}, budget=GB)
    slow = asyncio.create_task(said(models, "a"))
    await settle()
    assert "b!" == await said(models, "b")
    a.loading.set()
    assert "a!" == await slow
    await models.close()


# --- idle times ------------------------------------------------------------------------------------


async def test_an_idle_model_is_unloaded(machine: Machine) -> None:
    """After its time since the last use, and loaded by the next."""
    clock = VirtualClock()
    models = LocalModels({"a": Model(machine, "a").entry(idle_seconds=60)}, clock=clock)
    await said(models, "a")
    await clock.advance(40)
    await said(models, "a")
    await clock.advance(30)
    await settle()
    assert ["+a"] == machine.history
    await clock.advance(30)
    await settle()
    assert (["+a", "-a"], ["unloaded"]) == (machine.history, states(models))
    assert "a!" == await said(models, "a")
    await models.close()


async def test_one_in_use_is_not_idle(machine: Machine) -> None:
    """However long its turn takes."""
    clock = VirtualClock()
    a = Model(machine, "a")
    models = LocalModels({"a": a.entry(idle_seconds=60)}, clock=clock)
    a.speaking.clear()
    slow = asyncio.create_task(said(models, "a"))
    await settle()
    for _ in range(3):
        await clock.advance(60, sleepers=0)
        await settle()
    assert ["+a"] == machine.history
    a.speaking.set()
    assert "a!" == await slow
    await settle()
    await clock.advance(59)
    await settle()
    assert ["+a"] == machine.history
    await clock.advance(1)
    await settle()
    assert ["+a", "-a"] == machine.history
    await models.close()


async def test_a_stream_that_starts_while_the_model_is_unloaded(machine: Machine) -> None:
    """Waits until it is gone, and has it loaded again."""
    clock = VirtualClock()
    a = Model(machine, "a")
    models = LocalModels({"a": a.entry(idle_seconds=60)}, clock=clock)
    held = await models.backend("a")
    a.closing.clear()
    await clock.advance(60)
    await settle()
    stream = asyncio.create_task(held.count_tokens(REQUEST))
    await settle()
    assert (["+a"], False) == (machine.history, stream.done())
    a.closing.set()
    assert 1 == await stream
    assert ["+a", "-a", "+a"] == machine.history
    await models.close()


async def test_without_an_idle_time_a_model_stays(machine: Machine) -> None:
    """Nobody sleeps to unload it."""
    clock = VirtualClock()
    models = LocalModels({"a": Model(machine, "a").entry()}, clock=clock)
    await said(models, "a")
    assert 0 == clock.sleepers


async def test_an_idle_time_of_nothing(machine: Machine) -> None:
    """Is a second, so that whoever waited for the model can take it; and a turn may last longer."""
    a, clock = Model(machine, "a"), VirtualClock()
    models = LocalModels({"a": a.entry(idle_seconds=0)}, clock=clock)
    a.speaking.clear()
    turn = asyncio.create_task(said(models, "a"))
    await settle()
    a.speaking.set()
    assert "a!" == await turn
    await clock.advance(1)
    await settle()
    assert {} == machine.loaded
    await models.close()
