"""Runs and their steps (contract, 1.10 and 1.11)."""

from starlette.requests import Request
from starlette.responses import Response

from ...engine.requests import CreateRun, ModifyMetadata, SubmitOutputs
from ...engine.services import View
from ..access import Api, new_router
from ..patience import patience_of
from ..reading import (
    read_body,
    read_include,
    read_page,
    read_position,
    read_until,
    settings_of,
)
from ..replies import reply, reply_json
from ..sse import event_stream

router = new_router("/v1/threads/{thread_id}/runs", "runs")


@router.get("")
async def list_runs(thread_id: str, request: Request, api: Api) -> Response:
    """Runs of a thread."""
    return reply(await api.runs.list(thread_id, read_page(request)))


@router.post("")
async def create_run(thread_id: str, request: Request, api: Api) -> Response:
    """Start a run; with `stream` the events are the answer."""
    view = View(include_content=read_include(request))
    body = await read_body(request, CreateRun)
    async with patience_of(request) as patience:
        run = await api.busy.enter(
            thread_id,
            lambda: api.runs.create(thread_id, body),
            patience,
            lambda: api.runs.check(thread_id, body),
        )
    if not body.stream:
        return reply(run)
    ping = settings_of(request).ping_seconds
    return await event_stream(api.runs.batches(run.id, view=view), ping_seconds=ping)


@router.get("/{run_id}")
async def get_run(thread_id: str, run_id: str, request: Request, api: Api) -> Response:
    """One run; tells pollers when to come again."""
    return reply(await api.runs.get(thread_id, run_id), settings_of(request).poll_headers)


@router.post("/{run_id}")
async def modify_run(thread_id: str, run_id: str, request: Request, api: Api) -> Response:
    """Replace the metadata."""
    body = await read_body(request, ModifyMetadata)
    return reply(await api.runs.modify(thread_id, run_id, body))


@router.post("/{run_id}/cancel")
async def cancel_run(thread_id: str, run_id: str, api: Api) -> Response:
    """Ask a run to stop; the answer shows it cancelling."""
    return reply(await api.runs.cancel(thread_id, run_id))


@router.post("/{run_id}/submit_tool_outputs")
async def submit_tool_outputs(thread_id: str, run_id: str, request: Request, api: Api) -> Response:
    """Give the outputs of all pending calls; with `stream` what follows is the answer."""
    view = View(include_content=read_include(request))
    body = await read_body(request, SubmitOutputs)
    run, after = await api.runs.submit(thread_id, run_id, body)
    if not body.stream:
        return reply(run)
    ping = settings_of(request).ping_seconds
    return await event_stream(api.runs.batches(run_id, after, view), ping_seconds=ping)


@router.get("/{run_id}/events")
async def follow_run(thread_id: str, run_id: str, request: Request, api: Api) -> Response:
    """The run's events from any point on (an extension): docs/streams.md."""
    view = View(read_until(request), read_include(request))
    events = await api.runs.resume(thread_id, run_id, read_position(request), view)
    return await event_stream(events, ping_seconds=settings_of(request).ping_seconds)


@router.get("/{run_id}/steps")
async def list_steps(thread_id: str, run_id: str, request: Request, api: Api) -> Response:
    """Steps of a run; search results with content when `include[]` asks for it."""
    content = read_include(request)
    page = await api.steps.list(thread_id, run_id, read_page(request), include_content=content)
    return reply(page)


@router.get("/{run_id}/steps/{step_id}")
async def get_step(
    thread_id: str, run_id: str, step_id: str, request: Request, api: Api
) -> Response:
    """One step."""
    content = read_include(request)
    return reply_json(await api.steps.get(thread_id, run_id, step_id, include_content=content))
