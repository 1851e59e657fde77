"""Every operation of `azure-ai-agents` 1.1 against a live server; prints a JSON line for each case.

Usage: python -m clients.azure_agents ADDRESS [PART OF A CASE'S NAME]

Run as a module, in an environment with that package; imports nothing of the project under test. The client refuses to
send bearer tokens over plain http, so it is given a policy that sends a key; nothing else about it is changed.
"""

import asyncio
import json
import os
import sys
import time
import uuid
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from .agents_runs import CASES as RUN_CASES
from .operations import operation_of
from .reporting import Cases, Traffic, attempt, holds, same

# By name, because the environment that the types are checked in does not have this package.
agents_package: Any = import_module("azure.ai.agents")
models: Any = agents_package.models
AgentsClient = Any
AzureKeyCredential: Any = import_module("azure.core.credentials").AzureKeyCredential
AzureKeyCredentialPolicy: Any = import_module(
    "azure.core.pipeline.policies"
).AzureKeyCredentialPolicy
HttpResponseError: Any = import_module("azure.core.exceptions").HttpResponseError

CASES = Cases()
PATIENCE = 30.0  # seconds


def client_of(address: str, traffic: Traffic) -> AgentsClient:
    """The client, with a key in place of an Entra token; notes the operations that answer with success."""
    credential = AzureKeyCredential(os.environ.get("CONFORMANCE_KEY", "any"))

    def note(response: Any) -> None:
        request, status = response.http_request, response.http_response.status_code
        operation = operation_of(request.method, urlsplit(str(request.url)).path)
        if operation is not None and status == 200:
            traffic.operations.add(operation.name)

    return agents_package.AgentsClient(
        endpoint=address,
        credential=credential,
        authentication_policy=AzureKeyCredentialPolicy(credential, "api-key"),
        raw_response_hook=note,
    )


def settled(look: Any, busy: tuple[str, ...]) -> Any:
    """What `look` gives once its status is none of `busy`."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = look()
        if found.status not in busy:
            return found
        time.sleep(0.05)
    raise AssertionError("it never settled")


def finished(client: AgentsClient, run: Any) -> Any:
    """The run when it is over or waits."""
    look = lambda: client.runs.get(run.thread_id, run.id)  # noqa: E731
    return settled(look, ("queued", "in_progress", "cancelling"))


def refusal(call: Any) -> Any:
    """The error of a call that has to be refused."""
    try:
        call()
    except HttpResponseError as error:
        return error
    raise AssertionError("it was not refused")


@CASES("agents", "an agent is made, listed, read, changed, deleted")
async def agents(client: AgentsClient) -> None:
    """Operations on assistants."""
    made = client.create_agent(model="default", name="A", instructions="Be brief.")
    changed = client.update_agent(made.id, name="B", metadata={"k": "v"})
    same("B", client.get_agent(made.id).name)
    same({"k": "v"}, changed.metadata)
    holds(made.id in [each.id for each in client.list_agents(limit=5)], "it is listed")
    client.delete_agent(made.id)
    same(404, refusal(lambda: client.get_agent(made.id)).status_code)


@CASES("agents", "threads are made, listed, read, changed, deleted")
async def threads(client: AgentsClient) -> None:
    """Operations on threads; only this client lists them."""
    made = [client.threads.create(metadata={"n": str(n)}) for n in range(3)]
    changed = client.threads.update(made[0].id, metadata={"n": "x"})
    same({"n": "x"}, client.threads.get(made[0].id).metadata)
    same(made[0].id, changed.id)
    listed = [thread.id for thread in client.threads.list(limit=2)]
    same([each.id for each in reversed(made)], listed[:3], "newest first, through pages")
    client.threads.delete(made[0].id)
    holds(made[0].id not in [each.id for each in client.threads.list()], "a deleted one is gone")


@CASES("agents", "messages are added, listed, read, changed")
async def messages(client: AgentsClient) -> None:
    """Operations on messages, text and helpers."""
    thread = client.threads.create()
    made = client.messages.create(thread.id, role="user", content="Hi")
    client.messages.update(thread.id, made.id, metadata={"k": "v"})
    same({"k": "v"}, client.messages.get(thread.id, made.id).metadata)
    listed = list(client.messages.list(thread.id, order=models.ListSortOrder.ASCENDING))
    same(["Hi"], [each.text_messages[0].text.value for each in listed])


@CASES("agents", "a run is polled, its steps and messages are read")
async def run(client: AgentsClient) -> None:
    """create_and_process polls; runs and steps are listed, read and changed."""
    agent, thread = client.create_agent(model="default"), client.threads.create()
    client.messages.create(thread.id, role="user", content="apples")
    done = client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0.05)
    same("completed", done.status)
    same(agent.id, done.agent_id)
    client.runs.update(thread.id, done.id, metadata={"k": "v"})
    same([done.id], [each.id for each in client.runs.list(thread.id)])
    steps = list(client.run_steps.list(thread.id, done.id))
    same("message_creation", client.run_steps.get(thread.id, done.id, steps[0].id).type)
    said = client.messages.get_last_message_text_by_role(thread.id, role="assistant")
    same("You said apples.", said.text.value if said else None)


@CASES("agents", "thread and run are made in one call, and in one call to its end")
async def thread_and_run(client: AgentsClient) -> None:
    """create_thread_and_run and create_thread_and_process_run."""
    agent = client.create_agent(model="default")
    options = models.AgentThreadCreationOptions(
        messages=[models.ThreadMessageOptions(role="user", content="pears")]
    )
    begun = client.create_thread_and_run(agent_id=agent.id, thread=options)
    same("completed", finished(client, begun).status)
    done = client.create_thread_and_process_run(
        agent_id=agent.id, thread=options, polling_interval=0
    )
    same("completed", done.status)


@CASES("agents", "a run is streamed")
async def stream(client: AgentsClient) -> None:
    """Typed events, in order, to the end."""
    agent, thread = client.create_agent(model="default"), client.threads.create()
    client.messages.create(thread.id, role="user", content="plums")
    with client.runs.stream(thread.id, agent_id=agent.id) as events:
        heard = list(events)
    names = [name for name, _, _ in heard]
    same("thread.run.created", names[0])
    same(["thread.run.completed", "done"], names[-2:])
    text = "".join(data.text for _, data, _ in heard if isinstance(data, models.MessageDeltaChunk))
    same("You said plums.", text)
    holds(
        all(
            isinstance(data, models.RunStep)
            for name, data, _ in heard
            if name.startswith("thread.run.step.") and not name.endswith("delta")
        ),
        "steps are typed",
    )


def add(a: int, b: int) -> str:
    """Add two numbers.

    :param a: one number.
    :param b: another.
    """
    return json.dumps(
        {"sum": a + b}
    )  # the client looks for "error" in it and takes nothing but an object


@CASES("agents", "functions are called by the client, polled")
async def functions(client: AgentsClient) -> None:
    """requires_action, submit_tool_outputs, to the end."""
    tool = models.FunctionTool({add})
    agent, thread = (
        client.create_agent(model="functions", tools=tool.definitions),
        client.threads.create(),
    )
    waiting = finished(client, client.runs.create(thread.id, agent_id=agent.id))
    same("requires_action", waiting.status)
    holds(isinstance(waiting.required_action, models.SubmitToolOutputsAction), "it is typed")
    calls = waiting.required_action.submit_tool_outputs.tool_calls
    outputs = [models.ToolOutput(tool_call_id=call.id, output=tool.execute(call)) for call in calls]
    client.runs.submit_tool_outputs(thread.id, waiting.id, tool_outputs=outputs)
    same("completed", finished(client, waiting).status)


@CASES("agents", "functions are called by the client, automatically and streamed")
async def automatic(client: AgentsClient) -> None:
    """enable_auto_function_calls with create_and_process, and a handler that submits within the stream."""
    toolset = models.ToolSet()
    toolset.add(models.FunctionTool({add}))
    client.enable_auto_function_calls(toolset)
    agent, thread = (
        client.create_agent(model="functions", toolset=toolset),
        client.threads.create(),
    )
    done = client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0.05)
    same("completed", done.status)
    with client.runs.stream(
        thread.id, agent_id=agent.id, event_handler=models.AgentEventHandler()
    ) as events:
        events.until_done()
    newest = next(iter(client.runs.list(thread.id)))
    same(
        "completed",
        settled(lambda: client.runs.get(thread.id, newest.id), ("queued", "in_progress")).status,
    )


@CASES("agents", "a run is cancelled")
async def cancelled(client: AgentsClient) -> None:
    """The answer shows it cancelling; then it is cancelled."""
    agent, thread = client.create_agent(model="slow"), client.threads.create()
    client.messages.create(thread.id, role="user", content="go on")
    begun = client.runs.create(thread.id, agent_id=agent.id)
    same("cancelling", client.runs.cancel(thread.id, begun.id).status)
    same("cancelled", finished(client, begun).status)
    error = refusal(lambda: client.runs.cancel(thread.id, begun.id))
    same("Cannot cancel run with status 'cancelled'.", error.model.error.message)


@CASES("agents", "files are uploaded, listed, read, downloaded, deleted")
async def files(client: AgentsClient) -> None:
    """Operations on files; only what may be downloaded is."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.txt")
        path.write_text("apples and pears")
        made = client.files.upload_and_poll(
            file_path=str(path), purpose=models.FilePurpose.AGENTS, polling_interval=0
        )
        seen = client.files.upload(
            file=_words("apples and pears"), purpose="vision", filename="b.txt"
        )
        client.files.save(seen.id, "c.txt", folder)
        same("apples and pears", Path(folder, "c.txt").read_text())
    same("a.txt", client.files.get(made.id).filename)
    same(b"apples and pears", b"".join(client.files.get_content(seen.id)))
    same([made.id], [f.id for f in client.files.list(purpose="assistants").data if f.id == made.id])
    same(400, refusal(lambda: b"".join(client.files.get_content(made.id))).status_code)
    client.files.delete(made.id)
    same(404, refusal(lambda: client.files.get(made.id)).status_code)


@CASES("agents", "vector stores, their files and batches")
async def stores(client: AgentsClient) -> None:
    """All operations on stores, and a file search in a run."""
    file = client.files.upload_and_poll(
        file=_words("The Bank of Ankh closed in 1987."),
        purpose="assistants",
        filename="bank.txt",
        polling_interval=0,
    )
    other = client.files.upload_and_poll(
        file=_words("pears"), purpose="assistants", filename="p.txt", polling_interval=0
    )
    store = client.vector_stores.create_and_poll(name="S", file_ids=[file.id], polling_interval=0)
    same(("completed", 1), (store.status, store.file_counts.completed))
    client.vector_stores.modify(store.id, name="T")
    same("T", client.vector_stores.get(store.id).name)
    holds(store.id in [each.id for each in client.vector_stores.list(limit=3)], "it is listed")
    client.vector_store_files.create_and_poll(store.id, file_id=other.id, polling_interval=0)
    same("completed", client.vector_store_files.get(store.id, other.id).status)
    same({file.id, other.id}, {each.id for each in client.vector_store_files.list(store.id)})
    client.vector_store_files.delete(store.id, other.id)
    batch = client.vector_store_file_batches.create_and_poll(
        store.id, file_ids=[other.id], polling_interval=0
    )
    same("completed", client.vector_store_file_batches.get(store.id, batch.id).status)
    same(
        [other.id], [f.id for f in client.vector_store_file_batches.list_files(store.id, batch.id)]
    )
    same(
        400,
        refusal(lambda: client.vector_store_file_batches.cancel(store.id, batch.id)).status_code,
    )
    _search(client, store.id, file.id)
    client.vector_stores.delete(store.id)
    same(404, refusal(lambda: client.vector_stores.get(store.id)).status_code)


def _words(text: str) -> Any:
    from io import BytesIO

    return BytesIO(text.encode())


def _search(client: AgentsClient, store_id: str, file_id: str) -> None:
    tool = models.FileSearchTool(vector_store_ids=[store_id])
    agent = client.create_agent(
        model="search", tools=tool.definitions, tool_resources=tool.resources
    )
    thread = client.threads.create()
    client.messages.create(thread.id, role="user", content="bank closed")
    done = client.runs.create_and_process(thread.id, agent_id=agent.id, polling_interval=0.05)
    same("completed", done.status)
    steps = client.run_steps.list(
        thread.id, done.id, include=[models.RunAdditionalFieldList.FILE_SEARCH_CONTENTS]
    )
    found = next(step for step in steps if step.type == "tool_calls").step_details.tool_calls[0]
    same(file_id, found.file_search.results[0].file_id)
    said = client.messages.get_last_message_by_role(thread.id, role="assistant")
    same([file_id], [each.file_citation.file_id for each in said.file_citation_annotations])


@CASES("agents", "mistakes are the service's own errors")
async def mistakes(client: AgentsClient) -> None:
    """Typed by the client, with message, type, param and code."""
    missing = refusal(lambda: client.threads.get(f"thread_{uuid.uuid4().hex}"))
    same(404, missing.status_code)
    thread = client.threads.create()
    wrong = refusal(lambda: client.messages.create(thread.id, role="wizard", content="x"))
    same(400, wrong.status_code)
    error = wrong.model.error
    same(("invalid_value", "role"), (error.code, error.param))
    same("invalid_request_error", error.type)


async def main(address: str, part: str = "") -> None:
    """All cases at the root of the server and below a project's path."""
    traffic = Traffic()
    for where, path in (("root", ""), ("project path", "/api/projects/mine")):
        for case in (*CASES, *RUN_CASES):
            if part in case.name:
                # A client each: one that was told to call functions by itself goes on doing so.
                with client_of(f"{address}{path}", traffic) as client:
                    name = f"azure-ai-agents {agents_package.__version__}, {where}"
                    print((await attempt(name, case, client, traffic)).line(), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
