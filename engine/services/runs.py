"""Runs: create, follow, answer, cancel. One run that is not over per thread."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from ..core import Core
from ..errors import InvalidRequest, ThreadBusy
from ..events import Event, EventName
from ..feed import one_by_one
from ..ingestion import Ingestion
from ..journal import Unit
from ..nudges import ENOUGH
from ..objects import (
    Assistant,
    Page,
    Run,
    Thread,
    TruncationStrategy,
)
from ..ports import PageQuery, Transaction, TranscriptEntry
from ..requests import (
    CreateRun,
    CreateThread,
    CreateThreadAndRun,
    ModifyMetadata,
    SubmitOutputs,
)
from ..states import RUN, On, RunStatus
from ..worker import Worker
from .lookup import list_page, must
from .rehearsal import rehearse
from .resources import merged, realise
from .run_checks import check_run, check_schemas
from .streams import THE_API_S, View, batches, check_position
from .threads import add_message, as_read, make_thread
from .tool_outputs import answers, complete_function_step, outputs_for


class Runs:
    """The runs of this installation."""

    def __init__(self, core: Core, worker: Worker, ingestion: Ingestion) -> None:
        self._core = core
        self._worker = worker
        self._ingestion = ingestion

    async def create(self, thread_id: str, body: CreateRun) -> Run:
        """Queue a run on a thread.

        Raises:
            NotFound: no such thread or assistant, or the model is not served here.
            ThreadBusy: another run is not over.
            InvalidRequest: settings that do not fit together, or a schema that the model cannot keep to.
        """

        def make(unit: Unit) -> Run:
            thread = must(unit.tx, Thread, thread_id)
            active = unit.tx.active_run(thread_id)
            if active is not None:
                raise ThreadBusy(f"Thread {thread_id} already has an active run {active.id}.")
            run = self._prepared(unit.tx, thread, body)
            unit.save(run, EventName.RUN_CREATED, EventName.RUN_QUEUED)
            return run

        await check_schemas(self._core, body)
        return await self._queue(make)

    async def check(self, thread_id: str, body: CreateRun) -> None:
        """Whether `create` could succeed if the thread were free; nothing is kept.

        Raises:
            AssistantsError: what `create` would raise.
        """
        await check_schemas(self._core, body)
        await rehearse(
            self._core.store,
            lambda tx: self._prepared(tx, must(tx, Thread, thread_id), body),
        )

    async def create_with_thread(self, body: CreateThreadAndRun) -> Run:
        """Make a thread and queue a run on it, in one transaction.

        Raises:
            NotFound: no such assistant, or the model is not served here.
        """

        def make(unit: Unit) -> Run:
            assistant = must(unit.tx, Assistant, body.assistant_id)
            thread = make_thread(unit.tx, self._core, body.thread or CreateThread())
            run = self._new_run(thread, assistant, body)
            if body.tool_resources is not None:
                own = realise(unit.tx, self._core, body.tool_resources, None)
                resources = merged(run.tool_resources, own)
                run = run.model_copy(update={"tool_resources": resources})
            check_run(unit.tx, self._core, run)
            unit.tx.put(run)
            unit.emit(run.id, EventName.THREAD_CREATED, as_read(thread).to_wire())
            unit.save(run, EventName.RUN_CREATED, EventName.RUN_QUEUED)
            return run

        await check_schemas(self._core, body)
        return await self._queue(make)

    async def get(self, thread_id: str, run_id: str) -> Run:
        """One run."""

        def read(tx: Transaction) -> Run:
            must(tx, Thread, thread_id)
            return must(tx, Run, run_id, thread_id=thread_id)

        return await self._core.store.read(read)

    async def list(self, thread_id: str, query: PageQuery) -> Page:
        """A page of a thread's runs."""
        return await list_page(
            self._core,
            Run,
            query,
            before_reading=lambda tx: must(tx, Thread, thread_id),
            where={"thread_id": thread_id},
        )

    async def modify(self, thread_id: str, run_id: str, body: ModifyMetadata) -> Run:
        """Replace the metadata."""

        def change(tx: Transaction) -> Run:
            run = must(tx, Run, run_id, thread_id=thread_id)
            if body.metadata is not None:
                run = run.model_copy(update={"metadata": body.metadata})
                tx.put(run)
            return run

        return await self._core.store.write(change)

    async def cancel(self, thread_id: str, run_id: str) -> Run:
        """Ask a run to stop; the answer shows it cancelling.

        Raises:
            InvalidRequest: it is over or already cancelling.
        """

        def change(unit: Unit) -> Run:
            run = must(unit.tx, Run, run_id, thread_id=thread_id)
            if not RUN.allows(run.status, On.CANCEL):
                raise InvalidRequest(f"Cannot cancel run with status '{run.status}'.")
            return unit.fire(Run, run_id, On.CANCEL)

        run = await self._core.journal.commit(change)
        self._worker.interrupt(run_id, On.STOPPED)
        return run

    async def submit(self, thread_id: str, run_id: str, body: SubmitOutputs) -> tuple[Run, int]:
        """Give all outputs the run waits for; it is queued again. Also returns the journal's last number before.

        Raises:
            InvalidRequest: the run does not wait, or outputs are missing or unknown.
        """

        def change(unit: Unit) -> tuple[Run, int]:
            run = must(unit.tx, Run, run_id, thread_id=thread_id)
            if run.status is not RunStatus.REQUIRES_ACTION or run.required_action is None:
                raise InvalidRequest(f'Runs in status "{run.status}" do not accept tool outputs.')
            calls = run.required_action.submit_tool_outputs.tool_calls
            outputs = outputs_for([call.id for call in calls], body.tool_outputs)
            before = unit.tx.last_seq(run_id)
            complete_function_step(unit, run, outputs)
            note = ENOUGH if self._core.settings.nudges else ""
            for message in answers(calls, outputs, note):
                unit.tx.append_transcript(TranscriptEntry(thread_id, run_id, body=message))
            return unit.fire(Run, run_id, On.SUBMIT), before

        result = await self._core.journal.commit(change)
        self._worker.wake()
        return result

    def stream(
        self, run_id: str, after: int = 0, view: View = THE_API_S
    ) -> AsyncGenerator[Event, None]:
        """The run's events with a number above `after`; unless `view` says otherwise up to its end or next wait."""
        return one_by_one(self.batches(run_id, after, view))

    def batches(
        self, run_id: str, after: int = 0, view: View = THE_API_S
    ) -> AsyncGenerator[Sequence[Event], None]:
        """As `stream`, in batches as they come; an empty one now and then says that nothing has come."""
        return batches(self._core, run_id, after, view)

    async def resume(
        self, thread_id: str, run_id: str, after: int, view: View = THE_API_S
    ) -> AsyncGenerator[Sequence[Event], None]:
        """As `batches`, for a subscriber who names a place to go on from, which is checked.

        Raises:
            NotFound: no such run in this thread.
            InvalidRequest: the run has had no event with the number `after`.
        """
        await check_position(self._core, thread_id, run_id, after)
        return self.batches(run_id, after, view)

    async def _queue(self, make: Callable[[Unit], Run]) -> Run:
        run = await self._core.journal.commit(make)
        self._ingestion.wake()
        self._worker.wake()
        return run

    def _prepared(self, tx: Transaction, thread: Thread, body: CreateRun) -> Run:
        """A run that has passed every check but the thread's lock, its messages stored."""
        run = self._new_run(thread, must(tx, Assistant, body.assistant_id), body)
        for message in body.additional_messages:
            thread, _ = add_message(tx, self._core, thread, message)
        check_run(tx, self._core, run)
        return run

    def _new_run(
        self, thread: Thread, assistant: Assistant, body: CreateRun | CreateThreadAndRun
    ) -> Run:
        """A queued run with its effective settings: the body's where given, else the assistant's."""
        model = _first(body.model, assistant.model)
        self._core.models.resolve(model)
        now = self._core.now()
        truncation = body.truncation_strategy
        effort = body.reasoning_effort if isinstance(body, CreateRun) else None
        return Run(
            id=self._core.ids.new("run"),
            created_at=now,
            assistant_id=assistant.id,
            thread_id=thread.id,
            status=RunStatus(RUN.initial),
            expires_at=now + self._core.settings.run_lifetime,
            model=model,
            instructions=_instructions(assistant, body),
            tools=assistant.tools if body.tools is None else body.tools,
            tool_resources=assistant.tool_resources,
            metadata=body.metadata,
            temperature=_first(body.temperature, assistant.temperature),
            top_p=_first(body.top_p, assistant.top_p),
            reasoning_effort=effort or assistant.reasoning_effort,
            max_completion_tokens=body.max_completion_tokens,
            max_prompt_tokens=body.max_prompt_tokens,
            truncation_strategy=TruncationStrategy()
            if truncation is None
            else TruncationStrategy(**truncation.model_dump()),
            response_format=_first(body.response_format, assistant.response_format) or "auto",
            tool_choice=body.tool_choice or "auto",
            parallel_tool_calls=body.parallel_tool_calls,
        )


def _first(value: Any, fallback: Any) -> Any:
    return fallback if value is None else value


def _instructions(assistant: Assistant, body: CreateRun | CreateThreadAndRun) -> str | None:
    """The run's instructions replace the assistant's; additional ones follow after a blank line (contract, A19)."""
    base: str | None = _first(body.instructions, assistant.instructions)
    extra = body.additional_instructions if isinstance(body, CreateRun) else None
    return "\n\n".join(part for part in (base, extra) if part) or base
