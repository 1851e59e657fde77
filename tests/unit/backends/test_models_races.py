"""Models that fail to load, are cancelled, closed and forgotten while other things happen to them."""

import asyncio
import random

import pytest

from local_assistants.backends.models import LocalModels, ModelEntry
from local_assistants.engine.chat import ChatRequest
from local_assistants.engine.errors import AssistantsError, BackendFault, InvalidRequest
from local_assistants.engine.observer import Observer
from local_assistants.engine.ports import ModelStatus
from tests.support.clock import VirtualClock
from tests.support.models import GB, REQUEST, Machine, Model, said, served, settle, states, trio


@pytest.fixture
def machine() -> Machine:
    """A machine with nothing loaded."""
    return Machine()


# --- loading ---------------------------------------------------------------------------------------


async def test_a_failing_load_fails_for_all_who_wait(machine: Machine) -> None:
    """Once; and the next caller tries again."""
    a = Model(machine, "a")
    models = served([a])
    a.loading.clear()
    a.fault = BackendFault("no memory")
    waiting = [asyncio.create_task(said(models, "a")) for _ in range(5)]
    await settle()
    a.loading.set()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert ["no memory"] * 5 == [str(outcome) for outcome in outcomes]
    assert (1, ModelStatus("a", "failed", detail="no memory")) == (a.attempts, *models.status())
    a.fault = None
    assert "a!" == await said(models, "a")


async def test_a_failure_of_any_kind_is_a_failure(machine: Machine) -> None:
    """What is not ours is shown as it is."""
    a = Model(machine, "a")
    a.fault = OSError("bad sector")
    models = served([a])
    with pytest.raises(OSError, match="bad sector"):
        await models.backend("a")
    with pytest.raises(BackendFault, match="bad sector"):
        await models.check()


async def test_a_failing_load_gives_its_turn_to_the_next(machine: Machine) -> None:
    """The door is not left locked."""
    a, b = trio(machine, GB, GB)
    a.fault = BackendFault("broken")
    models = served([a, b], GB)
    outcomes = await asyncio.gather(said(models, "a"), said(models, "b"), return_exceptions=True)
    assert ["broken", "b!"] == [str(outcome) for outcome in outcomes]


async def test_cancelling_one_who_waits_stops_nobody_else(machine: Machine) -> None:
    """The load goes on, even when all have gone."""
    a = Model(machine, "a")
    models = served([a])
    a.loading.clear()
    waiting = [asyncio.create_task(said(models, "a")) for _ in range(3)]
    await settle()
    waiting[0].cancel()
    await settle()
    assert [True, False, False] == [task.done() for task in waiting]
    waiting[1].cancel()
    waiting[2].cancel()
    await settle()
    a.loading.set()
    await settle()
    assert (1, ["ready"]) == (a.attempts, states(models))


async def test_cancelling_a_stream_frees_the_model(machine: Machine) -> None:
    """So that it can leave for another."""
    a, b = trio(machine, GB, GB)
    models = served([a, b], GB)
    a.speaking.clear()
    stream = asyncio.create_task(said(models, "a"))
    await settle()
    other = asyncio.create_task(said(models, "b"))
    await settle()
    stream.cancel()
    assert "b!" == await other


async def test_progress_is_seen_by_status_and_observers(machine: Machine) -> None:
    """Loading with its share, ready with what it took, unloaded."""
    heard: list[ModelStatus] = []

    class Listener(Observer):
        """Keeps what it hears."""

        def model_changed(self, status: ModelStatus) -> None:
            """Keep it."""
            heard.append(status)

    a = Model(machine, "a")
    a.loading.clear()
    models = served([a], observers=[Listener()])
    slow = asyncio.create_task(said(models, "a"))
    await settle()
    assert [ModelStatus("a", "loading", 0.5, GB)] == models.status()
    a.loading.set()
    await slow
    await models.close()
    assert [
        ModelStatus("a", "loading"),
        ModelStatus("a", "loading", 0.0, GB),
        ModelStatus("a", "loading", 0.5, GB),
        ModelStatus("a", "ready", 1.0, GB, "on sand"),
        ModelStatus("a", "unloaded"),
    ] == heard


async def test_what_is_wanted_at_start_is_loaded_unasked(machine: Machine) -> None:
    """And until then the installation is not ready; the others wait to be asked for."""
    a, b = trio(machine, GB, GB)
    a.loading.clear()
    models = LocalModels({"a": a.entry(at_start=True), "b": b.entry()})
    await models.check()
    models.start()
    await settle()
    with pytest.raises(BackendFault, match=r"Being loaded: a \(50%\)\."):
        await models.check()
    a.loading.set()
    await settle()
    await models.check()
    assert ["+a"] == machine.history
    await models.close()


# --- the end ---------------------------------------------------------------------------------------


async def test_closing_while_loading(machine: Machine) -> None:
    """The load is cancelled, and whoever waits is told why."""
    a = Model(machine, "a")
    models = served([a])
    a.loading.clear()
    waiting = asyncio.create_task(said(models, "a"))
    await settle()
    await models.close()
    with pytest.raises(BackendFault, match="the engine stops"):
        await waiting
    assert ({}, ["unloaded"]) == (machine.loaded, states(models))


async def test_closing_while_one_waits_for_another_to_leave(machine: Machine) -> None:
    """Everything goes, whoever uses it."""
    a, b = trio(machine, GB, GB)
    models = served([a, b], GB)
    held = await models.backend("a")
    a.speaking.clear()
    stream = held.stream(REQUEST)
    await anext(stream)
    waiting = asyncio.create_task(said(models, "b"))
    await settle()
    await models.close()
    with pytest.raises(BackendFault, match="the engine stops"):
        await waiting
    assert ({}, 0) == (machine.loaded, b.attempts)
    await stream.aclose()


async def test_closing_while_a_model_is_being_unloaded(machine: Machine) -> None:
    """Waits until it is gone, and closes nothing twice."""
    a, b = trio(machine, GB, GB)
    models = served([a, b], GB)
    await said(models, "a")
    a.closing.clear()
    waiting = asyncio.create_task(said(models, "b"))
    await settle()
    closing = asyncio.create_task(models.close())
    await settle()
    assert not closing.done()
    a.closing.set()
    await closing
    assert ["+a", "-a"] == machine.history
    with pytest.raises(BackendFault, match="the engine stops"):
        await waiting


async def test_after_the_end_nothing_is_loaded(machine: Machine) -> None:
    """A late caller is told."""
    models = served(trio(machine, GB))
    held = await models.backend("a")
    await models.close()
    with pytest.raises(BackendFault, match="the engine stops"):
        await held.count_tokens(REQUEST)


# --- forgetting and validating ---------------------------------------------------------------------


async def test_loaded_models_and_the_disk_forget(machine: Machine) -> None:
    """Loaded ones first, so that none writes down again what was erased; the others have nothing in memory."""
    a, b = trio(machine, GB, GB)
    erased: list[tuple[str, int]] = []

    def erase(session: str) -> None:
        erased.append((session, len(a.forgotten)))

    models = served([a, b], erase=erase)
    await said(models, "a")
    await models.forget("thread_1")
    assert (["thread_1"], [], [("thread_1", 1)]) == (a.forgotten, b.forgotten, erased)
    assert ["ready", "unloaded"] == states(models)


async def test_a_model_that_is_just_leaving_is_gone_before_the_disk_forgets(
    machine: Machine,
) -> None:
    """It may write down its conversations on its way out."""
    clock = VirtualClock()
    a = Model(machine, "a")
    erased: list[list[str]] = []
    models = LocalModels(
        {"a": a.entry(idle_seconds=1)},
        clock=clock,
        erase=lambda session: erased.append([session, *machine.history]),
    )
    await said(models, "a")
    a.closing.clear()
    await clock.advance(1)
    await settle()
    forgetting = asyncio.create_task(models.forget("thread_1"))
    await settle()
    assert [] == erased
    a.closing.set()
    await forgetting
    assert [["thread_1", "+a", "-a"]] == erased
    await models.close()


async def test_validating_loads_nothing(machine: Machine) -> None:
    """Each model by its own rules; one without rules says nothing."""
    a = Model(machine, "a")
    models = LocalModels({"a": a.entry(), "b": ModelEntry(a.open)})
    with pytest.raises(InvalidRequest, match="unlucky"):
        await models.validate("a", ChatRequest((), seed=13))
    await models.validate("a", ChatRequest((), seed=12))
    await models.validate("b", ChatRequest((), seed=13))
    assert (2, 0) == (len(a.validated), a.attempts)


# --- all at once -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_at_once(machine: Machine, seed: int) -> None:
    """Callers, cancellations, failures, idle times and threads that are deleted: the budget holds and all end."""
    rng = random.Random(seed)
    clock = VirtualClock()
    fleet = trio(machine, GB, GB, 2 * GB)
    entries = {model.name: model.entry(idle_seconds=5) for model in fleet}
    models = LocalModels(entries, clock=clock, budget=2 * GB)
    tasks: list[asyncio.Task[object]] = []
    for _ in range(150):
        model = rng.choice(fleet)
        model.fault = BackendFault("now and then") if rng.random() < 0.05 else None
        act = rng.random()
        if act < 0.6:
            tasks.append(asyncio.create_task(said(models, model.name)))
        elif act < 0.7:
            tasks.append(asyncio.create_task(models.forget("x")))
        elif act < 0.8 and tasks:
            rng.choice(tasks).cancel()
        elif act < 0.9:
            await clock.advance(rng.choice([1, 6]), sleepers=0)
        gate = rng.choice([model.speaking, model.loading, model.closing])
        (gate.clear if rng.random() < 0.3 else gate.set)()
        await asyncio.sleep(rng.choice([0, 0, 0.001]))
    for model in fleet:
        model.fault = None
        for gate in (model.speaking, model.loading, model.closing):
            gate.set()
    async with asyncio.timeout(20):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    strange = [
        each
        for each in outcomes
        if isinstance(each, BaseException)
        and not isinstance(each, AssistantsError | asyncio.CancelledError)
    ]
    assert [] == strange
    assert machine.most <= 2 * GB
    for model in fleet:
        assert f"{model.name}!" == await said(models, model.name)
    await models.close()
    assert {} == machine.loaded
