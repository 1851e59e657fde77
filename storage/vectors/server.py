"""Chroma on a server of its own (`chroma run`), for an index that does not fit beside the API.

Each installation has a database there, named by a number in its data folder, so that several can share a server.
Vectors travel unencrypted and unauthenticated unless the operator puts a proxy before the server. What the server's
own disk keeps of dropped collections is out of reach from here.
"""

import uuid
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ...engine.errors import InvalidRequest, StorageFault
from .homes import missing

_SECONDS = 60.0  # for one request; a server that hangs must not hold a search for ever
_PORTS = {"http": 8000, "https": 443}


class ServerHome:
    """A database on the server at `address`; `folder` keeps its name.

    Raises:
        InvalidRequest: `address` is no http address.
    """

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self._parts = _checked(address)
        self._name_file = folder / "installation"

    def is_empty(self) -> bool:
        """Whether nothing was ever put there from here."""
        return not self._name_file.exists()

    def open(self) -> Any:
        """A client of this installation's database, which is made when it is not there.

        Raises:
            StorageFault: no Chroma answers.
            MissingDependency: Chroma is not installed.
        """
        try:
            import chromadb
            from chromadb.config import Settings
            from chromadb.errors import ChromaError
            from httpx import HTTPError
        except ImportError as error:
            raise missing() from error
        client: Any = None
        try:
            client = chromadb.HttpClient(
                host=str(self._parts.hostname),
                port=self._parts.port or _PORTS[self._parts.scheme],
                ssl=self._parts.scheme == "https",
                settings=Settings(anonymized_telemetry=False),
            )
            self._choose_database(client)
        except (HTTPError, ChromaError, ValueError) as error:
            if client is not None:
                self.close(client)
            raise StorageFault(
                "No Chroma server answers. Start one with 'chroma run', or take 'vectors' out of the settings file.",
                detail=f"{self._address}: {error}",
                passing=True,
            ) from error
        return client

    def _choose_database(self, client: Any) -> None:
        from chromadb.config import DEFAULT_TENANT
        from chromadb.errors import NotFoundError

        server = client._server
        server._session.timeout = _SECONDS
        name = self._database()
        try:
            server.get_database(name, DEFAULT_TENANT)
        except NotFoundError:
            server.create_database(name, DEFAULT_TENANT)
        client.set_database(name)

    def erase(self, client: Any, name: str) -> None:
        """Drop a collection; what the server's disk keeps of it is the server's."""
        client.delete_collection(name)

    def recovered(self, client: Any) -> None:
        """None: the server may have been started again, without what was there."""
        self.close(client)

    def close(self, client: Any) -> None:
        """End the connections, which Chroma's own close leaves open."""
        held = [each._server._session for each in (client, client._admin_client)]
        client.close()
        for session in held:
            session.close()

    def _database(self) -> str:
        if not self._name_file.exists():
            self._name_file.parent.mkdir(parents=True, exist_ok=True)
            self._name_file.write_text(f"assistants-{uuid.uuid4()}\n")
        return self._name_file.read_text().strip()


def _checked(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        sound = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of the port
        raise _no_address(address) from None
    if not sound or parts.path.strip("/") or parts.query or parts.username:
        raise _no_address(address)
    return parts


def _no_address(address: str) -> InvalidRequest:
    return InvalidRequest(
        f"'{address}' is no address of a Chroma server; it looks like http://127.0.0.1:8000.",
        param="vectors",
    )
