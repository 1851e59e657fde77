"""API keys: made once, stored hashed, compared, revoked, believed for half a second."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from local_assistants.engine.errors import InvalidRequest, NotFound, StorageFault
from local_assistants.engine.objects import ApiKey
from local_assistants.engine.services import Keys
from local_assistants.storage import SQLiteStore
from tests.support.clock import START, VirtualClock
from tests.support.database import open_store
from tests.support.ids import CountingIds


class Setting:
    """Two processes' keys over one store, and their clock."""

    def __init__(self, store: SQLiteStore) -> None:
        self.store = store
        self.clock = VirtualClock()
        ids = CountingIds()
        self.here, self.there = (Keys(store, self.clock, ids) for _ in range(2))


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    """A store without keys."""
    store = open_store(tmp_path)
    yield Setting(store)
    await store.close()


@pytest.fixture
def keys(setting: Setting) -> Keys:
    """The keys of a store that has none."""
    return setting.here


async def test_a_new_key_opens_its_project(keys: Keys) -> None:
    """And says when it was made, for whom, and how it ends."""
    made = await keys.create("laptop", "alpha")
    assert made.key == await keys.authenticate(made.secret)
    assert ("key_1", START, "laptop", "alpha", None) == (
        made.key.id,
        made.key.created_at,
        made.key.name,
        made.key.project,
        made.key.revoked_at,
    )
    assert made.secret.endswith(made.key.ending)
    assert 4 == len(made.key.ending)


async def test_keys_are_long_and_never_alike(keys: Keys) -> None:
    """256 random bits, in characters that need no quoting anywhere."""
    secrets = {(await keys.create()).secret for _ in range(50)}
    assert 50 == len(secrets)
    assert {"sk-la-"} == {secret[:6] for secret in secrets}
    assert all(len(secret) == 49 for secret in secrets)
    assert all(secret.replace("-", "").replace("_", "").isalnum() for secret in secrets)


async def test_only_the_whole_key_opens(keys: Keys) -> None:
    """Nothing near it, nothing that is stored of it."""
    made = await keys.create()
    secret, digest = made.secret, made.key.digest
    near = (secret[:-1], secret + "x", secret.upper(), secret[6:], digest, "", "\udcff", "é")
    assert [None] * len(near) == [await keys.authenticate(each) for each in near]


async def test_each_of_many_keys_opens_its_own_project(keys: Keys) -> None:
    """Whichever was made first."""
    made = [await keys.create(project=f"p{n}") for n in range(5)]
    found = [await keys.authenticate(each.secret) for each in made]
    assert ["p0", "p1", "p2", "p3", "p4"] == [key.project if key else None for key in found]


async def test_a_key_shows_nowhere_what_it_is(keys: Keys) -> None:
    """Neither in repr nor in the wire form; its hash does not, either."""
    made = await keys.create()
    shown = f"{made!r} {made.key!r} {made.key} {made.key.to_wire()} {await keys.list()!r}"
    assert made.key.id in shown
    assert made.secret not in shown
    assert made.key.digest not in shown


async def test_a_revoked_key_opens_nothing_and_stays_listed(keys: Keys) -> None:
    """At once in this process; the other keys are as before."""
    first, second = await keys.create("a"), await keys.create("b")
    await keys.revoke(first.key.id)
    assert await keys.authenticate(first.secret) is None
    assert second.key == await keys.authenticate(second.secret)
    assert [("a", START), ("b", None)] == [(k.name, k.revoked_at) for k in await keys.list()]
    assert [second.key] == list(await keys.active())


async def test_a_key_is_revoked_once(setting: Setting) -> None:
    """The first time counts."""
    made = await setting.here.create()
    first = await setting.here.revoke(made.key.id)
    await setting.clock.advance(100, sleepers=0)
    assert first == await setting.here.revoke(made.key.id)


async def test_an_unknown_key_cannot_be_revoked(keys: Keys) -> None:
    """The id is named; a secret is no id."""
    made = await keys.create()
    for key_id in ("key_404", made.secret, ""):
        with pytest.raises(NotFound):
            await keys.revoke(key_id)
    assert [made.key] == list(await keys.active())


@pytest.mark.parametrize("clock_goes", [0.5, 60.0, -60.0])
async def test_what_another_process_changes_is_known_half_a_second_later(
    setting: Setting, clock_goes: float
) -> None:
    """Also when the clock is set back in between."""
    assert [] == list(await setting.here.active())
    made = await setting.there.create()
    await setting.clock.advance(clock_goes, sleepers=0)
    assert made.key == await setting.here.authenticate(made.secret)
    await setting.there.revoke(made.key.id)
    await setting.clock.advance(clock_goes, sleepers=0)
    assert await setting.here.authenticate(made.secret) is None


async def test_the_door_does_not_read_the_store_for_each_request(setting: Setting) -> None:
    """Within half a second what was read is used again, even when the store is gone."""
    made = await setting.here.create()
    await setting.here.active()
    await setting.store.close()
    assert made.key == await setting.here.authenticate(made.secret)
    await setting.clock.advance(0.5, sleepers=0)
    with pytest.raises(StorageFault):
        await setting.here.authenticate(made.secret)


@pytest.mark.parametrize(
    ("name", "project", "param"),
    [
        ("a\nb", "default", "name"),
        ("\x1b[2J", "default", "name"),
        ("x" * 101, "default", "name"),
        ("", "", "project"),
        ("", "a b", "project"),
        ("", "../x", "project"),
        ("", "-x", "project"),
        ("", "x" * 65, "project"),
        ("", "default\n", "project"),
        ("", "é", "project"),
    ],
)
async def test_names_are_names(keys: Keys, name: str, project: str, param: str) -> None:
    """What a terminal or a path could take for something else is refused, and no key is made."""
    with pytest.raises(InvalidRequest) as caught:
        await keys.create(name, project)
    assert param == caught.value.param
    assert [] == list(await keys.list())


async def test_more_keys_than_a_page_holds_are_all_known(setting: Setting) -> None:
    """The first and the last of 2,500 open the door."""
    first = await setting.here.create("first")

    def fill(tx: object) -> None:
        for number in range(2500):
            key = ApiKey(id=f"key_x{number}", created_at=1, ending="abcd", digest=f"{number:064}")
            tx.put(key)  # type: ignore[attr-defined]

    await setting.store.write(fill)
    last = await setting.here.create("last")
    assert 2502 == len(await setting.here.active())
    found = [await setting.here.authenticate(each.secret) for each in (first, last)]
    assert [first.key, last.key] == found
