"""Threads and create-thread-and-run (contract, 1.7 and 1.8)."""

from starlette.requests import Request
from starlette.responses import Response

from ...engine.requests import CreateThread, CreateThreadAndRun, ModifyThread
from ...engine.services import View
from ..access import Api, new_router
from ..reading import read_body, read_include, settings_of
from ..replies import deleted, reply
from ..sse import event_stream

router = new_router("/v1/threads", "threads")


@router.post("")
async def create_thread(request: Request, api: Api) -> Response:
    """Make a thread; the body may be empty."""
    return reply(await api.threads.create(await read_body(request, CreateThread)))


@router.post("/runs")  # before /{thread_id}, or "runs" would be taken for an id
async def create_thread_and_run(request: Request, api: Api) -> Response:
    """Make a thread and run it; with `stream` the events are the answer."""
    view = View(include_content=read_include(request))
    body = await read_body(request, CreateThreadAndRun)
    run = await api.runs.create_with_thread(body)
    if not body.stream:
        return reply(run)
    ping = settings_of(request).ping_seconds
    return await event_stream(api.runs.batches(run.id, view=view), ping_seconds=ping)


@router.get("/{thread_id}")
async def get_thread(thread_id: str, api: Api) -> Response:
    """One thread."""
    return reply(await api.threads.get(thread_id))


@router.post("/{thread_id}")
async def modify_thread(thread_id: str, request: Request, api: Api) -> Response:
    """Change metadata or tool resources."""
    return reply(await api.threads.modify(thread_id, await read_body(request, ModifyThread)))


@router.delete("/{thread_id}")
async def delete_thread(thread_id: str, api: Api) -> Response:
    """Its messages, runs and steps go with it."""
    await api.threads.delete(thread_id)
    return deleted(thread_id, "thread.deleted")
