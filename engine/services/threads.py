"""Threads and their messages. A run that is not over locks its thread against new messages."""

from ..core import Core
from ..endings import end_run
from ..errors import ThreadBusy
from ..ingestion import Ingestion
from ..journal import Unit
from ..objects import FileIds, Message, Page, Run, RunStep, Thread, ToolResources
from ..ports import PageQuery, Transaction, TranscriptEntry
from ..requests import CreateMessage, CreateThread, ModifyMetadata, ModifyThread
from ..states import RUN, MessageStatus, On
from ..worker import Worker
from .images import check_images
from .lookup import list_page, must
from .rehearsal import rehearse
from .resources import THREAD_STORE_DAYS, attach, merged, realise


def make_thread(tx: Transaction, core: Core, body: CreateThread) -> Thread:
    """A new thread with its messages, inside the caller's transaction."""
    thread = Thread(
        id=core.ids.new("thread"),
        created_at=core.now(),
        metadata=body.metadata,
        tool_resources=realise(tx, core, body.tool_resources, THREAD_STORE_DAYS),
    )
    tx.put(thread)
    for message in body.messages:
        thread, _ = add_message(tx, core, thread, message)
    return thread


def as_read(thread: Thread) -> Thread:
    """The thread as reads and streams show it: with an empty file list, which creating and changing leave out."""
    if thread.tool_resources != ToolResources():
        return thread
    shown = ToolResources(code_interpreter=FileIds())
    return thread.model_copy(update={"tool_resources": shown})


def add_message(
    tx: Transaction, core: Core, thread: Thread, body: CreateMessage
) -> tuple[Thread, Message]:
    """Append a client's message, inside the caller's transaction; the caller has checked the lock."""
    content, now = body.parts(), core.now()
    check_images(tx, content, now)
    thread = attach(tx, core, thread, body.attachments)
    message = Message(
        id=core.ids.new("message"),
        created_at=now,
        thread_id=thread.id,
        status=MessageStatus.COMPLETED,
        completed_at=now,
        role=body.role,
        content=content,
        attachments=body.attachments,
        metadata=body.metadata,
    )
    tx.put(message)
    tx.append_transcript(TranscriptEntry(thread_id=thread.id, message_id=message.id))
    return thread, message


class Threads:
    """The threads of this installation."""

    def __init__(self, core: Core, ingestion: Ingestion, worker: Worker) -> None:
        self._core = core
        self._ingestion = ingestion
        self._worker = worker

    async def create(self, body: CreateThread) -> Thread:
        """A new thread, with messages if any were sent."""
        thread = await self._core.store.write(lambda tx: make_thread(tx, self._core, body))
        self._ingestion.wake()
        return thread

    async def get(self, thread_id: str) -> Thread:
        """One thread."""
        return await self._core.store.read(lambda tx: as_read(must(tx, Thread, thread_id)))

    async def modify(self, thread_id: str, body: ModifyThread) -> Thread:
        """Change metadata or resources."""

        def change(tx: Transaction) -> Thread:
            thread = must(tx, Thread, thread_id)
            if body.metadata is not None:
                thread = thread.model_copy(update={"metadata": body.metadata})
            if body.tool_resources is not None:
                new = realise(tx, self._core, body.tool_resources, THREAD_STORE_DAYS)
                resources = merged(thread.tool_resources, new)
                thread = thread.model_copy(update={"tool_resources": resources})
            tx.put(thread)
            return thread

        return await self._core.store.write(change)

    async def delete(self, thread_id: str) -> None:
        """Delete the thread with its messages, runs, steps and sandbox files; stored files and stores survive.

        A run that is not over is cancelled first, so that whoever follows it hears of its end.
        """

        def drop(unit: Unit) -> Run | None:
            must(unit.tx, Thread, thread_id)
            active = unit.tx.active_run(thread_id)
            if active is not None:
                if RUN.allows(active.status, On.CANCEL):
                    unit.fire(Run, active.id, On.CANCEL)
                end_run(unit, active.id, On.STOPPED)
            for kind in (RunStep, Message, Run):
                unit.tx.delete_where(kind, {"thread_id": thread_id})
            unit.tx.delete(Thread, thread_id)
            return active

        ended = await self._core.journal.commit(drop)
        if ended is not None:
            self._worker.interrupt(ended.id, On.STOPPED)
        for tool in self._core.tools.values():
            await tool.forget(thread_id)
        await self._core.models.forget(thread_id)


class Messages:
    """The messages of threads."""

    def __init__(self, core: Core, ingestion: Ingestion) -> None:
        self._core = core
        self._ingestion = ingestion

    async def create(self, thread_id: str, body: CreateMessage) -> Message:
        """Append a message.

        Raises:
            ThreadBusy: a run is not over.
        """

        def add(tx: Transaction) -> Message:
            thread = must(tx, Thread, thread_id)
            active = tx.active_run(thread_id)
            if active is not None:
                raise ThreadBusy(
                    f"Can't add messages to {thread_id} while a run {active.id} is active."
                )
            return add_message(tx, self._core, thread, body)[1]

        message = await self._core.store.write(add)
        self._ingestion.wake()
        return message

    async def check(self, thread_id: str, body: CreateMessage) -> None:
        """Whether `create` could succeed if the thread were free; nothing is kept.

        Raises:
            AssistantsError: what `create` would raise.
        """
        await rehearse(
            self._core.store,
            lambda tx: add_message(tx, self._core, must(tx, Thread, thread_id), body),
        )

    async def get(self, thread_id: str, message_id: str) -> Message:
        """One message."""

        def read(tx: Transaction) -> Message:
            must(tx, Thread, thread_id)
            return must(tx, Message, message_id, thread_id=thread_id)

        return await self._core.store.read(read)

    async def list(self, thread_id: str, query: PageQuery, run_id: str | None = None) -> Page:
        """A page of a thread's messages, of one run if given."""
        where = {"thread_id": thread_id} | ({"run_id": run_id} if run_id else {})
        return await list_page(
            self._core,
            Message,
            query,
            before_reading=lambda tx: must(tx, Thread, thread_id),
            where=where,
        )

    async def modify(self, thread_id: str, message_id: str, body: ModifyMetadata) -> Message:
        """Replace the metadata."""

        def change(tx: Transaction) -> Message:
            message = must(tx, Message, message_id, thread_id=thread_id)
            if body.metadata is not None:
                message = message.model_copy(update={"metadata": body.metadata})
                tx.put(message)
            return message

        return await self._core.store.write(change)

    async def delete(self, thread_id: str, message_id: str) -> None:
        """Delete it; the model does not see it again. Its files stay."""

        def drop(tx: Transaction) -> None:
            must(tx, Message, message_id, thread_id=thread_id)
            tx.delete(Message, message_id)

        await self._core.store.write(drop)
