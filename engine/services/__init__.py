"""The use cases: what a client may ask for, checked against the store and the state tables.

Each service takes a checked request body and gives back objects; it knows neither HTTP nor SQL. `Services` starts
and stops the background workers with it.
"""

from ..core import Core
from ..housekeeping import Housekeeping
from ..ingestion import Ingestion
from ..settings import BusyPolicy
from ..worker import Worker
from .assistants import Assistants
from .busy import BusyThreads, Patience
from .citations import Citations
from .export import Export, ExportFormat
from .files import Files
from .health import Health
from .histories import Histories
from .indexing import Indexing
from .keys import Keys
from .models import ModelList
from .overview import Overview
from .run_prompts import RunPrompts
from .runs import Runs
from .steps import Steps
from .storage_use import StorageUse
from .streams import View
from .threads import Messages, Threads
from .uploads import Uploads
from .vector_stores import VectorStores

__all__ = [
    "Assistants",
    "BusyPolicy",
    "BusyThreads",
    "Citations",
    "Export",
    "ExportFormat",
    "Files",
    "Histories",
    "Indexing",
    "Keys",
    "Messages",
    "ModelList",
    "Overview",
    "Patience",
    "RunPrompts",
    "Runs",
    "Services",
    "Steps",
    "StorageUse",
    "Threads",
    "Uploads",
    "VectorStores",
    "View",
]


class Services:
    """All use cases of one engine, over everything that is stored; `of` gives those of one project.

    The services of a project share worker, ingestion and keys with those they come from (`root`).
    """

    def __init__(self, core: Core, root: "Services | None" = None) -> None:
        self.core = core
        self._root = root or self
        self._projects: dict[str, Services] = {}
        self.housekeeping: Housekeeping = root.housekeeping if root else Housekeeping(core)
        self.ingestion: Ingestion = root.ingestion if root else Ingestion(core)
        self.worker: Worker = root.worker if root else Worker(core, self._look_round)
        self.keys: Keys = root.keys if root else Keys(core.store, core.clock, core.ids)
        self.assistants = Assistants(core, self.ingestion)
        self.threads = Threads(core, self.ingestion, self.worker)
        self.messages = Messages(core, self.ingestion)
        self.runs = Runs(core, self.worker, self.ingestion)
        self.steps = Steps(core)
        self.run_prompts = RunPrompts(core)
        self.citations = Citations(core)
        self.storage_use = StorageUse(core)
        self.busy = BusyThreads(core, self.runs.cancel)
        self.files = Files(core)
        self.uploads = Uploads(core)
        self.vector_stores = VectorStores(core, self.ingestion)
        self.indexing = Indexing(core, self.ingestion.setbacks)
        self.models = ModelList(core)
        self.health: Health = root.health if root else Health(core)
        self.overview = Overview(core.store)
        turn = root.export.turn if root else None
        self.export: Export = Export(core.store, core.clock, turn)

    def of(self, project: str) -> "Services":
        """The services of one project, whichever these are of."""
        projects = self._root._projects
        if project not in projects:
            projects[project] = Services(self._root.core.of(project), self._root)
        return projects[project]

    def _look_round(self) -> None:
        """With each heartbeat: time has gone by, and other servers may have left something to do."""
        self.housekeeping.wake()
        self.ingestion.wake()

    async def start(self) -> None:
        """Begin to execute runs, index files and tidy up, also what was left from before."""
        await self.housekeeping.start()
        await self.worker.start()
        await self.ingestion.start()

    async def stop(self) -> None:
        """Stop all of it; what is unfinished stays in the store for the next start."""
        await self.worker.stop()
        await self.ingestion.stop()
        await self.housekeeping.stop()
