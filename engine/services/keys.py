"""API keys: made, listed, revoked, and asked at the door.

A key is shown once, when it is made; what is stored is its SHA-256 (a key has 256 random bits, so nobody finds it by
trying, and nothing slower is needed). Keys are kept in the store, so another process may change them at any time: what
was read is believed for half a second. Knows no HTTP and does not decide when a key is asked for.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..errors import InvalidRequest, NotFound
from ..objects import DEFAULT_PROJECT, ApiKey
from ..ports import Clock, Ids, PageQuery, Store, Transaction

PREFIX = "sk-la-"
_RANDOM_BYTES = 32
_SHOWN = 4  # last characters of a key that stay known
_BELIEVED = 0.5  # seconds
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, with the secret that opens the door; it is never shown again."""

    key: ApiKey
    secret: str = field(repr=False)


class Keys:
    """The keys of an installation, of all projects. Works on the whole store."""

    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._active: tuple[ApiKey, ...] = ()
        self._read_at: float | None = None

    async def create(self, name: str = "", project: str = DEFAULT_PROJECT) -> NewKey:
        """A new key to `project`, which needs no other making.

        Raises:
            InvalidRequest: the name or the project cannot be called so.
        """
        _check_names(name, project)
        secret = PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
        key = ApiKey(
            id=self._ids.new("key"),
            created_at=int(self._clock.now()),
            name=name,
            project=project,
            ending=secret[-_SHOWN:],
            digest=_digest(secret),
        )
        await self._store.write(lambda tx: tx.put(key))
        self._read_at = None
        return NewKey(key, secret)

    async def list(self) -> Sequence[ApiKey]:
        """All keys, revoked ones too, oldest first."""
        return await self._store.read(_all)

    async def revoke(self, key_id: str) -> ApiKey:
        """Close the door to a key for good; one that is revoked already stays as it is.

        Raises:
            NotFound: there is no such key.
        """

        def change(tx: Transaction) -> ApiKey:
            key = tx.get(ApiKey, key_id)
            if key is None:
                raise NotFound(f"No key found with id '{key_id}'.")
            if key.revoked_at is None:
                key = key.model_copy(update={"revoked_at": int(self._clock.now())})
                tx.put(key)
            return key

        revoked = await self._store.write(change)
        self._read_at = None
        return revoked

    async def active(self) -> Sequence[ApiKey]:
        """The keys that open the door, as of half a second ago at most."""
        now = self._clock.now()
        # A clock that was set back must not make old news last.
        if self._read_at is None or not 0 <= now - self._read_at < _BELIEVED:
            found = await self._store.read(_all)
            self._active = tuple(key for key in found if key.revoked_at is None)
            self._read_at = now
        return self._active

    async def authenticate(self, secret: str) -> ApiKey | None:
        """The active key with this secret, if there is one; takes as long whichever it is."""
        digest = _digest(secret)
        matches = [key for key in await self.active() if hmac.compare_digest(digest, key.digest)]
        return matches[0] if matches else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _all(tx: Transaction) -> list[ApiKey]:
    keys: list[ApiKey] = []
    query, more = PageQuery(limit=1000, order="asc"), True
    while more:
        page, more = tx.page(ApiKey, query)
        keys += page
        query = replace(query, after=page[-1].id if page else None)
    return keys


def _check_names(name: str, project: str) -> None:
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            f"The name of a key is a line of at most {_LONGEST_NAME} characters.", param="name"
        )
    if not _PROJECT.fullmatch(project):
        raise InvalidRequest(
            "The name of a project is 1 to 64 letters, digits, '.', '_' or '-', beginning with a letter or digit.",
            param="project",
        )
