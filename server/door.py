"""Who a request comes from: the key it carries, and the project which that key opens.

A key is asked for as soon as there is one, and everywhere but on loopback even when there is none: then nobody gets in.
So a server that others can reach goes closed, not open, when its last key is revoked.
"""

from collections.abc import Mapping

from ..engine.errors import AuthenticationFailed
from ..engine.services import Keys
from .settings import ServerSettings


class Door:
    """Asks for keys as the settings say."""

    def __init__(self, keys: Keys, settings: ServerSettings) -> None:
        self._keys = keys
        self._settings = settings

    async def is_guarded(self) -> bool:
        """Whether a key is asked for."""
        if self._settings.no_auth:
            return False
        return not self._settings.on_loopback or bool(await self._keys.active())

    async def project(self, headers: Mapping[str, str]) -> str:
        """The project of the request's key.

        Raises:
            AuthenticationFailed: no key or a wrong one was sent.
        """
        secret = sent_key(headers)
        if not secret:
            raise AuthenticationFailed(
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY), or in the header 'api-key'."
            )
        key = await self._keys.authenticate(secret)
        if key is None:
            raise AuthenticationFailed(
                f"Incorrect API key provided: {masked(secret)}. Ask whoever runs this server for one: they make it "
                "with 'local-assistants keys create'.",
                code="invalid_api_key",
            )
        return key.project


def sent_key(headers: Mapping[str, str]) -> str:
    """What came in `api-key` or `Authorization: Bearer`; "" for nothing."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return headers.get("api-key") or (token.strip() if scheme.lower() == "bearer" else "")


def masked(secret: str) -> str:
    """Enough of a key to recognise it, too little to use it."""
    return f"{secret[:5]}***{secret[-2:]}" if len(secret) > 12 else "***"
