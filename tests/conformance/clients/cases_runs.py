"""Every kind of run (contract 3.4), heard through the SDK's event handler; the order of its events to the last one.

The assistants' models are the scripts of tests/conformance/turns.
"""

import asyncio
import json
from typing import Any

import openai

from .cases_objects import ADD
from .cases_stores import CATS, SHIPS, store_of, stored
from .reporting import Cases, holds, same
from .world import World, each, entered, every, got

CASES = Cases()
KINDS = "run kinds"
BEGUN = ["thread.run.created", "thread.run.queued", "thread.run.in_progress"]
RESUMED = ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]
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


async def assistant_of(world: World, model: str, *tools: dict[str, Any], **fields: Any) -> str:
    """The id of a new assistant."""
    made = await got(world.beta.assistants.create(model=model, tools=list(tools), **fields))
    return str(made.id)


async def thread_of(world: World, *texts: str, **fields: Any) -> str:
    """The id of a new thread with these messages of the user's."""
    said = [{"role": "user", "content": text} for text in texts]
    return str((await got(world.beta.threads.create(messages=said, **fields))).id)


class Heard:
    """What a handler was told in one stream."""

    def __init__(self, callbacks: list[tuple[str, Any]]) -> None:
        self.callbacks = callbacks

    @property
    def events(self) -> list[Any]:
        """All events with their data."""
        return [argument for name, argument in self.callbacks if name == "on_event"]

    @property
    def order(self) -> list[str]:
        """Names of the events; neighbouring deltas count as one."""
        return collapsed([event.event for event in self.events])

    @property
    def last(self) -> Any:
        """The object of the last event."""
        return self.events[-1].data

    def texts(self, callback: str = "on_text_delta") -> str:
        """All text that came in fragments."""
        return "".join(delta.value or "" for name, delta in self.callbacks if name == callback)


def collapsed(names: list[str]) -> list[str]:
    """Without repetitions of deltas."""
    return [
        name
        for at, name in enumerate(names)
        if at == 0 or not (name.endswith(".delta") and names[at - 1] == name)
    ]


async def heard_of(world: World, manager: Any, handler_notes: list[tuple[str, Any]]) -> Heard:
    """Read a streaming helper to its end."""
    async with entered(manager) as stream:
        await got(stream.until_done())
    return Heard(handler_notes)


async def run_of(world: World, model: str, *tools: dict[str, Any], **fields: Any) -> Heard:
    """Stream a run on a new thread with an event handler."""
    thread = fields.pop("thread_id", None) or await thread_of(world, "Hello?")
    assistant = await assistant_of(world, model, *tools)
    handler, notes = world.listener()
    manager = world.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=handler, **fields
    )
    return await heard_of(world, manager, notes)


async def message_of(world: World, run: Any) -> Any:
    """The newest message of a run."""
    found = await got(world.beta.threads.messages.list(run.thread_id, run_id=run.id))
    return found.data[0]


async def steps_of(world: World, run: Any, **fields: Any) -> list[Any]:
    """The steps of a run, oldest first."""
    steps = world.beta.threads.runs.steps
    return await every(steps.list(run.id, thread_id=run.thread_id, order="asc", **fields))


@CASES(KINDS, "(a) plain answer")
async def plain(world: World) -> None:
    """The callbacks come in the recorded order; the deltas are the message."""
    heard = await run_of(world, "default")
    same([*BEGUN, *SAID, "thread.run.completed"], heard.order)
    same("You said Hello?.", heard.texts())
    told = [name for name, _ in heard.callbacks if name not in ("on_event", "on_message_delta")]
    told = [name for at, name in enumerate(told) if at == 0 or told[at - 1] != name]
    same(
        [
            "on_run_step_created",
            "on_message_created",
            "on_text_created",
            "on_text_delta",
            "on_text_done",
            "on_message_done",
            "on_run_step_done",
            "on_end",
        ],
        told,
    )
    usage = heard.last.usage
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
    message = await message_of(world, heard.last)
    same("You said Hello?.", message.content[0].text.value)


@CASES(KINDS, "(b) function calls")
async def functions(world: World) -> None:
    """Two calls in one step that stays open; the event itself says what is required."""
    heard = await run_of(world, "functions", ADD)
    same([*BEGUN, *TOOL, "thread.run.requires_action"], heard.order)
    calls = heard.last.required_action.submit_tool_outputs.tool_calls
    same([{"a": 1, "b": 2}, {"a": 3, "b": 4}], [json.loads(c.function.arguments) for c in calls])
    [step] = await steps_of(world, heard.last)
    same(("in_progress", None), (step.status, step.step_details.tool_calls[0].function.output))
    await got(world.beta.threads.runs.cancel(heard.last.id, thread_id=heard.last.thread_id))


@CASES(KINDS, "(c) streamed submit of tool outputs")
async def submitted(world: World) -> None:
    """The resumed stream begins with the old step's end and leads to the answer."""
    run = (await run_of(world, "functions", ADD)).last
    calls = run.required_action.submit_tool_outputs.tool_calls
    handler, notes = world.listener()
    manager = world.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=run.thread_id,
        run_id=run.id,
        tool_outputs=[{"tool_call_id": c.id, "output": c.id[-4:]} for c in reversed(calls)],
        event_handler=handler,
    )
    heard = await heard_of(world, manager, notes)
    same([*RESUMED, *SAID, "thread.run.completed"], heard.order)
    outputs = [call.function.output for call in heard.events[0].data.step_details.tool_calls]
    same([call.id[-4:] for call in calls], outputs)
    same(["completed"] * 2, [step.status for step in await steps_of(world, run)])


@CASES(KINDS, "(c) calls again after a submit")
async def several_rounds(world: World) -> None:
    """Speaks, calls, is answered, calls again, is answered, ends."""
    first = await run_of(world, "two-rounds", ADD)
    same([*BEGUN, *SAID, *TOOL, "thread.run.requires_action"], first.order)
    run, orders = first.last, list[list[str]]()
    while run.status == "requires_action":
        [call] = run.required_action.submit_tool_outputs.tool_calls
        handler, notes = world.listener()
        manager = world.beta.threads.runs.submit_tool_outputs_stream(
            thread_id=run.thread_id,
            run_id=run.id,
            tool_outputs=[{"tool_call_id": call.id, "output": "7"}],
            event_handler=handler,
        )
        heard = await heard_of(world, manager, notes)
        orders.append(heard.order)
        run = heard.last
    same([*RESUMED, *TOOL, "thread.run.requires_action"], orders[0])
    same([*RESUMED, *SAID, "thread.run.completed"], orders[1])


@CASES(KINDS, "(d) file search")
async def file_search(world: World) -> None:
    """One delta without results, the results in the finished step, a citation once."""
    ships = await stored(world, "ships.md", SHIPS)
    store = await store_of(world, ships, await stored(world, "cats.txt", CATS))
    resources = {"file_search": {"vector_store_ids": [store]}}
    thread = await thread_of(
        world, "When did the Amalia leave Rotterdam?", tool_resources=resources
    )
    heard = await run_of(world, "search", {"type": "file_search"}, thread_id=thread)
    same([*BEGUN, *TOOL, "thread.run.step.completed", *SAID, "thread.run.completed"], heard.order)
    message = await message_of(world, heard.last)
    text = message.content[0].text
    [citation] = text.annotations
    same((ships, "file_citation"), (citation.file_citation.file_id, citation.type))
    same(citation.text, text.value[citation.start_index : citation.end_index])
    same(text.value, heard.texts())
    search = (await steps_of(world, heard.last))[0].step_details.tool_calls[0].file_search
    same((ships, None), (search.results[0].file_id, search.results[0].content))
    wanted = ["step_details.tool_calls[*].file_search.results[*].content"]
    full = (await steps_of(world, heard.last, include=wanted))[0]
    content = full.step_details.tool_calls[0].file_search.results[0].content
    holds("1894" in content[0].text, "the passage comes when it is asked for")


@CASES(KINDS, "(d) file search without any store")
async def empty_search(world: World) -> None:
    """The tool is simply empty."""
    heard = await run_of(world, "search", {"type": "file_search"})
    same("thread.run.completed", heard.order[-1])
    step = (await steps_of(world, heard.last))[0]
    same([], step.step_details.tool_calls[0].file_search.results)


@CASES(KINDS, "(e) code interpreter with logs, a picture and a file")
async def code(world: World) -> None:
    """Logs and picture in deltas of their own; both downloads work; the link is annotated."""
    heard = await run_of(world, "code", {"type": "code_interpreter"})
    same([*BEGUN, *TOOL, "thread.run.step.completed", *SAID, "thread.run.completed"], heard.order)
    call = (await steps_of(world, heard.last))[0].step_details.tool_calls[0].code_interpreter
    logs, image = call.outputs
    same(("logs", "42\n", "image"), (logs.type, logs.logs, image.type))
    message = await message_of(world, heard.last)
    picture, text = message.content
    same(("image_file", image.image.file_id), (picture.type, picture.image_file.file_id))
    [link] = text.text.annotations
    same("sandbox:/mnt/data/table.csv", link.text)
    content = world.client.files.content
    holds((await got(content(picture.image_file.file_id))).content.startswith(b"\x89PNG"), "a PNG")
    same(b"a,b\n1,2\n", (await got(content(link.file_path.file_id))).content)
    pictures = [file for name, file in heard.callbacks if name == "on_image_file_done"]
    same([picture.image_file.file_id], [file.file_id for file in pictures])


@CASES(KINDS, "(e) code and a function in one turn")
async def mixed(world: World) -> None:
    """Speech, code in its own step, the function in its; then the answer."""
    heard = await run_of(world, "mixed", {"type": "code_interpreter"}, ADD)
    run = heard.last
    same("requires_action", run.status)
    kinds = [step.type for step in await steps_of(world, run)]
    same(["message_creation", "tool_calls", "tool_calls"], kinds)
    [call] = run.required_action.submit_tool_outputs.tool_calls
    done = await got(
        world.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": call.id, "output": "3"}],
        )
    )
    same("completed", done.status)


async def _cancelled(world: World, model: str, at: str, *tools: dict[str, Any]) -> Heard:
    """Cancel when the first event of this name comes."""
    thread = await thread_of(world, "Go on for long.")
    assistant = await assistant_of(world, model, *tools)
    handler, notes = world.listener()
    asked = False
    manager = world.beta.threads.runs.stream(
        thread_id=thread, assistant_id=assistant, event_handler=handler
    )
    async with entered(manager) as stream:
        async for event in each(stream):
            if event.event == at and not asked:
                asked = True
                run = (await every(world.beta.threads.runs.list(thread)))[0]
                answer = await got(world.beta.threads.runs.cancel(run.id, thread_id=thread))
                same("cancelling", answer.status)
    return Heard(notes)


@CASES(KINDS, "(f) cancelled while speaking")
async def cancelled(world: World) -> None:
    """What was said is kept, as incomplete."""
    heard = await _cancelled(world, "slow", "thread.message.delta")
    ended = ["thread.message.incomplete", "thread.run.step.cancelled", "thread.run.cancelled"]
    order = [name for name in heard.order if name != "thread.run.cancelling"]
    same([*BEGUN, *SPEAKING, *ended], collapsed(order))
    holds("thread.run.cancelling" in heard.order, "the stream says that it is cancelling")
    message = await message_of(world, heard.last)
    same(("incomplete", "run_cancelled"), (message.status, message.incomplete_details.reason))
    holds(message.content[0].text.value.startswith("word"), "the part that was said is kept")


@CASES(KINDS, "(f) cancelled in a tool step")
async def cancelled_in_tool(world: World) -> None:
    """Code that would not end is ended."""
    heard = await _cancelled(
        world, "endless-code", "thread.run.step.delta", {"type": "code_interpreter"}
    )
    ended = ["thread.run.cancelling", "thread.run.step.cancelled", "thread.run.cancelled"]
    same(ended, heard.order[-3:])


@CASES(KINDS, "(f) cancelled while waiting for outputs")
async def cancelled_while_waiting(world: World) -> None:
    """The step ends with the run; a second cancel is refused."""
    run = (await run_of(world, "functions", ADD)).last
    await got(world.beta.threads.runs.cancel(run.id, thread_id=run.thread_id))
    ended = await got(world.beta.threads.runs.poll(run.id, thread_id=run.thread_id))
    same(("cancelled", None), (ended.status, ended.required_action))
    same(["cancelled"], [step.status for step in await steps_of(world, run)])


@CASES(KINDS, "(f) failed before any step")
async def failed_at_once(world: World) -> None:
    """The run says why."""
    heard = await run_of(world, "fails")
    same([*BEGUN, "thread.run.failed"], heard.order)
    error = heard.last.last_error
    same(("rate_limit_exceeded", "Out of tokens."), (error.code, error.message))


@CASES(KINDS, "(f) failed while speaking")
async def failed(world: World) -> None:
    """The broken message and step are closed before the run."""
    heard = await run_of(world, "fails-speaking")
    same([*CUT_OFF, "thread.run.step.failed", "thread.run.failed"], heard.order)
    message = await message_of(world, heard.last)
    same("run_failed", message.incomplete_details.reason)


@CASES(KINDS, "(f) incomplete by max_completion_tokens")
async def out_of_completion(world: World) -> None:
    """Cut off in the middle; message and run say why."""
    heard = await run_of(world, "long", max_completion_tokens=256, max_prompt_tokens=20000)
    same([*CUT_OFF, "thread.run.step.completed", "thread.run.incomplete"], heard.order)
    same("max_completion_tokens", heard.last.incomplete_details.reason)
    same(256, heard.last.usage.completion_tokens)
    message = await message_of(world, heard.last)
    same("max_tokens", message.incomplete_details.reason)


@CASES(KINDS, "(f) incomplete by max_prompt_tokens")
async def out_of_prompt(world: World) -> None:
    """The second turn finds nothing left."""
    heard = await run_of(world, "thirsty", ADD, max_prompt_tokens=300)
    run = heard.last
    [call] = run.required_action.submit_tool_outputs.tool_calls
    done = await got(
        world.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id,
            thread_id=run.thread_id,
            tool_outputs=[{"tool_call_id": call.id, "output": "3"}],
        )
    )
    same(("incomplete", "max_prompt_tokens"), (done.status, done.incomplete_details.reason))


@CASES(KINDS, "(f) expired while speaking")
async def expired(world: World) -> None:
    """By the clock, on a server whose runs live for two seconds."""
    hasty = world.on_hasty()
    heard = await run_of(hasty, "slow")
    same([*CUT_OFF, "thread.run.step.expired", "thread.run.expired"], heard.order)
    message = await message_of(hasty, heard.last)
    same("run_expired", message.incomplete_details.reason)


@CASES(KINDS, "(f) expired while waiting for outputs")
async def expired_waiting(world: World) -> None:
    """Nobody submits: the run expires and takes no outputs any more."""
    hasty = world.on_hasty()
    run = (await run_of(hasty, "functions", ADD)).last
    while run.status == "requires_action":
        await asyncio.sleep(0.1)
        run = await got(hasty.beta.threads.runs.retrieve(run.id, thread_id=run.thread_id))
    same(("expired", None), (run.status, run.required_action))
    same(["expired"], [step.status for step in await steps_of(hasty, run)])


@CASES(KINDS, "(g) thread and run created at once")
async def created_at_once(world: World) -> None:
    """The thread's event comes first; its messages make none."""
    assistant = await assistant_of(world, "default")
    handler, notes = world.listener()
    manager = world.beta.threads.create_and_run_stream(
        assistant_id=assistant,
        thread={"messages": [{"role": "user", "content": "Hi"}], "metadata": {"k": "v"}},
        event_handler=handler,
    )
    heard = await heard_of(world, manager, notes)
    same(["thread.created", *BEGUN, *SAID, "thread.run.completed"], heard.order)
    same({"k": "v"}, heard.events[0].data.metadata)


@CASES(KINDS, "(h) a stream that breaks")
async def broken(world: World) -> None:
    """The error reaches the program as an exception, from the helper and from plain iteration; the run goes on."""
    hasty = world.on_hasty()
    assistant = await assistant_of(hasty, "default")
    settings: dict[str, Any] = {"assistant_id": assistant, "metadata": {"stream": "breaks"}}
    runs = hasty.beta.threads.runs
    for by_helper in (True, False):
        thread = await thread_of(hasty, "Hi")
        try:
            if by_helper:
                async with entered(runs.stream(thread_id=thread, **settings)) as stream:
                    await got(stream.until_done())
            else:
                await every(await got(runs.create(thread_id=thread, stream=True, **settings)))
            raise AssertionError("a broken stream looks whole")
        except openai.APIError as error:
            holds("The disk is gone." in error.message, error.message)
        [run] = await every(runs.list(thread))
        same("completed", (await got(runs.poll(run.id, thread_id=thread))).status)
