"""Executes one run: turn after turn until it is over or waits for the client.

    start ─▶ build prompt ─▶ model turn ─┬─ text only ──────────────▶ completed
                 ▲                       ├─ client functions ───────▶ requires_action
                 └── engine-side tools ◀─┘─ budget used up ─────────▶ incomplete

Everything is in the store after every turn, so a run can be taken up again at its last finished step. The loop knows
no queue and no lease (`worker`) and speaks to models and tools through their ports.
"""

import asyncio
import logging
from contextlib import aclosing
from functools import partial

from .annotations import Annotator
from .chat import ChatMessage, ChatRequest
from .choice import MOST_REMINDERS, Called
from .core import Core
from .endings import Unfinished, close_open, end_run, last_error
from .errors import AssistantsError, BackendFault
from .execution import Execution
from .journal import Unit
from .lease import LeaseLost
from .objects import (
    FunctionArguments,
    LastError,
    RequiredAction,
    RequiredCall,
    Run,
    SubmitToolOutputs,
    Thread,
    Usage,
)
from .ports import Backend, TranscriptEntry
from .prompt import PromptBuilder, ThreadView, function_names, read_thread
from .pump import batches
from .readiness import wait_for_thread_store
from .reading import Reading, reading
from .recall import recall
from .records import TurnRecord
from .states import RUN, On, RunStatus
from .tool_runner import ToolOutcome, run_tools
from .tool_step import chat_calls
from .turn import Turn, TurnPlan
from .watching import watched_execution, watched_turn

_log = logging.getLogger("local_assistants.run")
_SORRY = "Sorry, something went wrong."


class RunLoop:
    """Runs executions on the core's ports."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def execute(self, execution: Execution) -> None:
        """Take a claimed run as far as it goes; never raises for what a model, tool or client does wrong.

        Cancelled with `execution.stop` set, it ends the run that way; without, it leaves the run to be taken up again.
        """
        execution.begun = True
        with watched_execution(self._core, execution.run):
            try:
                await self._execute(execution)
            except LeaseLost as lost:
                _log.warning("%s It goes on without us.", lost)
                await self._forget_deleted(execution.run.thread_id)

    async def _forget_deleted(self, thread_id: str) -> None:
        """Have a thread that was deleted while we worked on it forgotten again: the turn may have begun after that."""
        if await self._core.store.read(lambda tx: tx.get(Thread, thread_id)) is not None:
            return
        for tool in self._core.tools.values():
            await tool.forget(thread_id)
        await self._core.models.forget(thread_id)

    async def _execute(self, execution: Execution) -> None:
        try:
            if (
                execution.stop is not None
            ):  # a task cancelled before its first step would never run at all
                await self._end(execution, execution.stop)
                return
            if await self._start(execution):
                await self._turns(execution)
            if execution.run.status is RunStatus.CANCELLING:
                await self._end(execution, On.STOPPED)
        except asyncio.CancelledError:
            if execution.stop is None:
                raise
            await self._end(execution, execution.stop)
        except AssistantsError as error:
            _log.warning("run %s failed: %s", execution.run.id, error)
            await self._end(execution, On.FAIL, error=last_error(error))
        except Exception:
            _log.exception("run %s failed", execution.run.id)
            await self._end(
                execution, On.FAIL, error=LastError(code="server_error", message=_SORRY)
            )

    async def _start(self, execution: Execution) -> bool:
        """Move the run to in_progress; False when there is nothing to execute.

        A run found in_progress was left by a process that is gone: its open step is closed and its turn done again.
        """
        new = execution.run.started_at is None

        def start(unit: Unit) -> Run:
            run = unit.must_get(Run, execution.run.id)
            if run.status is RunStatus.CANCELLING:
                return end_run(unit, run.id, On.STOPPED)
            if run.expires_at is not None and run.expires_at <= unit.now:
                return end_run(unit, run.id, On.EXPIRE)  # nobody was there when its time came
            if run.status is RunStatus.IN_PROGRESS:
                lost = LastError(
                    code="server_error", message="The server was restarted; the step is done again."
                )
                close_open(unit, run.id, On.FAIL, error=lost)
                return run
            return unit.fire(Run, run.id, On.START)

        execution.run = await self._core.journal.commit(start)
        if execution.run.status is not RunStatus.IN_PROGRESS:
            return False
        if not new:
            await self._recall(execution)
        return True

    async def _recall(self, execution: Execution) -> None:
        """Go on from what the run has already done."""
        run = execution.run
        functions = function_names(run)
        past = await self._core.store.read(lambda tx: recall(tx, run, functions))
        execution.turn_number = past.recorded
        execution.budget.spend(past.spent.prompt_tokens, past.spent.completion_tokens)
        execution.called = Called(past.turns, past.obeyed, past.tool_turns, past.failed_calls)
        execution.citations = list(past.citations)
        execution.files = {made.path: made for made in past.files}
        execution.images = list(past.images)
        for calls in past.calls:
            execution.circles.add(calls)

    async def _turns(self, execution: Execution) -> None:
        backend = await self._core.models.backend(self._core.models.resolve(execution.run.model))
        await wait_for_thread_store(self._core, execution.run)
        while True:
            builder = PromptBuilder(self._core, execution.run)
            now = self._core.now()
            view = await self._core.store.read(partial(read_thread, run=execution.run, now=now))
            if view is None:
                return  # the thread was deleted, and the run with it
            execution.called.in_circles = execution.circles.found and self._core.settings.nudges
            execution.capabilities = backend.capabilities  # its speed is measured in use
            prompt = await builder.build(view, execution.budget, execution.called, backend)
            reason = execution.budget.exhausted(prompt.tokens)
            if reason is not None:
                await self._end(execution, On.EXHAUST, reason=reason)
                return
            plan = self._plan(execution, builder, view)
            turn = Turn(self._core, execution.run, plan)
            execution.turn, execution.seen = turn, None
            execution.turn_number += 1
            await self._stream(execution, turn, backend, prompt.request)
            execution.budget.spend(turn.spent.prompt_tokens, turn.spent.completion_tokens)
            if await self._reminded(execution, turn, plan):
                continue
            if not await self._after(execution, builder, view):
                return

    async def _stream(
        self, execution: Execution, turn: Turn, backend: Backend, request: ChatRequest
    ) -> None:
        source = batches(backend.stream(request), self._core.settings.flush_interval)
        with watched_turn(self._core, turn, execution.run, request) as watch:
            execution.seen = watch.seen
            async with aclosing(source) as stream:
                async for batch in stream:
                    watch.heard()
                    await turn.write(batch)

    def _plan(self, execution: Execution, builder: PromptBuilder, view: ThreadView) -> TurnPlan:
        return TurnPlan(
            functions=builder.functions,
            tools=frozenset(builder.tools()),
            images=tuple(execution.images),
            choice=builder.choice(execution.called),
            carried=execution.carried,
            annotator=lambda: Annotator(
                execution.citations,
                list(execution.files.values()),
                execution.called.turns,
                earlier=view.made,
                named=self._core.settings.named_citations,
            ),
        )

    async def _after(self, execution: Execution, builder: PromptBuilder, view: ThreadView) -> bool:
        """Act on what the turn came to; True when another turn is due."""
        turn = execution.turn
        if turn is None:
            return False
        if turn.images_shown:
            execution.images.clear()
        if turn.reason == "length":
            await turn.cut_short()
            await self._end(execution, On.EXHAUST, reason="max_completion_tokens")
            return False
        if turn.tool_step is None and not turn.calls_functions and not turn.unknown:
            await self._complete(execution, turn)
            return False
        self._count(execution, turn)
        await turn.finish()
        stepless = turn.tool_step is None and not turn.calls_functions
        execution.carried = turn.usage if stepless else Usage.of(0, 0)
        outcome = ToolOutcome()
        if turn.tool_step is not None:
            readable = self._readable(execution, turn, len(turn.tool_step.calls))
            session = builder.session(view, execution.next_number, readable)
            outcome = await run_tools(
                self._core,
                turn.tool_step,
                builder.tools(),
                session,
                refusals=execution.refusals(self._core.settings),
            )
            execution.circles.add(chat_calls([turn.tool_step]))
            execution.citations += outcome.citations
            execution.files |= {made.path: made for made in outcome.files}
            execution.images += outcome.images
            execution.called.failed_calls += outcome.failed_code
        execution.called.code_open = self._core.settings.nudges and execution.is_open(outcome)
        return await self._commit_calls(execution, turn, outcome)

    def _readable(self, execution: Execution, turn: Turn, calls: int) -> Reading:
        """How much the calls of a turn may give back."""
        return reading(
            self._core.settings,
            execution.capabilities,
            turn.spent,
            calls=calls,
            prompt_budget=execution.budget.prompt,
        )

    def _count(self, execution: Execution, turn: Turn) -> None:
        """Count a turn that called something.

        Raises:
            BackendFault: the model has called tools often enough and was told to answer.
        """
        called, most = execution.called, self._core.settings.max_tool_turns
        called.turns += 1
        called.obeyed += bool(turn.called)
        if turn.tool_step is None and not turn.unknown:
            return  # how often the client is asked is the client's business
        if called.tool_turns >= most:
            raise BackendFault(f"The model called tools in {most} turns and still does not answer.")
        called.tool_turns += 1

    async def _commit_calls(self, execution: Execution, turn: Turn, outcome: ToolOutcome) -> bool:
        """Close the tool step, remember the calls, and wait for the client if functions were called."""
        known = ", ".join(sorted(self._plan_names(execution))) or "none"
        notes = [
            ChatMessage(
                role="tool",
                name=call.name,
                tool_call_id=call.id,
                content=f"There is no tool named {call.name!r}. Available: {known}.",
            )
            for call in turn.unknown
        ]

        advice = execution.advice(self._core.settings, failed=outcome.failed)
        function_step = turn.release_functions()
        record = execution.record()

        def commit(unit: Unit) -> Run:
            _keep(unit, execution.run.id, record)
            unit.tx.append_transcript(turn.entry())
            if turn.tool_step is not None:
                turn.tool_step.complete(turn.usage)(unit)
            for entry in outcome.entries(execution.run, advice):
                unit.tx.append_transcript(entry)
            for note in notes:
                unit.tx.append_transcript(
                    TranscriptEntry(execution.run.thread_id, execution.run.id, body=note)
                )
            run = unit.must_get(Run, execution.run.id)
            if turn.function_step is None:
                return run
            if run.status is RunStatus.CANCELLING:
                return end_run(unit, run.id, On.STOPPED, unfinished=turn.unfinished())
            for operation in function_step:
                operation(unit)
            return self._require_action(unit, run, turn)

        execution.run = await self._core.journal.commit(commit)
        execution.turn = None
        return execution.run.status is RunStatus.IN_PROGRESS

    def _require_action(self, unit: Unit, run: Run, turn: Turn) -> Run:
        step = turn.function_step
        if step is None:
            return run
        calls = tuple(
            RequiredCall(
                id=call.id, function=FunctionArguments(name=call.name, arguments=call.arguments)
            )
            for call in step.calls
        )
        turn.park_functions(unit)
        action = RequiredAction(submit_tool_outputs=SubmitToolOutputs(tool_calls=calls))
        return unit.fire(Run, run.id, On.REQUIRE_ACTION, required_action=action)

    async def _reminded(self, execution: Execution, turn: Turn, plan: TurnPlan) -> bool:
        """Whether the model did not do what tool_choice asks for: it has been told, and another turn is due.

        Raises:
            BackendFault: it has been told often enough.
        """
        spoke = turn.message_id is not None
        note = plan.choice.reminder(turn.called, dropped=turn.dropped, spoke=spoke)
        if note is None or turn.unknown or turn.reason == "length":
            return False  # of a tool that does not exist it is told anyway
        if execution.reminders >= MOST_REMINDERS:
            raise BackendFault("The model does not keep to the run's tool_choice.")
        execution.reminders += 1
        run = execution.run
        told = TranscriptEntry(run.thread_id, run.id, body=ChatMessage(role="user", content=note))
        entries = [turn.entry(), told] if spoke else [told]
        kept = partial(_keep, run_id=run.id, record=execution.record())
        await turn.finish(kept, *(partial(_append, entry) for entry in entries))
        execution.carried = Usage.of(0, 0) if spoke else turn.usage
        execution.turn = None
        return True

    async def _complete(self, execution: Execution, turn: Turn) -> None:
        """The model has answered: message, transcript and run are closed in one transaction."""
        await turn.finish(
            lambda unit: _keep(unit, execution.run.id, execution.record()),
            lambda unit: unit.tx.append_transcript(turn.entry()),
            lambda unit: end_run(unit, execution.run.id, On.COMPLETE),
        )

    async def _end(
        self,
        execution: Execution,
        event: On,
        *,
        error: LastError | None = None,
        reason: str | None = None,
    ) -> None:
        turn = execution.turn
        last_words = turn.last_words() if turn else []
        unfinished = turn.unfinished() if turn else Unfinished(usage=execution.carried)
        spoken = turn.spoken() if turn else None
        record = execution.record()

        def end(unit: Unit) -> Run:
            run = unit.must_get(Run, execution.run.id)
            if RUN.is_final(run.status):
                return run  # the work ended by itself just before it was interrupted
            if spoken is not None and not _recorded(unit, spoken):
                unit.tx.append_transcript(spoken)
            _keep(unit, run.id, record)
            for operation in last_words:
                operation(unit)
            if run.status is RunStatus.CANCELLING and event is On.EXHAUST:
                return end_run(unit, run.id, On.STOPPED, unfinished=unfinished)  # cancel goes first
            return end_run(unit, run.id, event, unfinished=unfinished, error=error, reason=reason)

        execution.run = await self._core.journal.commit(end)

    def _plan_names(self, execution: Execution) -> set[str]:
        return {
            tool.function.name if tool.type == "function" else tool.type
            for tool in execution.run.tools
        }


def _append(entry: TranscriptEntry, unit: Unit) -> None:
    unit.tx.append_transcript(entry)


def _keep(unit: Unit, run_id: str, record: TurnRecord | None) -> None:
    if record is not None:
        unit.tx.append_turn(run_id, record)


def _recorded(unit: Unit, spoken: TranscriptEntry) -> bool:
    entries = unit.tx.transcript(spoken.thread_id)
    return any(entry.message_id == spoken.message_id for entry in entries)
