"""No key sees another project's objects: every route, every kind of object, every place in a body (contract, 4.10).

The answer to an id of another project is the answer to an id that was made up, to the letter. Routes are taken from
the application itself, so a new one is tried without being named here.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from local_assistants.engine.clock import RandomIds
from local_assistants.server.app import ROUTERS, create_app
from tests.contract.web import ORIGIN, USER, Json, Web, path_of
from tests.support.answers import json_of
from tests.support.engine import House, Turns, house

ASKS: Turns = ({"tool_calls": [{"name": "weather", "arguments": {}}]},)
WEATHER: Json = {"type": "function", "function": {"name": "weather"}}
TOOLS: list[Json] = [WEATHER, {"type": "code_interpreter"}, {"type": "file_search"}]
OPEN = re.compile(r"/v1/models|/healthz|/readyz|/metrics|/docs|/openapi")
"""What is no project's: models, and how the server is."""


@dataclass(frozen=True)
class Project:
    """A key's client, and the ids of one object of each kind, by the names of path parameters."""

    web: Web
    ids: dict[str, str]


def form(name: str, purpose: str = "assistants") -> dict[str, Any]:
    """A file to upload."""
    return {"files": {"file": (name, b"apples")}, "data": {"purpose": purpose}}


async def furnished(web: Web) -> Project:
    """A project with one object of each kind; its run waits for the client."""
    file, image = [
        json_of(await web.client.post("/files", **form(*of)))
        for of in (("a.txt",), ("a.png", "vision"))
    ]
    store = await web.post("/vector_stores", {"file_ids": [file["id"]]})
    batch = await web.post(f"/vector_stores/{store['id']}/file_batches", {"file_ids": [file["id"]]})
    assistant = await web.assistant(
        tools=TOOLS, tool_resources={"file_search": {"vector_store_ids": [store["id"]]}}
    )
    run = await web.finished(assistant)
    (message,) = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"]
    (step,) = (await web.get(f"{path_of(run)}/steps"))["data"]
    announced = {
        "filename": "b.txt",
        "purpose": "assistants",
        "bytes": 6,
        "mime_type": "text/plain",
    }
    upload = await web.post("/uploads", announced)
    part = json_of(
        await web.client.post(f"/uploads/{upload['id']}/parts", files={"data": ("p", b"apples")})
    )
    made = {"assistant": assistant, "run": run, "message": message, "step": step, "file": file}
    made |= {"vector_store": store, "batch": batch, "upload": upload, "image": image, "part": part}
    ids = {f"{kind}_id": str(obj["id"]) for kind, obj in made.items()}
    return Project(web, ids | {"thread_id": run["thread_id"]})


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """An engine whose model calls a function of the client's."""
    async with house(tmp_path, ASKS, ids=RandomIds()) as opened:
        yield opened


async def entered(home: House, project: str) -> Web:
    """The application as the holder of a key to `project` sees it."""
    key = (await home.services.keys.create(project=project)).secret
    transport = httpx.ASGITransport(create_app(home.services))
    headers = {"authorization": f"Bearer {key}"}
    client = httpx.AsyncClient(transport=transport, base_url=f"{ORIGIN}/v1", headers=headers)
    return Web(client, home)


@pytest.fixture
async def theirs(home: House) -> AsyncIterator[Project]:
    """Another project, with one object of each kind."""
    web = await entered(home, "theirs")
    async with web.client:
        yield await furnished(web)


@pytest.fixture
async def ours(home: House, theirs: Project) -> AsyncIterator[Project]:
    """The project of the key that asks; the other one is there already."""
    del theirs
    web = await entered(home, "ours")
    async with web.client:
        yield await furnished(web)


def made_up(object_id: str) -> str:
    """An id of the same form that names nothing."""
    prefix = re.match(r"[a-z]+[-_]", object_id)
    assert prefix is not None
    return prefix[0] + "0" * (len(object_id) - prefix.end())


def routes() -> Iterator[tuple[str, str]]:
    """Method and path of every operation on objects of a project."""
    for route in (route for router in ROUTERS for route in router.routes):
        assert isinstance(route, APIRoute)
        if not OPEN.match(route.path):
            yield from ((method, route.path) for method in sorted(route.methods or ()))


BODIES: Mapping[str, Json] = {
    "/threads/{thread_id}/messages": USER,
    "/threads/{thread_id}/runs": {"assistant_id": "{assistant_id}"},
    "/submit_tool_outputs": {"tool_outputs": [{"tool_call_id": "call_1", "output": "rain"}]},
    "/search": {"query": "apples"},
    "/files": {"file_id": "{file_id}"},
    "/file_batches": {"file_ids": ["{file_id}"]},
    "/complete": {"part_ids": ["{part_id}"]},
    "/files/{file_id}": {"attributes": {"x": "changed"}},
}


def sent(method: str, path: str, ids: Mapping[str, str]) -> dict[str, Any]:
    """A body that the route would take, or one that changes the metadata."""
    if path.endswith("/parts"):
        return {"files": {"data": ("p", b"apples")}}
    if path.endswith("/passages"):
        return {"params": {"start": 0, "end": 5}}
    if method != "POST":
        return {}
    known = (body for end, body in BODIES.items() if path.endswith(end))
    changed = {} if path.endswith("/cancel") else {"metadata": {"x": "changed"}}
    return {"json": filled(next(known, changed), ids)}


def filled(template: Any, ids: Mapping[str, str]) -> Any:
    """`template` with the ids put in."""
    text = json.dumps(template)
    for name, object_id in ids.items():
        text = text.replace(f"{{{name}}}", object_id)
    return json.loads(text)


async def asked(
    web: Web, method: str, path: str, ids: Mapping[str, str], body: Any
) -> httpx.Response:
    """The answer to the route with these ids in its path."""
    return await web.client.request(method, f"{ORIGIN}{path.format(**ids)}", **body)


def as_made_up(answer: httpx.Response, ids: Mapping[str, str]) -> tuple[int, str]:
    """Status and body, each id replaced by its made-up form."""
    text = answer.text
    for object_id in ids.values():
        text = text.replace(object_id, made_up(object_id))
    return answer.status_code, text


async def everything(project: Project) -> list[Json]:
    """All that a project shows of itself."""
    paths = ["/assistants", "/files", "/vector_stores"]
    paths += [path.format(**project.ids) for path in (
        "/threads/{thread_id}",
        "/threads/{thread_id}/messages",
        "/threads/{thread_id}/runs",
        "/threads/{thread_id}/runs/{run_id}/steps",
        "/vector_stores/{vector_store_id}/files",
        "/vector_stores/{vector_store_id}/file_batches/{batch_id}",
    )]  # fmt: skip
    return [await project.web.get(path) for path in paths]


async def test_every_route_answers_to_an_id_of_another_project_as_to_none(
    ours: Project, theirs: Project
) -> None:
    """All ids in the path theirs, then only the last one below a parent of our own; nothing of theirs changes."""
    before = await everything(theirs)
    tried = 0
    for method, path in routes():
        names = re.findall(r"{(\w+)[}:]", path)
        for foreign in (names, names[-1:]) if names else ():
            ids = ours.ids | {name: theirs.ids[name] for name in foreign}
            odd = ours.ids | {name: made_up(theirs.ids[name]) for name in foreign}
            body = sent(method, path, ours.ids)
            answer = await asked(ours.web, method, path, ids, body)
            absent = await asked(ours.web, method, path, odd, body)
            assert answer.status_code == 404, (method, path, answer.text)
            assert as_made_up(absent, theirs.ids) == as_made_up(answer, theirs.ids), (method, path)
            tried += 1
    assert tried >= 60
    assert before == await everything(theirs)


async def test_the_owner_can_do_what_others_cannot(theirs: Project) -> None:
    """The same requests with the right key are found: the test above tries real ids with real bodies."""
    refused: list[tuple[str, str, str]] = []
    for method, path in routes():
        if method == "GET" and "{" in path:
            answer = await asked(theirs.web, method, path, theirs.ids, {})
            if answer.status_code == 404:
                refused.append((method, path, answer.text))
    assert [] == refused
    reach = [
        ("/threads/{thread_id}/runs/{run_id}/cancel", 200),
        ("/vector_stores/{vector_store_id}/search", 200),
        ("/uploads/{upload_id}/complete", 200),
    ]
    for path, status in reach:
        body = sent("POST", path, theirs.ids)
        answer = await asked(theirs.web, "POST", f"/v1{path}", theirs.ids, body)
        assert status == answer.status_code, answer.text


async def test_lists_hold_only_what_is_ones_own(ours: Project, theirs: Project) -> None:
    """Of every list without a parent; a cursor of theirs is as unknown as one that was made up."""
    tried: set[str] = set()
    for method, path in routes():
        if method != "GET" or "{" in path:
            continue
        text = (await asked(ours.web, method, path, {}, {})).text
        assert not [value for value in theirs.ids.values() if value in text], path
        own = [name for name, value in ours.ids.items() if value in text]
        tried |= {path} if own else set()
        for param in ("after", "before"):
            for cursor in theirs.ids.values():
                answers = [
                    await ours.web.client.get(f"{ORIGIN}{path}", params={param: each})
                    for each in (cursor, made_up(cursor))
                ]
                assert len({as_made_up(answer, theirs.ids) for answer in answers}) == 1, path
    assert {"/v1/assistants", "/v1/files", "/v1/vector_stores"} <= tried


async def test_messages_of_another_projects_run_are_not_listed(
    ours: Project, theirs: Project
) -> None:
    """The filter of a list of our own finds nothing of theirs."""
    path = f"/threads/{ours.ids['thread_id']}/messages"
    assert [] == (await ours.web.get(path, run_id=theirs.ids["run_id"]))["data"]


CODE: Json = {"code_interpreter": {"file_ids": ["{file_id}"]}}
SEARCH: Json = {"file_search": {"vector_store_ids": ["{vector_store_id}"]}}
HELPER: Json = {"file_search": {"vector_stores": [{"file_ids": ["{file_id}"]}]}}
IMAGE: Json = {
    "role": "user",
    "content": [{"type": "image_file", "image_file": {"file_id": "{image_id}"}}],
}
ATTACHED: tuple[Json, ...] = tuple(
    USER | {"attachments": [{"file_id": "{file_id}", "tools": [{"type": tool}]}]}
    for tool in ("code_interpreter", "file_search")
)
MESSAGES = (IMAGE, *ATTACHED)
RESOURCES = (CODE, SEARCH, HELPER)
OWN = "{own_assistant_id}"
REFERENCES: list[tuple[str, Json]] = [
    *(("/assistants", {"model": "scripted", "tool_resources": each}) for each in RESOURCES),
    *(("/assistants/{own_assistant_id}", {"tool_resources": each}) for each in (CODE, SEARCH)),
    *(("/threads", {"tool_resources": each}) for each in RESOURCES),
    *(("/threads", {"messages": [USER, each]}) for each in MESSAGES),
    *(("/threads/{own_thread_id}", {"tool_resources": each}) for each in (CODE, SEARCH)),
    *(("/threads/{own_thread_id}/messages", each) for each in MESSAGES),
    ("/threads/{own_thread_id}/runs", {"assistant_id": "{assistant_id}"}),
    *(
        ("/threads/{own_thread_id}/runs", {"assistant_id": OWN, "additional_messages": [each]})
        for each in MESSAGES
    ),
    ("/threads/runs", {"assistant_id": "{assistant_id}"}),
    *(("/threads/runs", {"assistant_id": OWN, "thread": {"messages": [e]}}) for e in MESSAGES),
    *(("/threads/runs", {"assistant_id": OWN, "thread": {"tool_resources": e}}) for e in RESOURCES),
    *(("/threads/runs", {"assistant_id": OWN, "tool_resources": e}) for e in (CODE, SEARCH)),
    ("/vector_stores", {"file_ids": ["{file_id}"]}),
    ("/vector_stores/{own_vector_store_id}/files", {"file_id": "{file_id}"}),
    ("/vector_stores/{own_vector_store_id}/file_batches", {"file_ids": ["{file_id}"]}),
    (
        "/vector_stores/{own_vector_store_id}/file_batches",
        {"files": [{"file_id": "{own_file_id}"}, {"file_id": "{file_id}"}]},
    ),
    ("/uploads/{own_upload_id}/complete", {"part_ids": ["{part_id}"]}),
]


async def test_nothing_of_another_project_can_be_named_in_a_body(
    ours: Project, theirs: Project
) -> None:
    """Refused as an id that was made up, and nothing was made or changed on the way, on either side."""
    await ours.web.post(f"/threads/{ours.ids['thread_id']}/runs/{ours.ids['run_id']}/cancel")
    run = f"/threads/{ours.ids['thread_id']}/runs/{ours.ids['run_id']}"
    await ours.web.settled(run)  # else the thread refuses whatever is named
    own = {f"own_{name}": value for name, value in ours.ids.items()}
    before = await everything(ours), await everything(theirs)
    for path, template in REFERENCES:
        answers: list[httpx.Response] = []
        for ids in (theirs.ids, {name: made_up(value) for name, value in theirs.ids.items()}):
            body = filled(template, own | ids)
            answers.append(await ours.web.client.post(path.format(**own), json=body))
        assert answers[0].status_code in (400, 404), (path, template, answers[0].text)
        assert len({as_made_up(answer, theirs.ids) for answer in answers}) == 1, answers[0].text
        assert before == (await everything(ours), await everything(theirs)), (path, template)


async def test_the_same_bodies_with_ones_own_ids_are_taken(ours: Project) -> None:
    """So the refusals above are about whose the objects are."""
    await ours.web.post(f"/threads/{ours.ids['thread_id']}/runs/{ours.ids['run_id']}/cancel")
    own = ours.ids | {f"own_{name}": value for name, value in ours.ids.items()}
    for path, template in REFERENCES:
        thread = await ours.web.thread()  # a new one each time: some of the bodies start a run
        ids = own | {"own_thread_id": thread["id"]}
        answer = await ours.web.client.post(path.format(**ids), json=filled(template, ids))
        assert 200 == answer.status_code, (path, template, answer.text)


async def test_keys_of_one_project_share_its_objects(home: House, theirs: Project) -> None:
    """Objects are the project's, not the key's; a revoked key takes none of them along."""
    web = await entered(home, "theirs")
    async with web.client:
        assert await everything(theirs) == await everything(Project(web, theirs.ids))
        first, _ = await home.services.keys.list()
        await home.services.keys.revoke(first.id)
        assert (
            theirs.ids["thread_id"] == (await web.get(f"/threads/{theirs.ids['thread_id']}"))["id"]
        )


async def test_at_the_same_time_each_key_gets_its_own(ours: Project, theirs: Project) -> None:
    """Requests of two projects that are under way together are not mixed up."""
    projects = [ours, theirs] * 20
    lists = await asyncio.gather(*(project.web.get("/assistants") for project in projects))
    found = [[assistant["id"] for assistant in page["data"]] for page in lists]
    assert [[project.ids["assistant_id"]] for project in projects] == found
