"""The SDK's helpers and the operations on runs and steps that need no special run."""

from typing import Any

from .cases_objects import ADD
from .cases_runs import (
    BEGUN,
    SAID,
    Heard,
    assistant_of,
    collapsed,
    message_of,
    run_of,
    steps_of,
    thread_of,
)
from .reporting import Cases, holds, same
from .world import World, entered, every, got

CASES = Cases()


@CASES("objects", "runs: create, retrieve, update, list")
async def runs(world: World) -> None:
    """Every setting of a run comes back as it was given."""
    api = world.beta.threads.runs
    assistant = await assistant_of(world, "default", ADD, instructions="Be brief.")
    thread = await thread_of(world, "one")
    run = await got(
        api.create(
            thread_id=thread,
            assistant_id=assistant,
            instructions="Be long.",
            additional_instructions="Be kind.",
            additional_messages=[{"role": "user", "content": "two"}],
            metadata={"k": "v"},
            temperature=0.5,
            top_p=0.5,
            tools=[{"type": "file_search"}],
            tool_choice="none",
            parallel_tool_calls=False,
            truncation_strategy={"type": "last_messages", "last_messages": 3},
            max_prompt_tokens=5000,
            max_completion_tokens=500,
            response_format={"type": "text"},
        )
    )
    same((0.5, 0.5, 5000, 500), _numbers(run))
    same(("none", False, 3), _choices(run))
    holds(run.instructions.startswith("Be long.") and "Be kind." in run.instructions, "joined")
    done = await got(api.poll(run.id, thread_id=thread))
    same("completed", done.status)
    changed = await got(api.update(run.id, thread_id=thread, metadata={"k": "w"}))
    same({"k": "w"}, changed.metadata)
    same(changed.model_dump(), (await got(api.retrieve(run.id, thread_id=thread))).model_dump())
    second = await got(api.create_and_poll(thread_id=thread, assistant_id=assistant))
    same([second.id, run.id], [item.id for item in await every(api.list(thread, limit=1))])
    oldest = await got(api.list(thread, order="asc", before=second.id))
    same([run.id], [item.id for item in oldest.data])


def _numbers(run: Any) -> tuple[Any, ...]:
    return run.temperature, run.top_p, run.max_prompt_tokens, run.max_completion_tokens


def _choices(run: Any) -> tuple[Any, ...]:
    return run.tool_choice, run.parallel_tool_calls, run.truncation_strategy.last_messages


@CASES("objects", "steps: list, retrieve")
async def steps(world: World) -> None:
    """Newest first by pages of one; one step by its id."""
    run = (await run_of(world, "two-rounds", ADD)).last
    api = world.beta.threads.runs.steps
    listed = await every(api.list(run.id, thread_id=run.thread_id, limit=1))
    same(["tool_calls", "message_creation"], [step.type for step in listed])
    one = await got(api.retrieve(listed[0].id, thread_id=run.thread_id, run_id=run.id))
    same(listed[0].model_dump(), one.model_dump())
    await got(world.beta.threads.runs.cancel(run.id, thread_id=run.thread_id))


@CASES("helpers", "runs.create_and_poll")
async def create_and_poll(world: World) -> None:
    """Waits for the end, at the pace that the server tells."""
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "Hi")
    run = await got(
        world.beta.threads.runs.create_and_poll(thread_id=thread, assistant_id=assistant)
    )
    same("completed", run.status)


@CASES("helpers", "runs.submit_tool_outputs, submit_tool_outputs_and_poll")
async def submits(world: World) -> None:
    """A plain submit answers with a queued run; the polling one with the next stop."""
    api = world.beta.threads.runs
    assistant, thread = await assistant_of(world, "two-rounds", ADD), await thread_of(world, "Hi")
    run = await got(api.create_and_poll(thread_id=thread, assistant_id=assistant))
    outputs: list[Any] = [{"tool_call_id": _only_call(run).id, "output": "1"}]
    answer = await got(api.submit_tool_outputs(run.id, thread_id=thread, tool_outputs=outputs))
    holds(answer.status in ("queued", "in_progress"), f"a submit answers {answer.status}")
    run = await got(api.poll(run.id, thread_id=thread))
    same("requires_action", run.status)
    outputs = [{"tool_call_id": _only_call(run).id, "output": "2"}]
    done = await got(
        api.submit_tool_outputs_and_poll(run_id=run.id, thread_id=thread, tool_outputs=outputs)
    )
    same("completed", done.status)
    same("It said 2.", (await message_of(world, done)).content[0].text.value)


def _only_call(run: Any) -> Any:
    [call] = run.required_action.submit_tool_outputs.tool_calls
    return call


@CASES("helpers", "threads.create_and_run, create_and_run_poll")
async def create_and_run(world: World) -> None:
    """With the thread given, and with none at all."""
    assistant = await assistant_of(world, "default")
    said: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
    begun = await got(world.beta.threads.create_and_run(assistant_id=assistant, thread=said))
    holds(begun.status in ("queued", "in_progress"), f"a new run is {begun.status}")
    done = await got(world.beta.threads.create_and_run_poll(assistant_id=assistant))
    same("completed", done.status)


@CASES("helpers", "stream=True on create, create_and_run and submit_tool_outputs")
async def raw_streams(world: World) -> None:
    """Events without a handler, in all three places."""
    assistant = await assistant_of(world, "functions", ADD)
    made = world.beta.threads.create_and_run(assistant_id=assistant, stream=True)
    events = await every(await got(made))
    same("thread.created", events[0].event)
    run = events[-1].data
    same("requires_action", run.status)
    outputs: list[Any] = [
        {"tool_call_id": call.id, "output": "5"}
        for call in run.required_action.submit_tool_outputs.tool_calls
    ]
    resumed = world.beta.threads.runs.submit_tool_outputs(
        run.id, thread_id=run.thread_id, tool_outputs=outputs, stream=True
    )
    events = await every(await got(resumed))
    same("thread.run.completed", events[-1].event)
    again = world.beta.threads.runs.create(run.thread_id, assistant_id=assistant, stream=True)
    events = await every(await got(again))
    same(BEGUN, [event.event for event in events[:3]])
    same("thread.run.requires_action", events[-1].event)


@CASES("helpers", "stream: text_deltas, get_final_run, get_final_messages, get_final_run_steps")
async def finals(world: World) -> None:
    """What the stream manager offers without a handler class."""
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "Hi")
    async with entered(
        world.beta.threads.runs.stream(thread_id=thread, assistant_id=assistant)
    ) as stream:
        same("You said Hi.", "".join(await every(stream.text_deltas)))
        same("completed", (await got(stream.get_final_run())).status)
        [message] = await got(stream.get_final_messages())
        same("You said Hi.", message.content[0].text.value)
        [step] = await got(stream.get_final_run_steps())
        same(message.id, step.step_details.message_creation.message_id)


@CASES("helpers", "stream: a client that goes away")
async def gone(world: World) -> None:
    """Closing the stream early does not end the run."""
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "Hi")
    stream = await got(world.beta.threads.runs.create(thread, assistant_id=assistant, stream=True))
    await got(stream.close())
    [run] = await every(world.beta.threads.runs.list(thread))
    done = await got(world.beta.threads.runs.poll(run.id, thread_id=thread))
    same("completed", done.status)


@CASES("helpers", "with_raw_response, with_streaming_response")
async def raw_responses(world: World) -> None:
    """Headers are reachable, and the parsed object as well."""
    raw = await got(world.beta.threads.with_raw_response.create())
    holds(raw.headers["x-request-id"], "a request id")
    thread = raw.parse()
    thread = await got(thread)
    same("thread", thread.object)
    manager = world.beta.threads.with_streaming_response.retrieve(thread.id)
    async with entered(manager) as response:
        same(thread.id, (await got(response.parse())).id)


@CASES("helpers", "runs on one thread, one after the other")
async def conversation(world: World) -> None:
    """The second run sees the first one's messages, the newest first when listed."""
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "one")
    orders: list[list[str]] = []
    for text in ("two", "three"):
        handler, notes = world.listener()
        async with entered(
            world.beta.threads.runs.stream(
                thread_id=thread, assistant_id=assistant, event_handler=handler
            )
        ) as stream:
            await got(stream.until_done())
        orders.append(Heard(notes).order)
        await got(world.beta.threads.messages.create(thread, role="user", content=text))
    same([[*BEGUN, *SAID, "thread.run.completed"]] * 2, [collapsed(order) for order in orders])
    said = [message.content[0].text.value for message in await every(_listed(world, thread))]
    same(["three", "You said two.", "two", "You said one.", "one"], said)
    run = (await every(world.beta.threads.runs.list(thread)))[0]
    same(["message_creation"], [step.type for step in await steps_of(world, run)])


def _listed(world: World, thread: str) -> Any:
    return world.beta.threads.messages.list(thread)
