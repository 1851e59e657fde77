"""Mistakes: the SDK's error classes with message, code and param, in every dialect alike."""

from collections.abc import Callable
from typing import Any

import openai

from .cases_objects import ADD
from .cases_runs import assistant_of, run_of, thread_of
from .reporting import Cases, holds, same
from .world import World, every, got

CASES = Cases()


async def refused(
    call: Callable[[], Any], kind: type[openai.APIStatusError], *texts: str
) -> openai.APIStatusError:
    """The error that a call raises, which must be of this class and say all this.

    Raises:
        AssertionError: it went through, or says something else.
    """
    try:
        await got(call())
    except kind as error:
        for text in texts:
            holds(text in str(error), f"{text!r} in {error}")
        return error
    raise AssertionError(f"no {kind.__name__}")


@CASES("errors", "unknown ids: NotFoundError")
async def unknown(world: World) -> None:
    """Each object says what it did not find."""
    beta, nobody = world.beta, "0" * 24
    thread = await thread_of(world, "Hi")
    missing: list[tuple[Callable[[], Any], str]] = [
        (lambda: beta.assistants.retrieve(f"asst_{nobody}"), "No assistant found with id 'asst_"),
        (lambda: beta.threads.retrieve(f"thread_{nobody}"), "No thread found with id 'thread_"),
        (
            lambda: beta.threads.messages.retrieve(f"msg_{nobody}", thread_id=thread),
            "No message found",
        ),
        (lambda: beta.threads.runs.retrieve(f"run_{nobody}", thread_id=thread), "No run found"),
        (lambda: world.stores.retrieve(f"vs_{nobody}"), "No vector store found with id 'vs_"),
        (lambda: world.client.files.retrieve(f"file-{nobody}"), "No such File object: file-"),
        (lambda: beta.threads.runs.create(thread, assistant_id=f"asst_{nobody}"), "No assistant"),
    ]
    for call, text in missing:
        await refused(call, openai.NotFoundError, text)


@CASES("errors", "unknown model: code and param")
async def unknown_model(world: World) -> None:
    """As the hosted service names it."""
    error = await refused(
        lambda: world.client.models.retrieve("no-such-model"),
        openai.NotFoundError,
        "The model 'no-such-model' does not exist",
    )
    same(("model", "model_not_found"), (error.param, error.code))


@CASES("errors", "bad parameters: BadRequestError with code and param")
async def parameters(world: World) -> None:
    """One of each kind of mistake."""
    create = world.beta.threads.create
    assistants = world.beta.assistants.create
    mistakes: list[tuple[Callable[[], Any], str, str]] = [
        (
            lambda: assistants(model="default", extra_body={"file_ids": []}),
            "file_ids",
            "unknown_parameter",
        ),
        (
            lambda: assistants(model="default", tools=[{"type": "retrieval"}]),
            "tools[0].type",
            "invalid_value",
        ),
        (
            lambda: assistants(model="default", name="n" * 257),
            "name",
            "string_above_max_length",
        ),
        (lambda: create(metadata="x"), "metadata", "invalid_type"),
        (
            lambda: create(messages=[{"role": "user"}]),
            "messages[0].content",
            "missing_required_parameter",
        ),
        (
            lambda: world.beta.assistants.list(limit=101),
            "limit",
            "integer_above_max_value",
        ),
    ]
    for call, param, code in mistakes:
        error = await refused(call, openai.BadRequestError)
        same((param, code, "invalid_request_error"), (error.param, error.code, error.type))
        holds(error.request_id, "the request's id is on the error")


@CASES("errors", "busy thread: BadRequestError, no retry")
async def busy(world: World) -> None:
    """Messages and runs are refused while a run waits; both say which run."""
    run = (await run_of(world, "functions", ADD)).last
    thread, assistant = run.thread_id, run.assistant_id
    threads = world.beta.threads
    await refused(
        lambda: threads.messages.create(thread, role="user", content="more"),
        openai.BadRequestError,
        f"Can't add messages to {thread} while a run {run.id} is active.",
    )
    await refused(
        lambda: threads.runs.create(thread, assistant_id=assistant),
        openai.BadRequestError,
        f"Thread {thread} already has an active run {run.id}.",
    )
    await got(threads.runs.cancel(run.id, thread_id=thread))


@CASES("errors", "tool outputs: missing, unknown, too late")
async def outputs(world: World) -> None:
    """The run goes on waiting after a wrong submit; an ended one takes none and no cancel."""
    run = (await run_of(world, "functions", ADD)).last
    runs = world.beta.threads.runs
    calls = run.required_action.submit_tool_outputs.tool_calls

    def submit(*ids: str) -> Any:
        given: list[Any] = [{"tool_call_id": id_, "output": "1"} for id_ in ids]
        return runs.submit_tool_outputs(run.id, thread_id=run.thread_id, tool_outputs=given)

    expected = f"Expected tool outputs for call_ids ['{calls[0].id}', '{calls[1].id}'], got"
    await refused(lambda: submit(calls[0].id), openai.BadRequestError, expected)
    await refused(
        lambda: submit(calls[0].id, calls[1].id, "call_x"), openai.BadRequestError, expected
    )
    same("requires_action", (await got(runs.retrieve(run.id, thread_id=run.thread_id))).status)
    await got(runs.cancel(run.id, thread_id=run.thread_id))
    await got(runs.poll(run.id, thread_id=run.thread_id))
    late = 'Runs in status "cancelled" do not accept tool outputs.'
    await refused(lambda: submit(calls[0].id, calls[1].id), openai.BadRequestError, late)
    await refused(
        lambda: runs.cancel(run.id, thread_id=run.thread_id),
        openai.BadRequestError,
        "Cannot cancel run with status 'cancelled'.",
    )


@CASES("errors", "a stream refused before its first event")
async def refused_stream(world: World) -> None:
    """A plain HTTP error, not a stream that carries one."""
    thread = await thread_of(world, "Hi")
    await refused(
        lambda: world.beta.threads.runs.create(
            thread, assistant_id="asst_" + "0" * 24, stream=True
        ),
        openai.NotFoundError,
        "No assistant found",
    )


@CASES("errors", "file ids of a body that are not there")
async def unknown_files(world: World) -> None:
    """400, because the body is wrong and not the path."""
    resources = {"code_interpreter": {"file_ids": ["file-" + "0" * 22]}}
    await refused(
        lambda: world.beta.assistants.create(
            model="default", tools=[{"type": "code_interpreter"}], tool_resources=resources
        ),
        openai.BadRequestError,
        "file-0000",
    )


@CASES("errors", "deleted assistant: its runs stay, new ones are refused")
async def dangling(world: World) -> None:
    """The finished run keeps its id; a new one gets 404."""
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "Hi")
    runs = world.beta.threads.runs
    run = await got(runs.create_and_poll(thread_id=thread, assistant_id=assistant))
    await got(world.beta.assistants.delete(assistant))
    kept = await got(runs.retrieve(run.id, thread_id=thread))
    same(assistant, kept.assistant_id)
    await refused(
        lambda: runs.create(thread, assistant_id=assistant), openai.NotFoundError, assistant
    )


@CASES("errors", "a wrong key: AuthenticationError")
async def wrong_key(world: World) -> None:
    """Refused before anything else."""
    await refused(
        lambda: world.client.with_options(api_key="wrong").models.list(),
        openai.AuthenticationError,
    )


@CASES("errors", "another project's objects: NotFoundError")
async def strangers(world: World) -> None:
    """A key to another project finds nothing of this one, and lists nothing of it."""
    stranger = world.stranger
    assistant, thread = await assistant_of(world, "default"), await thread_of(world, "Hi")
    await refused(lambda: stranger.beta.assistants.retrieve(assistant), openai.NotFoundError)
    await refused(lambda: stranger.beta.threads.retrieve(thread), openai.NotFoundError)
    await refused(lambda: stranger.beta.threads.messages.list(thread), openai.NotFoundError)
    seen = [item.id for item in await every(stranger.beta.assistants.list())]
    holds(assistant not in seen, "the assistant is not listed")
