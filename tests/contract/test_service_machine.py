"""The whole service layer against its own tables: whatever clients do, in whatever order, the promises hold.

Hypothesis makes up threads, messages, runs of models in every mood, cancels, outputs, deletions, the passing of time,
restarts and crashes. After each step the dust settles and every run is looked at: its fields, its steps and messages,
and its journal, which has to be a walk through the tables of engine/states.py with one thing open at a time.
"""

import asyncio
import tempfile
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local_assistants.engine import requests
from local_assistants.engine.chat import (
    Capabilities,
    ChatRequest,
    Delta,
    Finish,
    TextDelta,
    ToolCallDelta,
    UsageDelta,
)
from local_assistants.engine.endings import sum_usage
from local_assistants.engine.errors import BackendFault, InvalidRequest, NotFound, ThreadBusy
from local_assistants.engine.events import STREAM_END, Event
from local_assistants.engine.objects import Assistant, Message, Run, RunStep
from local_assistants.engine.ports import PageQuery
from local_assistants.engine.states import MESSAGE, RUN, STEP, Machine, On, RunStatus
from tests.support.clock import VirtualClock
from tests.support.engine import CODE, FUNCTION, House, ScriptedTool, answering, house
from tests.support.ids import CountingIds

T = TypeVar("T")
MOODS = ("say", "call", "code", "both", "hang", "fail", "long", "fly", "silent")
SPENT = UsageDelta(10, 5)


class MoodyModel:
    """The `Backend` port: does what the last message of the user's says, once; then it answers."""

    def __init__(self) -> None:
        self.hanging: set[str | None] = set()

    @property
    def capabilities(self) -> Capabilities:
        """Room for everything."""
        return Capabilities(context_window=32768)

    async def count_tokens(self, request: ChatRequest) -> int:
        """One per message."""
        return len(request.messages)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        """One turn in the mood of the last question."""
        mood = "say"
        for message in request.messages:
            if message.role == "user" and message.text in MOODS:
                mood = message.text
            elif message.role == "tool":
                mood = "say"
        if mood == "fail":
            raise BackendFault("The model broke.")
        for delta in _turn(mood):
            yield delta
        if mood == "hang":
            self.hanging.add(request.session)
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging.discard(request.session)
        yield SPENT
        yield Finish("length" if mood == "long" else "stop")

    async def forget(self, session: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing to let go of."""


def _turn(mood: str) -> Sequence[Delta]:
    add = [ToolCallDelta(0, "add", '{"a": 1}'), ToolCallDelta(1, "add", "{}")]
    code = [ToolCallDelta(2, "code_interpreter", '{"code": "1"}')]
    turns: dict[str, Sequence[Delta]] = {
        "call": [TextDelta("Let me see. "), *add],
        "code": code,
        "both": [*add, *code],
        "fly": [ToolCallDelta(0, "fly", "{}")],
        "silent": [],
    }
    return turns.get(mood, [TextDelta("Hello "), TextDelta("there.")])


class Clients(RuleBasedStateMachine):
    """Clients of one installation, and the operator who restarts it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.stack = AsyncExitStack()
        self.clock, self.ids = VirtualClock(), CountingIds()
        self.model = MoodyModel()
        self.threads: list[str] = []
        self.runs: dict[str, str] = {}  # run -> thread
        self.home: House
        self.assistant: Assistant

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out `work`, then let the dust settle."""

        async def both() -> T:
            done = await work
            await self._settle()
            return done

        return self.runner.run(both())

    # --- the house ----------------------------------------------------------------------------------

    @initialize(moods=st.lists(st.sampled_from(MOODS), min_size=3, max_size=6, unique=True))
    def begin(self, moods: list[str]) -> None:
        """An installation with one assistant, and a run on each of some threads."""

        async def work() -> None:
            await self._open()
            self.assistant = await self.home.assistant(tools=[CODE, FUNCTION])
            for mood in moods:
                thread = await self.home.thread(mood)
                self.threads.append(thread.id)
                run = await self.home.run(thread.id, self.assistant.id)
                self.runs[run.id] = thread.id

        self.do(work())

    async def _open(self) -> None:
        tool = ScriptedTool("code_interpreter", answering("42"))
        opened = house(Path(self.folder.name), tools=[tool], clock=self.clock, ids=self.ids)
        self.home = await self.stack.enter_async_context(opened)
        self.home.models.current = self.model
        self.home.services.worker.wake()

    def teardown(self) -> None:
        """Close everything."""
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()

    async def _settle(self) -> None:
        """Wait until nothing moves by itself any more: a run that never gets there is a failure."""
        for attempt in range(1500):
            runs = [await self._read(run) for run in self.runs]
            if all(self._rests(run) for run in runs):
                return
            if attempt % 100 == 99:
                await self.clock.advance(1, sleepers=0)  # the next heartbeat
            await asyncio.sleep(0.001)
        raise AssertionError("a run comes neither to an end nor to a rest")

    def _rests(self, run: Run) -> bool:
        if RUN.is_final(run.status):
            return True
        waits = run.status is RunStatus.REQUIRES_ACTION or (
            run.status is RunStatus.IN_PROGRESS and run.thread_id in self.model.hanging
        )
        return waits and run.expires_at is not None and run.expires_at > self.clock.now()

    async def _read(self, run_id: str) -> Run:
        return await self.home.services.runs.get(self.runs[run_id], run_id)

    async def _active(self, thread_id: str) -> Run | None:
        return await self.home.store.read(lambda tx: tx.active_run(thread_id))

    # --- what clients do ------------------------------------------------------------------------------

    @rule(mood=st.sampled_from(MOODS))
    def new_thread(self, mood: str) -> None:
        """A thread with a question."""
        self.threads.append(self.do(self.home.thread(mood)).id)

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), mood=st.sampled_from(MOODS))
    def new_message(self, data: st.DataObject, mood: str) -> None:
        """Refused exactly while a run holds the thread."""
        thread = data.draw(st.sampled_from(self.threads))

        async def work() -> None:
            active = await self._active(thread)
            if active is None:
                await self.home.message(thread, mood)
                return
            with pytest.raises(ThreadBusy, match=f"{thread} while a run {active.id} is active"):
                await self.home.message(thread, mood)

        self.do(work())

    @precondition(lambda self: self.threads)
    @rule(
        data=st.data(),
        choice=st.sampled_from(["auto", "auto", "none", "required"]),
        parallel=st.booleans(),
        more=st.lists(st.sampled_from(MOODS), max_size=1),
    )
    def new_run(self, data: st.DataObject, choice: str, parallel: bool, more: list[str]) -> None:
        """Refused exactly while another one is not over; then its additional messages are not added either."""
        thread = data.draw(st.sampled_from(self.threads))
        fields = {
            "tool_choice": choice,
            "parallel_tool_calls": parallel,
            "additional_messages": [{"role": "user", "content": mood} for mood in more],
        }

        async def work() -> None:
            active = await self._active(thread)
            if active is None:
                run = await self.home.run(thread, self.assistant.id, **fields)
                self.runs[run.id] = thread
                return
            before = await self.home.messages(active)
            with pytest.raises(ThreadBusy, match=f"already has an active run {active.id}"):
                await self.home.run(thread, self.assistant.id, **fields)
            assert before == await self.home.messages(active)

        self.do(work())

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Taken exactly when the table says so."""
        run_id = data.draw(st.sampled_from(sorted(self.runs)))

        async def work() -> None:
            run = await self._read(run_id)
            if RUN.allows(run.status, On.CANCEL):
                asked = await self.home.services.runs.cancel(run.thread_id, run_id)
                assert (RunStatus.CANCELLING, None) == (asked.status, asked.cancelled_at)
                return
            with pytest.raises(
                InvalidRequest, match=f"Cannot cancel run with status '{run.status}'"
            ):
                await self.home.services.runs.cancel(run.thread_id, run_id)

        self.do(work())

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), right=st.booleans())
    def submit(self, data: st.DataObject, right: bool) -> None:
        """Taken exactly from a run that waits, and only all outputs at once."""
        run_id = data.draw(st.sampled_from(sorted(self.runs)))

        async def work() -> None:
            run = await self._read(run_id)
            action = run.required_action
            ids = [call.id for call in action.submit_tool_outputs.tool_calls] if action else ["x"]
            given = dict.fromkeys(ids if right else ids[1:], "7")
            if action is not None and right:
                queued, _ = await self.home.submit(run, given)
                assert RunStatus.QUEUED is queued.status
                return
            with pytest.raises(
                InvalidRequest, match="Expected tool outputs" if action else "do not accept"
            ):
                await self.home.submit(run, given)
            assert run == await self._read(run_id)

        self.do(work())

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def annotate(self, data: st.DataObject) -> None:
        """Metadata may change at any time; nothing else does with it."""
        run_id = data.draw(st.sampled_from(sorted(self.runs)))

        async def work() -> None:
            before = await self._read(run_id)
            body = requests.ModifyMetadata(metadata={"k": run_id})
            after = await self.home.services.runs.modify(before.thread_id, run_id, body)
            assert before.model_copy(update={"metadata": {"k": run_id}}) == after

        self.do(work())

    @precondition(lambda self: self.threads)
    @rule(data=st.data())
    def delete_thread(self, data: st.DataObject) -> None:
        """With all its runs, whatever they are doing."""
        thread = data.draw(st.sampled_from(self.threads))
        gone = [run for run, owner in self.runs.items() if owner == thread]

        async def work() -> None:
            await self.home.services.threads.delete(thread)
            for run in gone:
                with pytest.raises(NotFound):
                    await self._read(run)
                del self.runs[run]

        self.do(work())
        self.threads.remove(thread)

    @rule(seconds=st.sampled_from([1, 30, 300, 601]))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.do(self.clock.advance(seconds))

    @rule(crash=st.booleans())
    def restart(self, crash: bool) -> None:
        """The process ends, tidily or not, and another one takes over."""

        async def work() -> None:
            if crash:
                await self.home.crash()
            await self.stack.aclose()
            await self._open()
            if crash:
                await self.clock.advance(16)  # leases lapse

        self.do(work())

    # --- what has to hold ------------------------------------------------------------------------------

    @invariant()
    def every_run_keeps_its_promises(self) -> None:
        """Fields, steps, messages and journal of each."""

        async def look() -> None:
            for run_id in self.runs:
                run = await self._read(run_id)
                event(f"a run is {run.status}")
                steps = await self.home.steps(run)
                messages = [m for m in await self.home.messages(run) if m.run_id == run_id]
                _check_fields(run, steps)
                _check_parts(run, steps, messages)
                _check_journal(run, await self.home.journal(run))
                if run.status is not RunStatus.IN_PROGRESS:
                    told = await self.home.events(run)
                    assert told[-1].name in STREAM_END

        if self.runs:
            self.runner.run(look())

    @invariant()
    def a_thread_has_one_run_that_is_not_over(self) -> None:
        """At most."""

        async def look() -> None:
            for thread in self.threads:
                page = await self.home.services.runs.list(thread, PageQuery(limit=100))
                assert 1 >= sum(not RUN.is_final(run.status) for run in page.data)

        if self.threads:
            self.runner.run(look())


def _check_fields(run: Run, steps: Sequence[RunStep]) -> None:
    over = RUN.is_final(run.status)
    kept = not over or run.status is RunStatus.EXPIRED
    assert (run.created_at + 600 if kept else None) == run.expires_at
    assert over == (run.usage is not None)
    assert run.usage is None or sum_usage(steps).total_tokens <= run.usage.total_tokens
    # A turn that left no step is the run's alone.
    if run.usage is not None and run.last_error is None:
        assert sum_usage(steps) == run.usage
    assert (run.status is RunStatus.REQUIRES_ACTION) == (run.required_action is not None)
    assert (run.status is RunStatus.FAILED) == (run.last_error is not None)
    assert (run.status is RunStatus.INCOMPLETE) == (run.incomplete_details is not None)
    for status in ("cancelled", "failed", "completed"):
        assert (run.status == status) == (getattr(run, f"{status}_at") is not None)


def _check_parts(run: Run, steps: Sequence[RunStep], messages: Sequence[Message]) -> None:
    open_steps = [step for step in steps if not STEP.is_final(step.status)]
    open_messages = [message for message in messages if not MESSAGE.is_final(message.status)]
    if RUN.is_final(run.status):
        assert ([], []) == (open_steps, open_messages)
    if run.status is RunStatus.REQUIRES_ACTION:
        assert [("tool_calls", [])] == [(step.type, open_messages) for step in open_steps]
    for message in messages:
        assert message.content or not MESSAGE.is_final(message.status)


def _check_journal(run: Run, events: Sequence[Event]) -> None:
    """A legal walk: numbers without gaps, moves from the tables, one step and one message open at a time."""
    assert list(range(1, len(events) + 1)) == [event.seq for event in events]
    at = "created"
    open_parts: dict[str, str] = {}  # kind -> id
    for told in events:
        kind, _, change = told.name.removeprefix("thread.").rpartition(".")
        assert not RUN.is_final(RunStatus(at)) if at != "created" else True
        if kind == "run":
            assert at == change or (at, change) == ("created", "queued") or _leads(RUN, at, change)
            at = change
            assert (change if change != "created" else "queued") == told.data["status"]
        elif change == "created":
            assert kind not in open_parts
            open_parts[kind] = told.data["id"]
        else:
            assert open_parts[kind] == told.data["id"]
            if change not in ("in_progress", "delta"):
                del open_parts[kind]
    assert run.status == at
    if RUN.is_final(run.status):
        assert {} == open_parts


def _leads(machine: Machine, status: str, to: str) -> bool:
    return any(before == status and move.to == to for (before, _), move in machine.table.items())


def test_whatever_clients_do_the_promises_hold() -> None:
    """Some hundred steps in the plain suite."""
    few = settings(
        max_examples=16,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    run_state_machine_as_test(Clients, settings=few)
