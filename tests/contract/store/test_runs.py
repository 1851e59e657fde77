"""Runs: the thread's lock, the queue, leases, deadlines."""

import pytest

from local_assistants.engine.objects import ApiKey
from local_assistants.engine.ports import Store
from local_assistants.engine.states import RUN, RunStatus
from tests.contract.store import samples
from tests.contract.store.conftest import put


@pytest.fixture
def store(whole: Store) -> Store:
    """Runs are claimed from the whole store only."""
    return whole


async def queued(store: Store, *numbers: int, status: RunStatus = RunStatus.QUEUED) -> None:
    """Store runs with these numbers, each with its thread."""
    for number in numbers:
        await put(store, samples.thread(number), samples.run(number, status=status))


async def claim(store: Store, owner: str, now: float, lease: float = 10.0) -> str | None:
    """Id of the run that `owner` gets."""
    run = await store.write(lambda tx: tx.claim_run(owner, now, lease))
    return None if run is None else run.id


async def set_status(store: Store, number: int, status: RunStatus) -> None:
    """Store the run with another status."""
    await put(store, samples.run(number, status=status))


async def test_a_run_locks_its_thread_until_it_is_over(store: Store) -> None:
    """Exactly the statuses that are not final lock."""
    await queued(store, 1)
    for status in RunStatus:
        await set_status(store, 1, status)
        active = await store.read(lambda tx: tx.active_run("thread_1"))
        assert (active is not None) == (not RUN.is_final(status)), status


async def test_an_idle_thread_has_no_active_run(store: Store) -> None:
    """A finished run in it, and another thread's run, do not lock it."""
    await queued(store, 1, status=RunStatus.COMPLETED)
    await queued(store, 2)
    assert await store.read(lambda tx: tx.active_run("thread_1")) is None


async def test_the_oldest_run_is_claimed_first(store: Store) -> None:
    """Each run goes to one owner; an empty queue gives nothing."""
    await queued(store, 2, 1, 3)
    assert [await claim(store, owner, 0) for owner in "abcd"] == ["run_2", "run_1", "run_3", None]


async def test_only_runs_that_want_work_are_claimed(store: Store) -> None:
    """Queued, in progress and cancelling ones; waiting and finished ones are nobody's work."""
    await queued(store, 1)
    wanted: set[RunStatus] = set()
    for status in RunStatus:
        await set_status(store, 1, status)
        if await claim(store, "a", 0) == "run_1":
            wanted.add(status)
            await store.write(lambda tx: tx.release_run("run_1", "a"))
    assert wanted == {RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.CANCELLING}


async def test_a_claimed_run_is_safe_until_its_lease_lapses(store: Store) -> None:
    """Another owner gets it at the end of the lease, not before."""
    await queued(store, 1)
    await claim(store, "a", 100, 10)
    assert await claim(store, "b", 109.9) is None
    await set_status(store, 1, RunStatus.IN_PROGRESS)
    assert await claim(store, "b", 109.9) is None
    assert await claim(store, "b", 110) == "run_1"


async def test_a_claimed_run_is_not_claimed_again_by_its_owner(store: Store) -> None:
    """Before it is started it still reads queued; the lease keeps it from a second task of one worker."""
    await queued(store, 1)
    assert await claim(store, "a", 0) == "run_1"
    assert await claim(store, "a", 0) is None


async def test_a_heartbeat_extends_all_leases_of_its_owner(store: Store) -> None:
    """And nobody else's."""
    await queued(store, 1, 2, 3)
    for owner in ("a", "a", "b"):
        await claim(store, owner, 0, 10)
    await store.write(lambda tx: tx.extend_leases("a", 5, 100))
    assert await claim(store, "c", 50) == "run_3"
    assert await claim(store, "c", 50) is None


async def test_a_released_run_can_be_claimed_at_once(store: Store) -> None:
    """Its lease is gone, once its owner says so; another one cannot give it back."""
    await queued(store, 1)
    await claim(store, "a", 0)
    await store.write(lambda tx: tx.release_run("run_1", "b"))
    assert await claim(store, "b", 0) is None
    await store.write(lambda tx: tx.release_run("run_1", "a"))
    assert await claim(store, "b", 0) == "run_1"


async def test_a_run_back_from_its_client_can_be_claimed_at_once(store: Store) -> None:
    """Waiting in requires_action ends the lease, so tool outputs do not wait for it to lapse."""
    await queued(store, 1)
    await claim(store, "a", 0, 1000)
    for status in (RunStatus.IN_PROGRESS, RunStatus.REQUIRES_ACTION, RunStatus.QUEUED):
        await set_status(store, 1, status)
    assert await claim(store, "b", 0) == "run_1"


async def test_lapsed_and_unclaimed_runs_share_one_queue(store: Store) -> None:
    """The oldest goes first, whichever it is."""
    await queued(store, 1, 2, 3)
    await store.write(lambda tx: [tx.claim_run("dead", 0, 5), tx.claim_run("dead", 0, 50)])
    assert [await claim(store, "b", 10, 100) for _ in range(3)] == ["run_1", "run_3", None]
    assert await claim(store, "b", 50) == "run_2"


async def test_one_run_can_be_claimed_out_of_turn(store: Store) -> None:
    """Only while nobody works on it and it wants work."""
    await queued(store, 1, 2)
    await put(store, samples.thread(3), samples.run(3, status=RunStatus.REQUIRES_ACTION))

    async def take(owner: str, number: int, now: float) -> bool:
        run = await store.write(lambda tx: tx.claim_run(owner, now, 10, f"run_{number}"))
        return run is not None and run.id == f"run_{number}"

    assert [True, False] == [await take("a", 2, 0), await take("b", 2, 9)]
    assert [True, False, False] == [
        await take("b", 2, 10),
        await take("b", 3, 10),
        await take("b", 4, 10),
    ]
    assert "run_1" == await claim(store, "c", 10)


async def test_a_run_is_its_owners_until_another_takes_it(store: Store) -> None:
    """A lapsed lease alone takes it from nobody; a run that waits for its client is nobody's."""
    await queued(store, 1)

    async def owner() -> str | None:
        return await store.read(lambda tx: tx.lease_owner("run_1"))

    owners = [await owner()]
    await claim(store, "a", 0, 10)
    owners.append(await owner())
    await claim(store, "b", 50, 10)
    owners.append(await owner())
    await set_status(store, 1, RunStatus.REQUIRES_ACTION)
    owners.append(await owner())

    assert [None, "a", "b", None] == owners
    assert await store.read(lambda tx: tx.lease_owner("run_9")) is None


async def test_the_queue_is_counted(store: Store) -> None:
    """Queued runs, claimed or not, and no others."""
    assert 0 == await store.read(lambda tx: tx.count_queued())
    await queued(store, 1, 2, 3)
    await claim(store, "a", 0)
    await set_status(store, 3, RunStatus.IN_PROGRESS)
    assert 2 == await store.read(lambda tx: tx.count_queued())


async def in_projects(store: Store, *projects: str) -> None:
    """Store a queued run with its thread in each of these, numbered from 1 in this order."""
    for number, project in enumerate(projects, start=1):
        await queued(store.scoped(project), number)


async def claim_all(store: Store, share: int | None = None) -> list[str]:
    """The runs that one owner gets, one after the other."""
    claimed: list[str] = []
    while run := await store.write(lambda tx: tx.claim_run("a", 0, 10, share=share)):
        claimed.append(run.id)
    return claimed


async def test_the_project_with_the_fewest_runs_at_work_is_next(store: Store) -> None:
    """Among its runs, and among such projects, the oldest."""
    await in_projects(store, "alpha", "alpha", "alpha", "beta", "gamma", "beta")
    assert [1, 4, 5, 2, 6, 3] == [int(run_id[4:]) for run_id in await claim_all(store)]


async def test_a_lapsed_run_counts_for_its_project_only(store: Store) -> None:
    """What another owner left is taken over in its project's turn."""
    await in_projects(store, "alpha", "alpha", "beta", "beta")
    await store.write(lambda tx: [tx.claim_run("dead", -20, 5) for _ in range(2)])
    assert ["run_1", "run_3", "run_2", "run_4"] == await claim_all(store)


async def test_a_project_that_has_its_share_waits(store: Store) -> None:
    """Until one of its runs is over; the others have their shares besides."""
    await in_projects(store, "alpha", "alpha", "alpha", "alpha", "beta")
    assert ["run_1", "run_5", "run_2"] == await claim_all(store, share=2)
    await set_status(store, 1, RunStatus.COMPLETED)
    assert ["run_3"] == await claim_all(store, share=2)


async def test_threads_and_keys_tell_that_there_are_several_projects(store: Store) -> None:
    """A key to another one is enough, before it is used; one that was revoked is not."""

    async def several() -> bool:
        return await store.read(lambda tx: tx.several_projects())

    key = ApiKey(id="key_1", created_at=1, project="beta", ending="abcd", digest="00")
    seen = [await several()]
    await in_projects(store, "alpha", "alpha")
    seen.append(await several())
    await put(store, key)
    seen.append(await several())
    await put(store, key.model_copy(update={"revoked_at": 2}))
    seen.append(await several())
    await queued(store.scoped("beta"), 3)
    seen.append(await several())
    assert [False, False, True, False, True] == seen


async def test_each_project_s_queue_is_counted(store: Store) -> None:
    """In its view; the whole store counts all of them."""
    await in_projects(store, "alpha", "beta", "alpha", "alpha")
    await set_status(store, 4, RunStatus.COMPLETED)
    views = [store.scoped("alpha"), store.scoped("beta"), store.scoped("gamma"), store]
    assert [2, 1, 0, 3] == [await view.read(lambda tx: tx.count_queued()) for view in views]


async def test_overdue_runs_are_those_past_their_time(store: Store) -> None:
    """expires_at itself counts as past; finished runs and runs without a deadline never are."""
    runs = [
        samples.run(1, expires_at=30),
        samples.run(2, expires_at=20, status=RunStatus.REQUIRES_ACTION),
        samples.run(3, expires_at=31),
        samples.run(4, expires_at=10, status=RunStatus.EXPIRED),
        samples.run(5),
    ]
    for number, run in enumerate(runs, start=1):
        await put(store, samples.thread(number), run)
    overdue = await store.read(lambda tx: tx.overdue_runs(30))
    assert ["run_2", "run_1"] == [run.id for run in overdue]
