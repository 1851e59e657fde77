"""How well-known programs use the API (contract 6.5), written down as plain calls."""

import asyncio
from typing import Any

from .cases_runs import assistant_of, thread_of
from .cases_stores import CATS, stored
from .reporting import Cases, holds, same
from .world import World, every, got

CASES = Cases()
INCLUDE = "step_details.tool_calls[*].file_search.results[*].content"


@CASES("patterns", "LangChain: OpenAIAssistantRunnable")
async def langchain(world: World) -> None:
    """Explicit nulls, polling while queued or in progress, messages by run_id oldest first."""
    beta = world.beta
    assistant = await got(
        beta.assistants.create(name="Ada", instructions="Be brief.", tools=[], model="default")
    )
    thread = await got(
        beta.threads.create(
            messages=[{"role": "user", "content": "Hi", "metadata": None, "attachments": None}],
            metadata=None,
        )
    )
    run = await got(
        beta.threads.runs.create(
            thread.id,
            assistant_id=assistant.id,
            instructions=None,
            additional_instructions=None,
            model=None,
            tools=None,
            metadata=None,
            temperature=None,
            top_p=None,
            max_completion_tokens=None,
            max_prompt_tokens=None,
            parallel_tool_calls=True,
            truncation_strategy=None,
            response_format=None,
        )
    )
    while run.status in ("queued", "in_progress"):
        await asyncio.sleep(0.05)
        run = await got(beta.threads.runs.retrieve(run.id, thread_id=thread.id))
    same("completed", run.status)
    messages = await every(beta.threads.messages.list(thread.id, order="asc"))
    answers = [message for message in messages if message.run_id == run.id]
    same(["You said Hi."], [part.text.value for m in answers for part in m.content])
    same("[] []", " ".join(str(message.attachments) for message in messages))


@CASES("patterns", "LangChain: files as attachments with both tools")
async def attachments(world: World) -> None:
    """The thread gets a store of seven days and the file for code; the run cites."""
    file = await stored(world, "cats.txt", CATS)
    tools = [{"type": "file_search"}, {"type": "code_interpreter"}]
    assistant = await assistant_of(world, "search", *tools)
    said: dict[str, Any] = {
        "role": "user",
        "content": "How long does a cat sleep?",
        "attachments": [{"file_id": file, "tools": tools}],
        "metadata": None,
    }
    run = await got(
        world.beta.threads.create_and_run_poll(assistant_id=assistant, thread={"messages": [said]})
    )
    same("completed", run.status)
    thread = await got(world.beta.threads.retrieve(run.thread_id))
    same([file], thread.tool_resources.code_interpreter.file_ids)
    [store] = thread.tool_resources.file_search.vector_store_ids
    same(7, (await got(world.stores.retrieve(store))).expires_after.days)
    newest = (await got(world.beta.threads.messages.list(run.thread_id))).data[0]
    same([file], [mark.file_citation.file_id for mark in newest.content[0].text.annotations])


@CASES("patterns", "everywhere: messages.data[0].content[0].text.value")
async def everywhere(world: World) -> None:
    """Right after completion the newest message is the answer; footnotes replace its marks."""
    file = await stored(world, "cats.txt", CATS)
    assistant, thread = (
        await assistant_of(world, "search", {"type": "file_search"}),
        await thread_of(world),
    )
    await got(
        world.beta.threads.messages.create(
            thread,
            role="user",
            content="What does a cat do when it is content?",
            attachments=[{"file_id": file, "tools": [{"type": "file_search"}]}],
        )
    )
    run = await got(world.beta.threads.runs.create(thread, assistant_id=assistant))
    while run.status in ("queued", "in_progress", "cancelling"):
        await asyncio.sleep(0.05)
        run = await got(world.beta.threads.runs.retrieve(run.id, thread_id=thread))
    messages = await got(world.beta.threads.messages.list(thread))
    text = messages.data[0].content[0].text
    value = text.value
    for number, annotation in enumerate(text.annotations):
        value = value.replace(annotation.text, f"[{number}]")
        cited = await got(world.client.files.retrieve(annotation.file_citation.file_id))
        same("cats.txt", cited.filename)
    holds("[0]" in value and "【" not in value, f"footnotes in {value!r}")


@CASES("patterns", "Azure and OpenAI .NET: include[] on every call")
async def dotnet(world: World) -> None:
    """Sent with run creation and step lists, encoded or not."""
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "Hi")
    runs = world.beta.threads.runs
    run = await got(
        runs.create_and_poll(thread_id=thread, assistant_id=assistant, include=[INCLUDE])
    )
    same("completed", run.status)
    listed = await every(runs.steps.list(run.id, thread_id=thread, include=[INCLUDE]))
    same(["completed"], [step.status for step in listed])


@CASES("patterns", "everywhere: deleting at the end")
async def cleaning_up(world: World) -> None:
    """Store, file, thread, assistant; nothing is left behind a deleted thread."""
    file = await stored(world, "cats.txt", CATS)
    store = await got(world.stores.create(file_ids=[file], name="temporary"))
    resources = {"file_search": {"vector_store_ids": [store.id]}}
    assistant = await assistant_of(world, "default", {"type": "file_search"})
    await got(world.beta.assistants.update(assistant, tool_resources=resources))
    thread = await thread_of(world, "Hi", tool_resources=resources)
    await got(world.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant))
    for call in (
        world.stores.delete(store.id),
        world.client.files.delete(file),
        world.beta.threads.delete(thread),
        world.beta.assistants.delete(assistant),
    ):
        same(True, (await got(call)).deleted)
