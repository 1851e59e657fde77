"""Assistants, threads and messages: every operation, lists in both directions, metadata."""

from collections.abc import Callable
from typing import Any

import openai

from .reporting import Cases, holds, same
from .world import World, every, got

CASES = Cases()
ADD: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


@CASES("objects", "assistants: create, retrieve, update, delete")
async def assistants(world: World) -> None:
    """All fields, a change of one of them, and the answer to a delete."""
    api = world.beta.assistants
    made = await got(
        api.create(
            model="default",
            name="Ada",
            description="Counts.",
            instructions="Be brief.",
            tools=[{"type": "code_interpreter"}, {"type": "file_search"}, ADD],
            metadata={"team": "blue"},
            temperature=0.5,
            top_p=0.9,
            response_format={"type": "text"},
        )
    )
    same(made.model_dump(), (await got(api.retrieve(made.id))).model_dump(), "read back")
    changed = await got(api.update(made.id, name="Grace", metadata={"team": "red", "n": "1"}))
    same(("Grace", "Be brief.", {"team": "red", "n": "1"}), _named(changed), "after the update")
    same([tool.type for tool in made.tools], [tool.type for tool in changed.tools], "tools")
    gone = await got(api.delete(made.id))
    same((made.id, "assistant.deleted", True), (gone.id, gone.object, gone.deleted), "deleted")
    await missing(lambda: api.retrieve(made.id))


def _named(assistant: Any) -> tuple[Any, ...]:
    return assistant.name, assistant.instructions, assistant.metadata


async def missing(call: Callable[[], Any]) -> None:
    """What was deleted is not found.

    Raises:
        AssertionError: it is.
    """
    try:
        await got(call())
    except openai.NotFoundError:
        return
    raise AssertionError("a deleted object is still there")


@CASES("objects", "assistants: response formats and resources")
async def resources(world: World) -> None:
    """A schema and a store of the assistant's own, made by the helper and shown as an id."""
    schema: dict[str, Any] = {
        "name": "answer",
        "schema": {"type": "object", "properties": {}},
        "strict": True,
    }
    made = await got(
        world.beta.assistants.create(
            model="default",
            tools=[{"type": "file_search", "file_search": {"max_num_results": 7}}],
            tool_resources={"file_search": {"vector_stores": [{"metadata": {"made": "here"}}]}},
            response_format={"type": "json_schema", "json_schema": schema},
        )
    )
    same("json_schema", made.response_format.type)
    same(7, made.tools[0].file_search.max_num_results)
    [store] = made.tool_resources.file_search.vector_store_ids
    same({"made": "here"}, (await got(world.stores.retrieve(store))).metadata)


@CASES("objects", "assistants: list, both directions, all pages")
async def assistant_pages(world: World) -> None:
    """Three made in one second keep their order, whichever way they are read."""
    api = world.beta.assistants
    ids = [(await got(api.create(model="default", name=f"page {n}"))).id for n in range(5)]
    newest = [item.id for item in await every(api.list(limit=2))]
    same(
        list(reversed(ids)), [id_ for id_ in newest if id_ in ids], "newest first, by pages of two"
    )
    oldest = [item.id for item in await every(api.list(limit=2, order="asc", after=ids[0]))]
    same(ids[1:], oldest[-4:], "oldest first, after the first")
    before = await got(api.list(limit=2, order="asc", before=ids[3]))
    same(ids[1:3], [item.id for item in before.data], "the two before the fourth")


@CASES("objects", "threads: create, retrieve, update, delete")
async def threads(world: World) -> None:
    """Empty, with messages of every content type, with a store by the helper."""
    api = world.beta.threads
    same({}, (await got(api.create())).metadata, "an empty thread")
    file = await got(world.client.files.create(file=("note.txt", b"A note."), purpose="assistants"))
    made = await got(
        api.create(
            messages=[
                {"role": "user", "content": "First."},
                {"role": "assistant", "content": [{"type": "text", "text": "Second."}]},
            ],
            tool_resources={
                "code_interpreter": {"file_ids": [file.id]},
                "file_search": {"vector_stores": [{"file_ids": [file.id]}]},
            },
            metadata={"k": "v"},
        )
    )
    read = await got(api.retrieve(made.id))
    same([file.id], read.tool_resources.code_interpreter.file_ids)
    [store] = read.tool_resources.file_search.vector_store_ids
    kept = await got(world.stores.retrieve(store))
    same(("last_active_at", 7), (kept.expires_after.anchor, kept.expires_after.days))
    changed = await got(api.update(made.id, metadata={"k": "w"}, tool_resources={}))
    same({"k": "w"}, changed.metadata)
    gone = await got(api.delete(made.id))
    same(("thread.deleted", True), (gone.object, gone.deleted))
    await missing(lambda: api.retrieve(made.id))


@CASES("objects", "messages: create, retrieve, update, delete")
async def messages(world: World) -> None:
    """Text, pictures by file and by address, attachments, metadata."""
    api = world.beta.threads.messages
    thread = (await got(world.beta.threads.create())).id
    picture = await got(world.client.files.create(file=("dot.png", DOT), purpose="vision"))
    note = await got(world.client.files.create(file=("note.txt", b"A note."), purpose="assistants"))
    tools = [{"type": "file_search"}, {"type": "code_interpreter"}]
    made = await got(
        api.create(
            thread_id=thread,
            role="user",
            content=[
                {"type": "text", "text": "Look."},
                {"type": "image_file", "image_file": {"file_id": picture.id, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
            attachments=[{"file_id": note.id, "tools": tools}],
            metadata={"k": "v"},
        )
    )
    same(["text", "image_file", "image_url"], [part.type for part in made.content])
    same(["file_search", "code_interpreter"], [tool.type for tool in made.attachments[0].tools])
    same(made.model_dump(), (await got(api.retrieve(made.id, thread_id=thread))).model_dump())
    changed = await got(api.update(made.id, thread_id=thread, metadata={"k": "w"}))
    same({"k": "w"}, changed.metadata)
    gone = await got(api.delete(made.id, thread_id=thread))
    same(("thread.message.deleted", True), (gone.object, gone.deleted))
    same([], await every(api.list(thread)))


@CASES("objects", "messages: list, both directions, all pages")
async def message_pages(world: World) -> None:
    """Seven messages of one second, by pages of three."""
    first = [{"role": "user", "content": str(n)} for n in range(7)]
    thread = (await got(world.beta.threads.create(messages=first))).id
    api = world.beta.threads.messages
    said = [item.content[0].text.value for item in await every(api.list(thread, limit=3))]
    same(list("6543210"), said)
    oldest = await every(api.list(thread, limit=3, order="asc"))
    same(list("0123456"), [item.content[0].text.value for item in oldest])
    page = await got(api.list(thread, limit=2, before=oldest[3].id))
    same(["5", "4"], [item.content[0].text.value for item in page.data])
    holds(page.has_more, "there is more before these")


# A picture of one black dot.
DOT = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
)
