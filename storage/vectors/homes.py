"""Where Chroma's collections live: what the index asks of a folder or a server, and what both say when they fail."""

from typing import Any, Protocol

from ...engine.errors import MissingDependency, StorageFault


class Home(Protocol):
    """A place for collections. Its methods block, and are called from one thread at a time."""

    def is_empty(self) -> bool:
        """Whether there is certainly nothing, told without loading Chroma."""
        ...

    def open(self) -> Any:
        """A Chroma client.

        Raises:
            StorageFault: the place cannot be used now; the message says what helps.
        """
        ...

    def erase(self, client: Any, name: str) -> None:
        """Drop an existing collection, and what it leaves behind as far as this home reaches."""
        ...

    def recovered(self, client: Any) -> Any:
        """The client to go on with after one of its calls failed; None: open another."""
        ...

    def close(self, client: Any) -> None:
        """Let go of the client and of the place."""
        ...


def fault(error: BaseException) -> StorageFault:
    """An error of Chroma in our own tree."""
    return StorageFault(
        "The vector index failed.", detail=f"{type(error).__name__}: {error}", passing=True
    )


def missing() -> MissingDependency:
    """What to say where Chroma is not installed."""
    return MissingDependency("The vector index needs chromadb: pip install local-assistants")
