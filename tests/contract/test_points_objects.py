"""How values look on the wire (contract, 1.4, 1.5, 1.9 and 4.9; points 19, 20, 41, 42, 45 and 51)."""

import json
from collections.abc import Iterator
from pathlib import Path

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import FilePath, ImageOutput, LogsOutput
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from local_assistants.engine.requests.base import as_array, as_object
from tests.support.answers import events_of
from tests.support.clock import START
from tests.support.engine import CODE, SEARCH, ScriptedTool, calls

from .web import USER, Json, Web, open_web, path_of, said_text


async def test_point_19_a_string_becomes_an_array_of_text(web: Web) -> None:
    """Content is an array of parts whichever way the message was made and whether it was sent as string or parts."""
    assistant = await web.assistant()
    parts = [{"type": "text", "text": "hi"}]
    for content in ("hi", parts):
        message = {"role": "user", "content": content}
        thread = await web.post("/threads", {"messages": [message]})
        await web.post(f"/threads/{thread['id']}/messages", message)
        body = {"assistant_id": assistant["id"]}
        run = await web.post(
            f"/threads/{thread['id']}/runs", body | {"additional_messages": [message]}
        )
        await web.settled(path_of(run))
        other = await web.post("/threads/runs", body | {"thread": {"messages": [message]}})
        asked = [
            made
            for id_ in (thread["id"], other["thread_id"])
            for made in (await web.get(f"/threads/{id_}/messages"))["data"]
            if made["role"] == "user"
        ]
        assert [[said_text("hi")]] * 4 == [made["content"] for made in asked]


async def test_point_20_absent_and_null_lists_and_maps_are_empty(web: Web) -> None:
    """metadata is `{}`, attachments and tools are `[]`; none of them is ever null."""
    nothing: list[Json] = [{}, {"metadata": None}]
    null = {"metadata": None, "tools": None, "tool_resources": None}
    assistants = [await web.assistant(**fields) for fields in ({}, null)]
    threads = [await web.post("/threads", fields) for fields in nothing]
    stores = [await web.post("/vector_stores", fields) for fields in nothing]
    path = f"/threads/{threads[0]['id']}"
    messages = [
        await web.post(f"{path}/messages", USER | fields)
        for fields in ({}, {"metadata": None, "attachments": None})
    ]
    runs = [
        await web.finished(assistants[0], **fields)
        for fields in ({}, {"metadata": None, "tools": None})
    ]
    steps = (await web.get(f"{path_of(runs[0])}/steps"))["data"]
    changed = [
        await web.post(f"/assistants/{assistants[0]['id']}", null),
        await web.post(path, {"metadata": None, "tool_resources": None}),
        await web.post(path_of(runs[0]), {"metadata": None}),
    ]
    made = [*assistants, *threads, *stores, *messages, *runs, *steps, *changed]
    assert [{}] * len(made) == [obj["metadata"] for obj in made]
    assert [[], []] == [message["attachments"] for message in messages]
    assert [[]] * 4 == [obj["tools"] for obj in (*assistants, *runs)]


PARAMETERS = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
RANKING = {"ranker": "default_2024_08_21", "score_threshold": 0.0, "hybrid_search": None}
TOOLS: list[tuple[Json, Json]] = [
    (CODE, CODE),
    (SEARCH, SEARCH | {"file_search": {"ranking_options": RANKING}}),
    (SEARCH | {"file_search": None}, SEARCH | {"file_search": {"ranking_options": RANKING}}),
    (SEARCH | {"file_search": {}}, SEARCH | {"file_search": {"ranking_options": RANKING}}),
    (
        SEARCH | {"file_search": {"max_num_results": 7}},
        SEARCH | {"file_search": {"max_num_results": 7, "ranking_options": RANKING}},
    ),
    (
        SEARCH | {"file_search": {"ranking_options": {"ranker": "auto", "score_threshold": 0.5}}},
        SEARCH | {"file_search": {"ranking_options": RANKING | {"score_threshold": 0.5}}},
    ),
    (
        {"type": "function", "function": {"name": "f"}},
        {
            "type": "function",
            "function": {
                "name": "f",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            },
        },
    ),
    (
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": PARAMETERS,
                "strict": True,
            },
        },
        {
            "type": "function",
            "function": {
                "name": "f",
                "description": "d",
                "parameters": PARAMETERS,
                "strict": True,
            },
        },
    ),
]


async def test_point_45_tools_come_back_filled_in(web: Web) -> None:
    """strict, parameters and ranking options are there, on assistants, changed ones and runs by both ways."""
    sent, wanted = [tool for tool, _ in TOOLS], [tool for _, tool in TOOLS]
    made = await web.assistant(tools=sent)
    changed = await web.post(f"/assistants/{(await web.assistant())['id']}", {"tools": sent})
    inherited = await web.started(made)
    bare = await web.assistant()
    thread = await web.thread("hi")
    runs = [
        await web.started(bare, tools=sent),
        await web.post(
            f"/threads/{thread['id']}/runs", {"assistant_id": bare["id"], "tools": sent}
        ),
    ]
    shown = [json.dumps(obj["tools"]) for obj in (made, changed, inherited, *runs)]
    assert [json.dumps(wanted)] * 5 == shown


def times_of(value: object) -> Iterator[tuple[str, object]]:
    """Every time in an answer, with its name."""
    for key, item in (as_object(value) or {}).items():
        if (key.endswith("_at") or key == "created") and item is not None:
            yield key, item
        yield from times_of(item)
    for item in as_array(value) or ():
        yield from times_of(item)


async def test_point_51_times_are_whole_seconds(web: Web) -> None:
    """Between two ticks of the clock, too: no floats, no milliseconds, in objects, lists and streams."""
    await web.home.virtual.advance(0.75)
    expiry = {"expires_after": {"anchor": "last_active_at", "days": 1}}
    assistant = await web.assistant()
    file = await web.upload()
    store = await web.post("/vector_stores", expiry | {"file_ids": [file["id"]]})
    stored = await web.settled(f"/vector_stores/{store['id']}/files/{file['id']}")
    run = await web.finished(assistant)
    body = {"assistant_id": assistant["id"], "stream": True}
    stream = await web.client.post("/threads/runs", json=body)
    seen = [
        *(assistant, file, store, stored, run, await web.get("/models")),
        await web.get(f"/threads/{run['thread_id']}/messages"),
        await web.get(f"{path_of(run)}/steps"),
        *(data for _, data in events_of(stream.text)),
    ]
    times = [found for obj in seen for found in times_of(obj)]
    assert {"created_at", "started_at", "completed_at", "expires_at", "last_active_at"} <= {
        name for name, _ in times
    }
    assert [] == [(name, value) for name, value in times if type(value) is not int]
    assert all(value in range(START, START + 86_402) for name, value in times if name != "created")


async def cited(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """A search that found one passage, to be cited by its number."""
    passage = Citation(session.first_citation, "file-7", "b.txt", "Pears are green.")
    return ToolResult("Pears are green.", citations=(passage,))


async def test_point_41_a_citation_s_text_is_in_the_value(tmp_path: Path) -> None:
    """value[start:end] is the marker, counted in code points also behind what takes two UTF-16 units or four bytes."""
    turns = (calls("file_search", {"queries": ["q"]}), {"text": "🍐🍐 é: green [1], really [1]."})
    async with open_web(tmp_path, turns, tools=[ScriptedTool("file_search", cited)]) as web:
        run = await web.finished(await web.assistant(tools=[SEARCH]))
        message = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"][0]
    shown = message["content"][0]["text"]
    marks = shown["annotations"]
    assert 2 == len(marks)
    assert [mark["text"] for mark in marks] == [
        shown["value"][mark["start_index"] : mark["end_index"]] for mark in marks
    ]
    assert len("🍐🍐 é: green ") == marks[0]["start_index"]
    assert marks[0]["text"].startswith("【")
    assert ["file-7"] * 2 == [mark["file_citation"]["file_id"] for mark in marks]


async def plotted(call: ToolCall, session: ToolSession, emit: Emit) -> ToolResult:
    """Code that prints and shows two pictures."""
    await emit(LogsOutput(logs="42\n"))
    assert session.save_file is not None
    ids = [(await session.save_file(f"{name}.png", name.encode())).id for name in ("a", "b")]
    for file_id in ids:
        await emit(ImageOutput(image=FilePath(file_id=file_id)))
    return ToolResult("42\n", images=tuple(ids))


async def test_point_42_pictures_stand_before_the_text_and_can_be_fetched(tmp_path: Path) -> None:
    """Each part has an index of its own in the stream, the same as in the message; the file id gives the bytes."""
    turns = (calls("code_interpreter", {"code": "plot()"}), {"text": "See."})
    async with open_web(tmp_path, turns, tools=[ScriptedTool("code_interpreter", plotted)]) as web:
        assistant = await web.assistant(tools=[CODE])
        body = {"assistant_id": assistant["id"], "stream": True}
        events = events_of((await web.client.post("/threads/runs", json=body)).text)
        message = next(data for name, data in events if name == "thread.message.completed")
        pictures = message["content"][:2]
        files = [part["image_file"]["file_id"] for part in pictures]
        fetched = [(await web.client.get(f"/files/{id_}/content")).content for id_ in files]
        purposes = [(await web.get(f"/files/{id_}"))["purpose"] for id_ in files]
    parts = [
        (part["index"], part["type"])
        for name, data in events
        if name == "thread.message.delta"
        for part in data["delta"]["content"]
    ]
    kinds = ["image_file", "image_file", "text"]
    assert kinds == [part["type"] for part in message["content"]]
    assert list(enumerate(kinds)) == list(dict.fromkeys(parts))
    assert ([b"a", b"b"], ["assistants_output"] * 2) == (fetched, purposes)
