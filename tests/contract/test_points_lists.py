"""Lists over HTTP (contract, 1.3; points 16, 17, 18 and 50): order, ties, cursors, pages, filters, cost."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import FileSearchDetails, SearchResult, SearchText
from local_assistants.engine.ports import Emit, ToolResult, ToolSession
from tests.support.engine import CODE, FUNCTION, SEARCH, ScriptedTool, answering, calls

from .web import USER, Json, Web, open_web, path_of, told

EMPTY: Json = {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
NONE = "thread_" + "0" * 24
INVALID = "invalid_request_error"

Series = Callable[[Web, int], Awaitable[tuple[str, list[str]]]]
"""Makes so many objects of a kind; where they are listed, and their ids, oldest first."""


async def assistants(web: Web, count: int) -> tuple[str, list[str]]:
    """Assistants."""
    return "/assistants", [(await web.assistant())["id"] for _ in range(count)]


async def messages(web: Web, count: int) -> tuple[str, list[str]]:
    """Messages of one thread, beside another thread's."""
    path = f"/threads/{(await web.thread('elsewhere'))['id']}/messages"
    await web.post(path, USER)
    path = f"/threads/{(await web.thread())['id']}/messages"
    return path, [(await web.post(path, USER))["id"] for _ in range(count)]


async def runs(web: Web, count: int) -> tuple[str, list[str]]:
    """Runs of one thread, one after the other."""
    assistant = await web.assistant()
    await web.finished(assistant)
    path = f"/threads/{(await web.thread('hi'))['id']}/runs"
    ids: list[str] = []
    for _ in range(count):
        ids.append((await web.post(path, {"assistant_id": assistant["id"]}))["id"])
        await web.settled(f"{path}/{ids[-1]}")
    return path, ids


async def steps(web: Web, count: int) -> tuple[str, list[str]]:
    """Steps of one run: the tool's and the message's, as often as the script says."""
    run = await web.finished(await web.assistant(tools=[CODE]))
    path = f"{path_of(run)}/steps"
    events = await web.home.journal(await web.home.services.runs.get(run["thread_id"], run["id"]))
    return path, [e.data["id"] for e in events if e.name == "thread.run.step.created"][:count]


async def vector_stores(web: Web, count: int) -> tuple[str, list[str]]:
    """Vector stores."""
    return "/vector_stores", [(await web.post("/vector_stores"))["id"] for _ in range(count)]


async def files(web: Web, count: int) -> tuple[str, list[str]]:
    """Files."""
    return "/files", [(await web.upload())["id"] for _ in range(count)]


async def store_files(web: Web, count: int) -> tuple[str, list[str]]:
    """Files of one store; the same ones lie in another store, too."""
    _, ids = await files(web, count)
    await web.post("/vector_stores", {"file_ids": ids})
    store = await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}/files"
    for file_id in ids:
        await web.post(path, {"file_id": file_id})
    return path, ids


async def batch_files(web: Web, count: int) -> tuple[str, list[str]]:
    """Files of one batch, in a store that has further ones."""
    _, ids = await files(web, count + 1)
    store = await web.post("/vector_stores", {"file_ids": ids[:1]})
    path = f"/vector_stores/{store['id']}/file_batches"
    batch = await web.post(path, {"file_ids": ids[1:]})
    return f"{path}/{batch['id']}/files", ids[1:]


SERIES: list[Series] = [
    assistants,
    messages,
    runs,
    steps,
    vector_stores,
    files,
    store_files,
    batch_files,
]
each_list = pytest.mark.parametrize("series", SERIES, ids=[s.__name__ for s in SERIES])


async def in_pages(
    web: Web, path: str, order: str, cursor: str, start: str | None = None
) -> list[str]:
    """All ids of a list, or those beyond `start`, as a client reads it that pages in one direction by 7."""
    found: list[str] = []
    place = {cursor: start} if start else {}
    while True:
        page = await web.get(path, order=order, limit=7, **place)
        ids = [item["id"] for item in page["data"]]
        assert (ids[0], ids[-1]) == (page["first_id"], page["last_id"])
        found = found + ids if cursor == "after" else ids + found
        if not page["has_more"]:
            return found
        place = {cursor: ids[-1] if cursor == "after" else ids[0]}


def many_steps(folder: Path) -> AbstractAsyncContextManager[Web]:
    """An application whose runs have five steps: code, four times, and what they said."""
    turns = (*(calls("code_interpreter", {"n": n}) for n in range(4)), {"text": "Done."})
    return open_web(folder, turns, tools=[ScriptedTool("code_interpreter", answering("42"))])


@each_list
async def test_point_16_newest_first_and_ties_by_insertion(tmp_path: Path, series: Series) -> None:
    """Every list is newest first unless `asc` is asked for, although all objects are of the same second."""
    async with many_steps(tmp_path) as web:
        path, ids = await series(web, 5)
        newest, oldest = await web.get(path), await web.get(path, order="asc")
    assert 5 == len(set(ids))
    assert ids[::-1] == [item["id"] for item in newest["data"]]
    assert ids == [item["id"] for item in oldest["data"]]
    assert 1 == len({item["created_at"] for item in newest["data"]})


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("cursor", ["after", "before"])
async def test_point_16_a_burst_is_paged_without_gaps(web: Web, order: str, cursor: str) -> None:
    """120 messages made at once, paged by 7 in both orders and directions: each comes once, in one order."""
    thread = await web.thread()
    path = f"/threads/{thread['id']}/messages"
    made = await asyncio.gather(*(web.post(path, USER) for _ in range(120)))
    whole = [item["id"] for item in (await web.get(path, order=order, limit=100))["data"]]
    if cursor == "before":  # from the far end towards the front
        last = (await web.get(path, order="asc" if order == "desc" else "desc", limit=1))["data"][0]
        paged = await in_pages(web, path, order, "before", last["id"])
        paged.append(last["id"])
    else:
        paged = await in_pages(web, path, order, "after")
    assert {message["id"] for message in made} == set(paged)
    assert (120, whole) == (len(paged), paged[:100])


@each_list
async def test_point_17_pages_have_ends_and_say_if_more_follow(
    tmp_path: Path, series: Series
) -> None:
    """first_id, last_id and has_more are true for the first, a middle and the last page in both directions."""
    async with many_steps(tmp_path) as web:
        path, ids = await series(web, 5)
        new = ids[::-1]
        pages = [
            await web.get(path, limit=2),
            await web.get(path, limit=2, after=new[1]),
            await web.get(path, limit=2, after=new[2]),
            await web.get(path, limit=2, after=new[4]),
            await web.get(path, limit=2, before=new[4]),
            await web.get(path, limit=2, before=new[2]),
            await web.get(path, limit=2, before=new[0]),
            await web.get(path, limit=5),
            await web.get(path, limit=2, order="asc", before=ids[3]),
            await web.get(path, after=new[0], before=new[3]),
        ]
    wanted: list[tuple[list[str], bool]] = [
        (new[0:2], True),
        (new[2:4], True),
        (new[3:5], False),
        ([], False),
        (new[2:4], True),
        (new[0:2], False),
        ([], False),
        (new, False),
        (ids[1:3], True),
        (new[1:3], False),
    ]
    assert wanted == [([i["id"] for i in page["data"]], page["has_more"]) for page in pages]
    for page in pages:
        shown = [item["id"] for item in page["data"]] or [None]
        assert ["object", "data", "first_id", "last_id", "has_more"] == list(page)
        assert ("list", shown[0], shown[-1]) == (page["object"], page["first_id"], page["last_id"])


@each_list
async def test_point_17_a_cursor_that_names_nothing_is_refused(
    tmp_path: Path, series: Series
) -> None:
    """An id that is not of this list is a 400 for `after` and `before` (choice A16), also when it exists elsewhere."""
    async with many_steps(tmp_path) as web:
        path, _ = await series(web, 1)
        thread = await web.thread()
        errors = [
            await web.refused("GET", path, params={name: cursor})
            for name in ("after", "before")
            for cursor in (NONE, thread["id"], "x/y", "\ufffd")
        ]
    assert {(INVALID, "invalid_value")} == {(error["type"], error["code"]) for error in errors}
    assert ["after"] * 4 + ["before"] * 4 == [error["param"] for error in errors]


async def test_point_17_empty_lists_have_null_ends(web: Web) -> None:
    """The seven lists that may be empty show two nulls, neither empty strings nor missing keys."""
    thread, store = await web.thread(), await web.post("/vector_stores")
    paths = (
        "/assistants",
        "/files",
        f"/threads/{thread['id']}/messages",
        f"/threads/{thread['id']}/runs",
        f"/vector_stores/{store['id']}/files",
    )
    empty = [(await web.client.get(path)).text for path in paths]
    assert (
        5 * ['{"object":"list","data":[],"first_id":null,"last_id":null,"has_more":false}'] == empty
    )


@pytest.mark.parametrize(
    ("path", "highest"), [("/assistants", 100), ("/vector_stores", 100), ("/files", 10_000)]
)
async def test_limits_of_a_page(web: Web, path: str, highest: int) -> None:
    """From 1 to 100 (10,000 for files) are taken; beyond, the text, code and param are the API's."""
    assert EMPTY == await web.get(path, limit=1)
    assert EMPTY == await web.get(path, limit=highest)
    low = await web.refused("GET", path, params={"limit": 0})
    high = await web.refused("GET", path, params={"limit": highest + 1})
    assert told(low) == (
        "Invalid 'limit': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        INVALID,
        "limit",
        "integer_below_min_value",
    )
    assert told(high) == (
        f"Invalid 'limit': integer above maximum value. Expected a value <= {highest}, "
        f"but got {highest + 1} instead.",
        INVALID,
        "limit",
        "integer_above_max_value",
    )


async def test_a_page_has_twenty_and_files_have_all(web: Web) -> None:
    """The default limit is 20, that of files 10,000."""
    _, ids = await files(web, 25)
    _, more = await messages(web, 0)
    path = f"/threads/{(await web.thread(*map(str, range(25))))['id']}/messages"
    page, everything = await web.get(path), await web.get("/files")
    assert ([], 20, True) == (more, len(page["data"]), page["has_more"])
    assert (25, False) == (len(everything["data"]), everything["has_more"])
    assert ids[::-1] == [file["id"] for file in everything["data"]]


@pytest.mark.parametrize("order", ["up", "ASC", "created_at"])
async def test_an_order_that_does_not_exist(web: Web, order: str) -> None:
    """The refusal names the two orders."""
    error = await web.refused("GET", "/assistants", params={"order": order})
    message = f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'."
    assert (message, INVALID, "order", "invalid_value") == told(error)


async def test_point_18_messages_of_one_run(web: Web) -> None:
    """`run_id` narrows the messages to those of the run, in every page; of an unknown run there are none."""
    assistant = await web.assistant()
    first = await web.finished(assistant)
    thread = f"/threads/{first['thread_id']}"
    second = await web.post(f"{thread}/runs", {"assistant_id": assistant["id"]})
    await web.settled(path_of(second))
    path = f"{thread}/messages"
    everything = (await web.get(path))["data"]
    narrowed = [await web.get(path, run_id=run["id"]) for run in (first, second)]
    paged = await web.get(path, run_id=first["id"], limit=1, order="asc")
    none = await web.get(path, run_id="run_none")
    assert [second["id"], first["id"], None] == [message["run_id"] for message in everything]
    assert [[everything[1]], [everything[0]]] == [page["data"] for page in narrowed]
    assert ([everything[1]], False) == (paged["data"], paged["has_more"])
    assert EMPTY == none


async def found(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A search that finds one passage."""
    passage = (SearchText(text="Pears are green."),)
    result = SearchResult(file_id="file-1", file_name="a.txt", score=0.5, content=passage)
    return ToolResult("Pears are green.", search=FileSearchDetails(results=(result,)))


KEYS = ("include[]", "include", "include%5B%5D", "include[0]")
WANTED = (
    "step_details.tool_calls[*].file_search.results[*].content",
    "step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content",
)
SPELLINGS = [
    *(f"{key}={value}" for key in KEYS for value in WANTED),
    f"include[]={WANTED[0]}&include[]={WANTED[1]}",
    f"limit=20&include%5B%5D={WANTED[1]}&api-version=v1",
]


def contents(steps: list[Json]) -> list[object]:
    """What the search results of steps show as their content; None where there is none."""
    return [
        result.get("content")
        for step in steps
        for call in step["step_details"].get("tool_calls", ())
        for result in call["file_search"]["results"]
    ]


async def test_point_18_content_of_search_results_only_when_asked_for(tmp_path: Path) -> None:
    """`include[]` is taken in every spelling by the list of steps and by one step; without it there is no content."""
    turns = (calls("file_search", {"queries": ["pears"]}), {"text": "Green."})
    async with open_web(tmp_path, turns, tools=[ScriptedTool("file_search", found)]) as web:
        run = await web.finished(await web.assistant(tools=[SEARCH]))
        path = f"{path_of(run)}/steps"
        plain = (await web.get(path))["data"]
        asked = [(await web.get(f"{path}?{spelling}"))["data"] for spelling in SPELLINGS]
        step = plain[1]["id"]
        alone = [
            contents([await web.get(f"{path}/{step}{query}")])
            for query in ("", *(f"?{spelling}" for spelling in SPELLINGS))
        ]
        error = await web.refused("GET", f"{path}?include[]=content")
    text = [{"type": "text", "text": "Pears are green."}]
    assert [None] == contents(plain)
    assert [[text]] * len(SPELLINGS) == [contents(steps) for steps in asked]
    assert [[None], *[[text]] * len(SPELLINGS)] == alone
    assert told(error) == (
        f"Invalid value: 'content'. Supported values are: '{WANTED[0]}'.",
        INVALID,
        "include",
        "invalid_value",
    )


async def test_unknown_query_keys_are_ignored(web: Web) -> None:
    """A list, an object and a change take keys of other versions; keys without value count as not given."""
    query = "unknown=1&limit=&order=&after=&before=&run_id=&filter=&purpose="
    assistant = await web.assistant()
    thread = await web.thread("hi")
    listed = [
        await web.get(f"{path}?{query}")
        for path in ("/assistants", f"/threads/{thread['id']}/messages", "/files")
    ]
    one = await web.get(f"/assistants/{assistant['id']}?{query}")
    changed = await web.post(f"/assistants/{assistant['id']}?{query}", {})
    assert [1, 1, 0] == [len(page["data"]) for page in listed]
    assert [assistant, assistant] == [one, changed]


async def test_filters_of_store_files(web: Web) -> None:
    """`filter` narrows a store's and a batch's files to one status; another word is refused with the four."""
    good, bad = await web.upload(), await web.upload(b"unsupported", "a.bin")
    store = await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}"
    batch = await web.post(f"{path}/file_batches", {"file_ids": [good["id"], bad["id"]]})
    await web.settled(f"{path}/file_batches/{batch['id']}")
    shown = {
        (list_, status): [f["id"] for f in (await web.get(list_, filter=status))["data"]]
        for list_ in (f"{path}/files", f"{path}/file_batches/{batch['id']}/files")
        for status in ("completed", "failed", "in_progress", "cancelled")
    }
    error = await web.refused("GET", f"{path}/files?filter=done")
    assert [[good["id"]], [bad["id"]], [], []] * 2 == list(shown.values())
    assert told(error) == (
        "Invalid value: 'done'. Supported values are: 'in_progress', 'completed', 'failed', and 'cancelled'.",
        INVALID,
        "filter",
        "invalid_value",
    )


async def test_files_of_one_purpose(web: Web) -> None:
    """`purpose` narrows the list of files."""
    picture = await web.upload(purpose="vision")
    await web.upload()
    assert [picture] == (await web.get("/files", purpose="vision"))["data"]
    assert EMPTY == await web.get("/files", purpose="batch")


async def test_point_50_a_deleted_thread_takes_everything_along(web: Web) -> None:
    """Its messages, runs and steps are gone by every way to them; another thread's are all that is left."""
    assistant = await web.assistant()
    gone, kept = await web.finished(assistant), await web.finished(assistant)
    steps = [(await web.get(f"{path_of(run)}/steps"))["data"] for run in (gone, kept)]
    said = [
        (await web.get(f"/threads/{run['thread_id']}/messages"))["data"] for run in (gone, kept)
    ]
    answer = await web.delete(f"/threads/{gone['thread_id']}")
    dead = f"/threads/{gone['thread_id']}"
    paths = [
        dead,
        f"{dead}/messages",
        f"{dead}/messages?run_id={gone['id']}",
        f"{dead}/messages/{said[0][0]['id']}",
        f"{dead}/runs",
        f"{dead}/runs/{gone['id']}",
        f"{dead}/runs/{gone['id']}/steps",
        f"{dead}/runs/{gone['id']}/steps/{steps[0][0]['id']}",
    ]
    refusals = [await web.refused("GET", path, 404) for path in paths]
    alive = f"/threads/{kept['thread_id']}"
    left = [(await web.get(f"{alive}/{kind}"))["data"] for kind in ("messages", "runs")]
    smuggled = await web.get(f"{alive}/messages", run_id=gone["id"])
    assert answer == {"id": gone["thread_id"], "object": "thread.deleted", "deleted": True}
    unknown = f"No thread found with id '{gone['thread_id']}'."
    assert [unknown] * 6 == [refusal["message"] for refusal in refusals[:6]]
    assert f"No run found with id '{gone['id']}'." == refusals[6]["message"]
    assert [said[1], [kept]] == left
    assert [] == smuggled["data"]


async def test_point_50_a_waiting_run_does_not_keep_its_thread(tmp_path: Path) -> None:
    """A thread whose run waits for its client can be deleted; run and messages are gone at once."""
    async with open_web(tmp_path, (calls("add", {"a": 1}),)) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
        await web.delete(f"/threads/{run['thread_id']}")
        for path in (path_of(run), f"/threads/{run['thread_id']}/messages"):
            await web.refused("GET", path, 404)
        submit = f"{path_of(run)}/submit_tool_outputs"
        await web.refused("POST", submit, 404, json={"tool_outputs": []})
