"""The use cases: what a client may ask for, checked against the store and the state tables.

Each service takes a checked request body and gives back objects; it knows neither HTTP nor SQL. `Services` starts
and stops the two background workers with it.
"""

from ..core import Core
from ..ingestion import Ingestion
from ..worker import Worker
from .assistants import Assistants
from .busy import BusyPolicy, BusyThreads, Patience
from .files import Files
from .models import ModelList
from .runs import Runs, Steps
from .streams import View
from .threads import Messages, Threads
from .vector_stores import VectorStores

__all__ = [
    "Assistants",
    "BusyPolicy",
    "BusyThreads",
    "Files",
    "Messages",
    "ModelList",
    "Patience",
    "Runs",
    "Services",
    "Steps",
    "Threads",
    "VectorStores",
    "View",
]


class Services:
    """All use cases of one engine."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.worker = Worker(core)
        self.ingestion = Ingestion(core)
        self.assistants = Assistants(core, self.ingestion)
        self.threads = Threads(core, self.ingestion)
        self.messages = Messages(core, self.ingestion)
        self.runs = Runs(core, self.worker, self.ingestion)
        self.steps = Steps(core)
        self.busy = BusyThreads(core, self.runs.cancel)
        self.files = Files(core)
        self.vector_stores = VectorStores(core, self.ingestion)
        self.models = ModelList(core)

    async def start(self) -> None:
        """Begin to execute runs and index files, also those left from before."""
        await self.worker.start()
        await self.ingestion.start()

    async def stop(self) -> None:
        """Stop both; what is unfinished stays in the store for the next start."""
        await self.worker.stop()
        await self.ingestion.stop()
