"""The official SDK, unmodified, against a real server: sync, async, event handlers, Azure's client."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import httpx
import openai
import pytest
from openai import (
    AssistantEventHandler,
    AsyncAssistantEventHandler,
    AsyncOpenAI,
    AzureOpenAI,
    OpenAI,
)
from openai.types.beta.threads import Message, Text, TextDelta
from openai.types.beta.threads.runs import RunStep, ToolCall

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning"  # the SDK says so of every call
)

ServeScript = Callable[[list[dict[str, Any]]], str]
ADD: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {}}},
}
TWO_CALLS = {
    "tool_calls": [
        {"name": "add", "arguments": {"a": 1, "b": 2}},
        {"name": "add", "arguments": {"a": 3, "b": 4}},
    ]
}


def client_of(address: str) -> OpenAI:
    """The client as a stranger makes it."""
    return OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=30)


class Recorder(AssistantEventHandler):
    """Remembers which callbacks the SDK made."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.text = ""

    def _seen(self, name: str) -> None:
        if self.calls[-1:] != [name]:
            self.calls.append(name)

    def on_run_step_created(self, run_step: RunStep) -> None:
        self._seen("step_created")

    def on_run_step_done(self, run_step: RunStep) -> None:
        self._seen("step_done")

    def on_message_created(self, message: Message) -> None:
        self._seen("message_created")

    def on_message_done(self, message: Message) -> None:
        self._seen("message_done")

    def on_text_created(self, text: Text) -> None:
        self._seen("text_created")

    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self._seen("text_delta")
        self.text += delta.value or ""

    def on_text_done(self, text: Text) -> None:
        self._seen("text_done")

    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        self._seen("call_created")

    def on_end(self) -> None:
        self._seen("end")


class AsyncRecorder(AsyncAssistantEventHandler):
    """The same for the async client, text only."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    async def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self.text += delta.value or ""


def test_create_and_poll_gives_an_answer(serve_script: ServeScript) -> None:
    """The oldest pattern of all: poll, then read data[0].content[0].text.value."""
    client = client_of(serve_script([{"text": "You said {{user}}."}]))
    assistant = client.beta.assistants.create(model="gpt-4o", name="Echo", instructions="Be brief.")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "hello"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    messages = client.beta.threads.messages.list(thread.id)

    assert run.status == "completed"
    assert run.usage is not None
    assert run.usage.total_tokens > 0
    answer = messages.data[0]
    assert (answer.role, answer.run_id, answer.assistant_id) == ("assistant", run.id, assistant.id)
    assert answer.content[0].type == "text"
    assert answer.content[0].text.value == "You said hello."
    assert [m.role for m in messages.data] == ["assistant", "user"]


def test_event_handler_hears_a_text_answer_in_order(serve_script: ServeScript) -> None:
    """The handler's callbacks come in the order that the contract records."""
    client = client_of(serve_script([{"text": "one two three", "tokens_per_second": 100}]))
    assistant = client.beta.assistants.create(model="gpt-4o")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "count"}])
    handler = Recorder()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
    ) as stream:
        stream.until_done()

    assert handler.text == "one two three"
    assert handler.calls == [
        "step_created",
        "message_created",
        "text_created",
        "text_delta",
        "text_done",
        "message_done",
        "step_done",
        "end",
    ]
    assert stream.current_run is not None
    assert stream.current_run.status == "completed"


def test_functions_called_in_parallel_are_answered_by_a_streamed_submit(
    serve_script: ServeScript,
) -> None:
    """requires_action carries every call; the streamed submit goes on in the same run."""
    client = client_of(serve_script([TWO_CALLS, {"text": "The last sum is {{tool}}."}]))
    assistant = client.beta.assistants.create(model="gpt-4o", tools=[ADD])  # type: ignore[list-item]
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "add"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "requires_action"
    assert run.required_action is not None
    calls = run.required_action.submit_tool_outputs.tool_calls
    sums = {call.id: sum(json.loads(call.function.arguments).values()) for call in calls}
    handler = Recorder()
    with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=thread.id,
        run_id=run.id,
        tool_outputs=[{"tool_call_id": id_, "output": str(value)} for id_, value in sums.items()],
        event_handler=handler,
    ) as stream:
        stream.until_done()
    steps = client.beta.threads.runs.steps.list(run_id=run.id, thread_id=thread.id, order="asc")

    assert list(sums.values()) == [3, 7]
    assert handler.text == "The last sum is 7."
    details = steps.data[0].step_details
    assert details.type == "tool_calls"
    assert [c.function.output for c in details.tool_calls if c.type == "function"] == ["3", "7"]
    assert [step.status for step in steps.data] == ["completed", "completed"]


async def test_async_client_streams(serve_script: ServeScript) -> None:
    """AsyncOpenAI with its own handler class."""
    address = serve_script([{"text": "async works"}])
    async with AsyncOpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0) as client:
        assistant = await client.beta.assistants.create(model="gpt-4o")
        thread = await client.beta.threads.create(messages=[{"role": "user", "content": "hi"}])
        handler = AsyncRecorder()
        async with client.beta.threads.runs.stream(
            thread_id=thread.id, assistant_id=assistant.id, event_handler=handler
        ) as stream:
            await stream.until_done()
            final = await stream.get_final_run()

    assert (handler.text, final.status) == ("async works", "completed")


def test_azure_client_works_unchanged(serve_script: ServeScript) -> None:
    """AzureOpenAI: other paths, other header, a deployment name for the model."""
    address = serve_script([{"text": "from Azure's side"}])
    client = AzureOpenAI(
        azure_endpoint=address, api_key="none", api_version="2024-05-01-preview", max_retries=0
    )
    assistant = client.beta.assistants.create(model="gpt-4o")
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "hi"}]}
    )
    messages = client.beta.threads.messages.list(run.thread_id, run_id=run.id)

    assert run.status == "completed"
    assert messages.data[0].content[0].type == "text"
    assert messages.data[0].content[0].text.value == "from Azure's side"


def test_raw_stream_starts_with_the_thread_and_ends_with_done(serve_script: ServeScript) -> None:
    """create-and-run streamed without helpers: thread.created first, [DONE] last on the wire."""
    address = serve_script([{"text": "x"}])
    client = client_of(address)
    assistant = client.beta.assistants.create(model="gpt-4o")
    events = client.beta.threads.create_and_run(assistant_id=assistant.id, stream=True)
    names = [event.event for event in events]
    body = {"assistant_id": assistant.id, "stream": True}
    wire = httpx.post(f"{address}/v1/threads/runs", json=body).text

    assert names[:3] == ["thread.created", "thread.run.created", "thread.run.queued"]
    assert names[-1] == "thread.run.completed"
    assert wire.endswith("event: done\ndata: [DONE]\n\n")


def test_files_travel_both_ways(serve_script: ServeScript) -> None:
    """Upload, list, refuse the download of a tool's input, delete."""
    client = client_of(serve_script([{"text": "x"}]))
    file = client.files.create(file=("naïve 表.csv", BytesIO(b"a,b\n1,2\n")), purpose="assistants")

    assert (file.filename, file.bytes, file.purpose) == ("naïve 表.csv", 8, "assistants")
    assert [f.id for f in client.files.list()] == [file.id]
    with pytest.raises(openai.BadRequestError, match="Not allowed to download files of purpose"):
        client.files.content(file.id)
    assert client.files.delete(file.id).deleted is True
    with pytest.raises(openai.NotFoundError, match="No such File object"):
        client.files.retrieve(file.id)


def test_mistakes_get_the_api_s_own_errors(serve_script: ServeScript) -> None:
    """Unknown ids, a busy thread and a wrong parameter raise the SDK's classes with four-key bodies."""
    client = client_of(serve_script([{"hang": True}]))
    assistant = client.beta.assistants.create(model="gpt-4o")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "hi"}])
    run = client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)

    with pytest.raises(openai.NotFoundError) as unknown:
        client.beta.assistants.retrieve("asst_doesnotexist00000000000")
    assert unknown.value.body == {
        "message": "No assistant found with id 'asst_doesnotexist00000000000'.",
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    with pytest.raises(openai.BadRequestError, match=f"while a run {run.id} is active"):
        client.beta.threads.messages.create(thread.id, role="user", content="more")
    with pytest.raises(openai.BadRequestError, match="already has an active run"):
        client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant.id)
    with pytest.raises(openai.BadRequestError) as wrong:
        client.beta.threads.create(metadata={"k": "v" * 513})
    assert str(wrong.value.param).startswith("metadata")
    cancelled = client.beta.threads.runs.cancel(run.id, thread_id=thread.id)
    assert cancelled.status == "cancelling"
    assert client.beta.threads.runs.poll(run.id, thread_id=thread.id).status == "cancelled"
