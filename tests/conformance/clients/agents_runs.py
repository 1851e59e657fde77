"""The kinds of run, streamed to `azure-ai-agents`: the order of the events, and each one of the client's own type.

The names are those of cases_runs.py, so that the page shows them in one row. For the environment of azure_agents.py.
"""

from importlib import import_module
from io import BytesIO
from typing import Any

from .reporting import Cases, holds, same

CASES = Cases()
KINDS = "run kinds"
models: Any = import_module("azure.ai.agents").models

BEGUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
TOOL = ["thread.run.step.created", "thread.run.step.in_progress", "thread.run.step.delta"]
SPEAKING = [
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
]
SAID = [*SPEAKING, "thread.message.completed", "thread.run.step.completed"]
CUT_OFF = [*BEGUN, *SPEAKING, "thread.message.incomplete"]
ADD: Any = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]


def _type_of(name: str) -> Any:
    """What the client makes of an event's data."""
    if name.endswith(".delta"):
        return models.MessageDeltaChunk if "message" in name else models.RunStepDeltaChunk
    for start, kind in (
        ("thread.run.step.", models.RunStep),
        ("thread.run.", models.ThreadRun),
        ("thread.message.", models.ThreadMessage),
        ("thread.created", models.AgentThread),
    ):
        if name.startswith(start):
            return kind
    return str


def _heard(stream: Any) -> tuple[list[str], Any]:
    """Names of all events but the last, deltas counted once, and the run as it was seen last."""
    names: list[str] = []
    run: Any = None
    with stream as events:
        for name, data, _ in events:
            holds(isinstance(data, _type_of(str(name))), f"{name} is a {type(data).__name__}")
            run = data if isinstance(data, models.ThreadRun) else run
            if names[-1:] != [name] or not name.endswith(".delta"):
                names.append(str(name))
    same("done", names.pop())
    return names, run


def _streamed(client: Any, model: str, tools: Any = None, **more: Any) -> tuple[list[str], Any]:
    """Stream a run on a new thread."""
    thread = client.threads.create(tool_resources=more.pop("tool_resources", None))
    client.messages.create(thread.id, role="user", content="When did the Amalia leave?")
    agent = client.create_agent(model=model, tools=tools)
    return _heard(client.runs.stream(thread.id, agent_id=agent.id, **more))


def _last_message(client: Any, run: Any) -> Any:
    return client.messages.get_last_message_by_role(run.thread_id, role="assistant")


@CASES(KINDS, "(a) plain answer")
async def plain(client: Any) -> None:
    """Text and nothing else."""
    names, _ = _streamed(client, "default")
    same([*BEGUN, *SAID, "thread.run.completed"], names)


@CASES(KINDS, "(b) function calls")
async def functions(client: Any) -> None:
    """The event itself says what is required."""
    names, run = _streamed(client, "functions", ADD)
    same([*BEGUN, *TOOL, "thread.run.requires_action"], names)
    same(2, len(run.required_action.submit_tool_outputs.tool_calls))
    client.runs.cancel(run.thread_id, run.id)


@CASES(KINDS, "(c) streamed submit of tool outputs")
async def submitted(client: Any) -> None:
    """The client streams the rest into a handler."""
    _, run = _streamed(client, "functions", ADD)
    handler = _Names()
    client.runs.submit_tool_outputs_stream(
        run.thread_id,
        run.id,
        tool_outputs=[
            models.ToolOutput(tool_call_id=call.id, output="7")
            for call in run.required_action.submit_tool_outputs.tool_calls
        ],
        event_handler=handler,
    )
    handler.until_done()
    expected = ["thread.run.queued", "thread.run.in_progress", "thread.message.delta"]
    same([*expected, "thread.run.completed"], handler.names)


class _Names(models.AgentEventHandler):  # type: ignore[misc] # the package is not in the environment of the checks
    """Notes the states of the run and that text came, deltas counted once."""

    def __init__(self) -> None:
        models.AgentEventHandler.__init__(self)
        self.names: list[str] = []

    def _note(self, name: str) -> None:
        if self.names[-1:] != [name]:
            self.names.append(name)

    def on_thread_run(self, run: Any) -> None:
        self._note(f"thread.run.{run.status.value}")

    def on_message_delta(self, delta: Any) -> None:
        self._note("thread.message.delta")


@CASES(KINDS, "(d) file search")
async def file_search(client: Any) -> None:
    """The citation leads to the file."""
    file = client.files.upload_and_poll(
        file=BytesIO(b"The frigate Amalia left the harbour of Rotterdam in 1894."),
        purpose="assistants",
        filename="ships.md",
        polling_interval=0,
    )
    store = client.vector_stores.create_and_poll(file_ids=[file.id], polling_interval=0)
    tool = models.FileSearchTool(vector_store_ids=[store.id])
    names, run = _streamed(
        client, "search", tool.definitions, tool_resources=models.ToolResources(tool.resources)
    )
    expected = [*BEGUN, *TOOL, "thread.run.step.completed", *SAID, "thread.run.completed"]
    same(expected, names)
    [cited] = _last_message(client, run).file_citation_annotations
    same(file.id, cited.file_citation.file_id)


@CASES(KINDS, "(e) code interpreter with logs, a picture and a file")
async def code(client: Any) -> None:
    """Picture and file can be downloaded."""
    names, run = _streamed(client, "code", models.CodeInterpreterTool().definitions)
    expected = [*BEGUN, *TOOL, "thread.run.step.completed", *SAID, "thread.run.completed"]
    same(expected, names)
    message = _last_message(client, run)
    [picture], [link] = message.image_contents, message.file_path_annotations
    content = b"".join(client.files.get_content(picture.image_file.file_id))
    holds(content.startswith(b"\x89PNG"), "a PNG")
    same(b"a,b\n1,2\n", b"".join(client.files.get_content(link.file_path.file_id)))


@CASES(KINDS, "(f) cancelled while speaking")
async def cancelled(client: Any) -> None:
    """Cancelled from the stream's own loop."""
    thread = client.threads.create()
    agent = client.create_agent(model="slow")
    names: list[str] = []
    with client.runs.stream(thread.id, agent_id=agent.id) as events:
        for name, _, _ in events:
            if name == "thread.message.delta" and name not in names:
                [run] = client.runs.list(thread.id)
                client.runs.cancel(thread.id, run.id)
            names.append(str(name))
    ended = ["thread.message.incomplete", "thread.run.step.cancelled", "thread.run.cancelled"]
    same([*ended, "done"], names[-4:])


@CASES(KINDS, "(f) failed before any step")
async def failed_at_once(client: Any) -> None:
    """The run says why."""
    names, run = _streamed(client, "fails")
    same([*BEGUN, "thread.run.failed"], names)
    same("rate_limit_exceeded", run.last_error.code)


@CASES(KINDS, "(f) failed while speaking")
async def failed(client: Any) -> None:
    """Message and step are closed before the run."""
    names, _ = _streamed(client, "fails-speaking")
    same([*CUT_OFF, "thread.run.step.failed", "thread.run.failed"], names)


@CASES(KINDS, "(f) incomplete by max_completion_tokens")
async def incomplete(client: Any) -> None:
    """Cut off in the middle."""
    names, run = _streamed(client, "long", max_completion_tokens=256)
    same([*CUT_OFF, "thread.run.step.completed", "thread.run.incomplete"], names)
    same("max_completion_tokens", run.incomplete_details.reason)
