"""The ledger of code interpreter sessions: one for a thread and hour, kept for ever, each project's its own."""

from local_assistants.engine.objects import Thread
from local_assistants.engine.ports import CodeSession, Store, Transaction
from tests.contract.store import samples
from tests.contract.store.conftest import put


async def began(store: Store, thread: str, run: str, at: int) -> bool:
    """Whether a session that began then was noted, where an hour pays for 100 seconds."""
    return await store.write(lambda tx: tx.add_code_session(thread, run, at, at - 100))


async def test_a_session_is_noted_once_for_its_time(store: Store) -> None:
    """One that begins again meanwhile is paid for; one that begins when the time is over is not."""
    await put(store, samples.thread())
    noted = [
        await began(store, "thread_1", f"run_{n}", at) for n, at in enumerate((500, 599, 600, 650))
    ]
    assert [True, False, True, False] == noted
    sessions = await store.read(lambda tx: tx.code_sessions_of_thread("thread_1"))
    assert [("run_0", 500), ("run_2", 600)] == [(each.run_id, each.started_at) for each in sessions]


async def test_every_thread_pays_for_itself(store: Store) -> None:
    """Two threads at once are two sessions."""
    await put(store, samples.thread(1), samples.thread(2))
    assert await began(store, "thread_1", "run_1", 500)
    assert await began(store, "thread_2", "run_2", 500)


async def test_the_ledger_of_a_stretch_of_time(store: Store) -> None:
    """From its beginning up to its end, without it, oldest first."""
    await put(store, *(samples.thread(n) for n in range(4)))
    for number, at in enumerate((30, 10, 20, 40)):
        await began(store, f"thread_{number}", f"run_{number}", at)
    found = await store.read(lambda tx: tx.code_sessions(since=20, until=40))
    assert ["run_2", "run_0"] == [session.run_id for session in found]


async def test_what_was_used_stays_when_the_thread_is_deleted(store: Store) -> None:
    """Deleting is no way to pay less."""
    await put(store, samples.thread())
    await began(store, "thread_1", "run_1", 500)
    await store.write(lambda tx: tx.delete(Thread, "thread_1"))
    assert 1 == len(await store.read(lambda tx: tx.code_sessions(0, 1000)))


async def test_a_thread_that_is_gone_has_no_new_session(store: Store) -> None:
    """Nobody could be told whose it was."""
    assert not await began(store, "thread_gone", "run_1", 500)
    assert [] == await store.read(lambda tx: tx.code_sessions(0, 1000))


async def test_each_project_has_its_own_ledger(whole: Store) -> None:
    """Neither seen nor written by another one; the whole store sees all with their projects."""
    one, other = whole.scoped("one"), whole.scoped("other")
    await put(one, samples.thread(1))
    await put(other, samples.thread(2))
    assert [True, True] == [
        await began(one, "thread_1", "run_1", 500),
        await began(whole, "thread_2", "run_2", 600),
    ]
    assert not await began(one, "thread_2", "run_3", 900)

    def look(tx: Transaction) -> list[list[CodeSession]]:
        return [tx.code_sessions(0, 1000), tx.code_sessions_of_thread("thread_1")]

    first = CodeSession("one", "thread_1", "run_1", 500)
    second = CodeSession("other", "thread_2", "run_2", 600)
    assert [[first, second], [first]] == await whole.read(look)
    assert [[first], [first]] == await one.read(look)
    assert [[second], []] == await other.read(look)
