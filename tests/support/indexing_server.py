"""A server with file search in a process that may be killed.

Run with its data folder, the seconds that a text takes, and where to write down what is embedded (the data folder).
Everything is the product's own, the worker process too; only the embedding model in it is a small one that writes down
what it embeds.
"""

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn

from local_assistants.backends.scripted import ScriptedBackend
from local_assistants.engine.clock import RandomIds, SystemClock
from local_assistants.engine.core import Core
from local_assistants.engine.feed import EventFeed
from local_assistants.engine.journal import Journal
from local_assistants.engine.services import Services
from local_assistants.engine.settings import CoreSettings
from local_assistants.server.app import create_app
from local_assistants.server.listening import listen, url_of
from local_assistants.storage.blobs import FileBlobs
from local_assistants.storage.sqlite import SQLiteStore
from local_assistants.storage.vectors.index import open_index
from local_assistants.tools.file_search.ingestion.process_worker import Model, ProcessWorker
from local_assistants.tools.file_search.library import FileLibrary
from tests.support.counting_embedder import FACTORY, CountingEmbedder
from tests.support.engine import OneModel


def library_in(data: Path, store: SQLiteStore, seconds: float, notes: Path) -> FileLibrary:
    """File search over a data folder; queries are written down apart from the texts of files."""
    for name in ("model", "queries"):
        (notes / name).mkdir(exist_ok=True)
    model = Model(FACTORY, {"folder": str(notes / "model"), "seconds": seconds}, "counting 1")
    encoder = CountingEmbedder(notes / "queries")
    return FileLibrary(store, open_index(data / "vectors"), ProcessWorker(model), encoder)


class Server(uvicorn.Server):
    """Prints its address when it can be asked."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        for listener in sockets or ():
            sys.stdout.write(f"{url_of(listener)}\n")
            sys.stdout.flush()


async def serve(data: Path, seconds: float, notes: Path) -> None:
    """Serve until the process is killed."""
    store, feed, clock = SQLiteStore.open(data / "store.db"), EventFeed(), SystemClock()
    core = Core(
        store=store,
        blobs=FileBlobs(data / "blobs"),
        models=OneModel(ScriptedBackend.from_turns([{"text": "Hello."}])),
        tools={},
        library=library_in(data, store, seconds, notes),
        clock=clock,
        ids=RandomIds(),
        feed=feed,
        journal=Journal(store, feed, clock),
        settings=CoreSettings(),
    )
    services = Services(core)
    await services.start()
    with listen("127.0.0.1", 0) as listener:
        server = Server(uvicorn.Config(create_app(services), log_level="warning"))
        await server.serve(sockets=[listener])


if __name__ == "__main__":
    asyncio.run(
        serve(Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[-1 if sys.argv[3:] else 1]))
    )
