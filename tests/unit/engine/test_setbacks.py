"""Files that wait since the host is in trouble: which one is tried next, and after what pause."""

from local_assistants.engine.errors import StorageFault
from local_assistants.engine.setbacks import LONGEST_PAUSE, Setback, Setbacks
from tests.support.clock import VirtualClock

FULL = StorageFault("The disk is full.", detail="/data/store.db", passing=True)


async def test_pauses_grow_to_a_minute_and_end_with_a_success() -> None:
    """Each try in vain doubles the pause; one file done, and the next one is tried at once."""
    clock = VirtualClock()
    setbacks = Setbacks(clock)
    pauses: list[float] = []
    for _ in range(8):
        pauses.append(setbacks.met("vs/a", FULL))
        await clock.advance(pauses[-1], sleepers=0)
    setbacks.met("vs/b", FULL)
    setbacks.over("vs/a")

    assert [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE] == pauses
    assert (0.0, False, "vs/b") == (setbacks.pause(), setbacks.trouble, setbacks.next(()))


async def test_many_files_that_meet_one_fault_are_one_failure() -> None:
    """The pause is not longer for it."""
    setbacks = Setbacks(VirtualClock())
    pauses = [setbacks.met(f"vs/{n}", FULL) for n in range(16)]

    assert [1.0] * 16 == pauses


async def test_the_file_that_has_waited_longest_is_next() -> None:
    """In a pause none is; after it all others are still shut out; what is at work counts for neither."""
    clock = VirtualClock()
    setbacks = Setbacks(clock)
    for key in ("vs/a", "vs/b", "vs/c", "vs/a"):
        setbacks.met(key, FULL)
    paused = setbacks.next(()), setbacks.shut_out(())
    await clock.advance(1, sleepers=0)
    after = setbacks.next(()), setbacks.shut_out(())
    beside = setbacks.next(("vs/b",)), setbacks.shut_out(("vs/b",))
    setbacks.forget("vs/b")

    assert (None, ["vs/b", "vs/c", "vs/a"]) == paused
    assert ("vs/b", ["vs/c", "vs/a"]) == after
    assert ("vs/c", ["vs/a"]) == beside
    assert (None, Setback("The disk is full.", 2)) == (setbacks.get("vs/b"), setbacks.get("vs/a"))
    assert "vs/c" == setbacks.next(())
