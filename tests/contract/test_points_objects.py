"""What objects look like on the wire, field by field (contract, 1.4 to 1.16; points 19, 20, 41, 42, 45 and 51)."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from local_assistants.engine.chat import ToolCall
from local_assistants.engine.objects import FilePath, ImageOutput, LogsOutput
from local_assistants.engine.ports import Citation, Emit, ToolResult, ToolSession
from local_assistants.engine.requests.base import as_array, as_object
from tests.support.clock import START
from tests.support.engine import CODE, FUNCTION, SEARCH, ScriptedTool, answering, calls

from .web import USER, Json, Web, events_of, open_web, path_of

BASE62, HEX = "[0-9A-Za-z]", "[0-9a-f]"
FORMS = {
    "asst": f"asst_{BASE62}{{24}}",
    "thread": f"thread_{BASE62}{{24}}",
    "msg": f"msg_{BASE62}{{24}}",
    "run": f"run_{BASE62}{{24}}",
    "step": f"step_{BASE62}{{24}}",
    "call": f"call_{BASE62}{{24}}",
    "file": f"file-{BASE62}{{22}}",
    "vs": f"vs_{HEX}{{32}}",
    "vsfb": f"vsfb_{HEX}{{32}}",
    "upload": f"upload_{HEX}{{32}}",
    "part": f"part_{HEX}{{32}}",
}


def is_id(kind: str, value: object) -> bool:
    """Whether `value` has the form of this kind's ids."""
    return isinstance(value, str) and re.fullmatch(FORMS[kind], value) is not None


def text(made: Json) -> str:
    """An object as text: its keys' order counts, and 1.0 is not 1."""
    return json.dumps(made)


def said_text(value: str) -> Json:
    """A text part of an answer, without annotations."""
    return {"type": "text", "text": {"value": value, "annotations": []}}


async def test_a_bare_assistant(web: Web) -> None:
    """All fields in the wire's order, defaults filled in."""
    made = await web.post("/assistants", {"model": "scripted"})
    assert is_id("asst", made["id"])
    assert text(made) == text(
        {
            "id": made["id"],
            "object": "assistant",
            "created_at": START,
            "name": None,
            "description": None,
            "model": "scripted",
            "instructions": None,
            "tools": [],
            "top_p": 1.0,
            "temperature": 1.0,
            "reasoning_effort": None,
            "tool_resources": {},
            "metadata": {},
            "response_format": "auto",
        }
    )
    assert made == await web.get(f"/assistants/{made['id']}")


async def test_a_whole_assistant(web: Web) -> None:
    """Every field that can be sent comes back as it was sent."""
    store = await web.post("/vector_stores")
    file = await web.upload()
    schema = {"name": "answer", "description": "d", "schema": {"type": "object"}, "strict": True}
    sent: Json = {
        "name": "N" * 256,
        "description": "D",
        "model": "scripted",
        "instructions": "I",
        "tools": [CODE],
        "top_p": 0.5,
        "temperature": 2.0,
        "reasoning_effort": "low",
        "tool_resources": {
            "code_interpreter": {"file_ids": [file["id"]]},
            "file_search": {"vector_store_ids": [store["id"]]},
        },
        "metadata": {"k": "v", "": "", "ü": "𝄞"},
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    made = await web.post("/assistants", sent)
    assert text({"id": made["id"], "object": "assistant", "created_at": START} | sent) == text(made)


async def test_a_bare_thread(web: Web) -> None:
    """Empty resources are `{}` when it is made or changed, and an empty file list when it is read."""
    made = await web.post("/threads")
    expected: Json = {
        "id": made["id"],
        "object": "thread",
        "created_at": START,
        "metadata": {},
        "tool_resources": {},
    }
    changed = await web.post(f"/threads/{made['id']}", {})
    read = await web.get(f"/threads/{made['id']}")
    assert is_id("thread", made["id"])
    assert [text(expected)] * 2 == [text(made), text(changed)]
    shown: Json = {"tool_resources": {"code_interpreter": {"file_ids": []}}}
    assert text(expected | shown) == text(read)


async def test_a_streamed_thread_shows_its_file_list(web: Web) -> None:
    """thread.created carries the thread as a GET shows it."""
    assistant = await web.assistant()
    body = {"assistant_id": assistant["id"], "stream": True}
    answer = await web.client.post("/threads/runs", json=body)
    name, thread = events_of(answer.text)[0]
    assert "thread.created" == name
    assert text(await web.get(f"/threads/{thread['id']}")) == text(thread)


async def test_a_client_s_message(web: Web) -> None:
    """Made by a client it is completed and belongs to no run and no assistant."""
    thread = await web.thread()
    made = await web.post(f"/threads/{thread['id']}/messages", USER)
    assert is_id("msg", made["id"])
    assert text(made) == text(
        {
            "id": made["id"],
            "object": "thread.message",
            "created_at": START,
            "assistant_id": None,
            "thread_id": thread["id"],
            "run_id": None,
            "status": "completed",
            "incomplete_details": None,
            "incomplete_at": None,
            "completed_at": START,
            "role": "user",
            "content": [said_text("hi")],
            "attachments": [],
            "metadata": {},
        }
    )


async def test_a_run_s_message(web: Web) -> None:
    """Made by a run it names run and assistant; nothing else differs."""
    run = await web.finished(await web.assistant())
    said, asked = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"]
    own = {"id": said["id"], "assistant_id": run["assistant_id"], "run_id": run["id"]}
    content = [said_text("Hello there.")]
    assert is_id("msg", said["id"])
    assert text(asked | own | {"role": "assistant", "content": content}) == text(said)


async def test_a_new_and_a_finished_run(web: Web) -> None:
    """All fields in the wire's order: while queued, and what has changed at the end."""
    assistant = await web.assistant(instructions="I", temperature=0.5, reasoning_effort="low")
    made = await web.started(assistant)
    assert is_id("run", made["id"])
    assert text(made) == text(
        {
            "id": made["id"],
            "object": "thread.run",
            "created_at": START,
            "assistant_id": assistant["id"],
            "thread_id": made["thread_id"],
            "status": "queued",
            "started_at": None,
            "expires_at": START + 600,
            "cancelled_at": None,
            "failed_at": None,
            "completed_at": None,
            "required_action": None,
            "last_error": None,
            "model": "scripted",
            "instructions": "I",
            "tools": [],
            "tool_resources": {},
            "metadata": {},
            "temperature": 0.5,
            "top_p": 1.0,
            "reasoning_effort": "low",
            "max_completion_tokens": None,
            "max_prompt_tokens": None,
            "truncation_strategy": {"type": "auto", "last_messages": None},
            "incomplete_details": None,
            "usage": None,
            "response_format": "auto",
            "tool_choice": "auto",
            "parallel_tool_calls": True,
        }
    )
    ended = await web.settled(path_of(made))
    usage = ended["usage"]
    assert [
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_token_details",
        "completion_tokens_details",
    ] == list(usage)
    assert {"reasoning_tokens": 0} == usage["completion_tokens_details"]
    assert ["cached_tokens"] == list(usage["prompt_token_details"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    times = {"started_at": START, "completed_at": START, "expires_at": None}
    assert text(made | {"status": "completed", "usage": usage} | times) == text(ended)


async def test_a_run_with_every_setting(web: Web) -> None:
    """Overrides come back as they were sent, also through create-thread-and-run."""
    assistant = await web.assistant(model="scripted", metadata={"of": "the assistant"})
    sent: Json = {
        "model": "scripted",
        "instructions": "mine",
        "tools": [CODE],
        "metadata": {"k": "v"},
        "temperature": 0.0,
        "top_p": 0.0,
        "max_completion_tokens": 256,
        "max_prompt_tokens": 256,
        "truncation_strategy": {"type": "last_messages", "last_messages": 1},
        "response_format": {"type": "text"},
        "tool_choice": {"type": "code_interpreter"},
        "parallel_tool_calls": False,
    }
    start = {"assistant_id": assistant["id"]} | sent
    thread = await web.thread("hi")
    runs = [
        await web.post(f"/threads/{thread['id']}/runs", start | {"reasoning_effort": "high"}),
        await web.post("/threads/runs", start),
    ]
    assert [sent] * 2 == [{key: run[key] for key in sent} for run in runs]
    assert ["high", None] == [run["reasoning_effort"] for run in runs]


async def test_both_kinds_of_steps(tmp_path: Path) -> None:
    """All fields in the wire's order; an ended step no longer expires, by both names of that field."""
    turns = (calls("code_interpreter", {"code": "6*7"}), {"text": "42."})
    async with open_web(
        tmp_path, turns, tools=[ScriptedTool("code_interpreter", answering("42"))]
    ) as web:
        run = await web.finished(await web.assistant(tools=[CODE]))
        said, computed = (await web.get(f"{path_of(run)}/steps"))["data"]
        message = (await web.get(f"/threads/{run['thread_id']}/messages"))["data"][0]
    assert is_id("step", said["id"])
    assert text(said) == text(
        {
            "id": said["id"],
            "object": "thread.run.step",
            "created_at": START,
            "run_id": run["id"],
            "assistant_id": run["assistant_id"],
            "thread_id": run["thread_id"],
            "type": "message_creation",
            "status": "completed",
            "cancelled_at": None,
            "completed_at": START,
            "failed_at": None,
            "expires_at": None,
            "expired_at": None,
            "last_error": None,
            "step_details": {
                "type": "message_creation",
                "message_creation": {"message_id": message["id"]},
            },
            "usage": said["usage"],
            "metadata": {},
        }
    )
    call = computed["step_details"]["tool_calls"][0]
    own = {
        "id": computed["id"],
        "type": "tool_calls",
        "step_details": {"type": "tool_calls", "tool_calls": [call]},
        "usage": computed["usage"],
    }
    assert text(said | own) == text(computed)
    assert ["id", "type", "code_interpreter"] == list(call)
    assert ["input", "outputs"] == list(call["code_interpreter"])


async def test_a_vector_store(web: Web) -> None:
    """A bare one is born completed; one with an expiry counts it from its last use."""
    bare = await web.post("/vector_stores")
    sent = {
        "name": "S",
        "description": "D",
        "expires_after": {"anchor": "last_active_at", "days": 365},
        "metadata": {"k": "v"},
    }
    whole = await web.post("/vector_stores", sent)
    counts = dict.fromkeys(("in_progress", "completed", "failed", "cancelled", "total"), 0)
    expected = {
        "id": bare["id"],
        "object": "vector_store",
        "created_at": START,
        "name": None,
        "description": None,
        "usage_bytes": 0,
        "file_counts": counts,
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "last_active_at": START,
        "metadata": {},
    }
    assert is_id("vs", bare["id"])
    assert text(expected) == text(bare)
    own = {"id": whole["id"], "expires_at": START + 365 * 86_400}
    assert text(expected | sent | own) == text(whole)


async def test_a_store_s_file_and_a_batch(web: Web) -> None:
    """The file goes by its own id; a batch counts."""
    file, store = await web.upload(), await web.post("/vector_stores")
    path = f"/vector_stores/{store['id']}"
    attributes = {"s": "x", "n": 1.5, "b": True}
    made = await web.post(f"{path}/files", {"file_id": file["id"], "attributes": attributes})
    batch = await web.post(f"{path}/file_batches", {"file_ids": [file["id"]]})
    expected = {
        "id": file["id"],
        "object": "vector_store.file",
        "usage_bytes": 0,
        "created_at": START,
        "vector_store_id": store["id"],
        "status": "in_progress",
        "last_error": None,
        "chunking_strategy": {
            "type": "static",
            "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
        },
        "attributes": attributes,
    }
    assert text(expected) == text(made)
    assert is_id("vsfb", batch["id"])
    assert text(batch) == text(
        {
            "id": batch["id"],
            "object": "vector_store.files_batch",
            "created_at": START,
            "status": batch["status"],
            "vector_store_id": store["id"],
            "file_counts": batch["file_counts"],
        }
    )
    assert ["in_progress", "completed", "failed", "cancelled", "total"] == list(
        batch["file_counts"]
    )


async def test_a_file(web: Web) -> None:
    """The kind comes first, as on the wire, and a name in any script comes back unchanged."""
    made = await web.upload(b"12345", "Prüfung 测试 🍐.txt", "user_data")
    assert is_id("file", made["id"])
    assert text(made) == text(
        {
            "object": "file",
            "id": made["id"],
            "purpose": "user_data",
            "filename": "Prüfung 测试 🍐.txt",
            "bytes": 5,
            "created_at": START,
            "expires_at": None,
            "status": "processed",
            "status_details": None,
        }
    )
    gone = await web.delete(f"/files/{made['id']}")
    assert text({"id": made["id"], "object": "file", "deleted": True}) == text(gone)


async def test_an_upload_and_its_part(web: Web) -> None:
    """Pending it has no file; completed it shows one, made of its parts."""
    sent = {"filename": "b.txt", "purpose": "assistants", "bytes": 5, "mime_type": "text/plain"}
    made = await web.post("/uploads", sent)
    path = f"/uploads/{made['id']}"
    part = (await web.client.post(f"{path}/parts", files={"data": ("p", b"pears")})).json()
    done = await web.post(f"{path}/complete", {"part_ids": [part["id"]]})
    assert is_id("upload", made["id"])
    assert is_id("part", part["id"])
    expected = {
        "id": made["id"],
        "object": "upload",
        "bytes": 5,
        "created_at": START,
        "filename": "b.txt",
        "purpose": "assistants",
        "status": "pending",
        "expires_at": START + 3600,
    }
    assert text(expected) == text({key: made[key] for key in made if key != "file"})
    assert made.get("file") is None
    assert text(part) == text(
        {
            "id": part["id"],
            "object": "upload.part",
            "created_at": START,
            "upload_id": made["id"],
        }
    )
    file = await web.get(f"/files/{done['file']['id']}")
    assert text(expected | {"status": "completed", "file": file}) == text(done)


async def test_a_model(web: Web) -> None:
    """A list without cursors, and one model."""
    model = {"id": "scripted", "object": "model", "created": 0, "owned_by": "tests"}
    assert text({"object": "list", "data": [model]}) == text(await web.get("/models"))
    assert text(model) == text(await web.get("/models/scripted"))


# --- points ----------------------------------------------------------------------------------------


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


async def test_the_code_interpreter_s_file_list_is_shown(web: Web) -> None:
    """An assistant's resources are `{}` until the tool is on, then they show an empty list of files."""
    off = await web.assistant()
    on = await web.assistant(tools=[CODE])
    turned_on = await web.post(f"/assistants/{off['id']}", {"tools": [CODE]})
    listed: Json = {"code_interpreter": {"file_ids": []}}
    assert [{}, listed, listed] == [a["tool_resources"] for a in (off, on, turned_on)]


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


async def test_what_a_waiting_run_asks_for(tmp_path: Path) -> None:
    """required_action as a whole; a call goes by an id of ours."""
    async with open_web(tmp_path, (calls("add", {"a": 1}),)) as web:
        run = await web.finished(await web.assistant(tools=[FUNCTION]))
    action = run["required_action"]
    call = action["submit_tool_outputs"]["tool_calls"][0]
    assert is_id("call", call["id"])
    assert text(action) == text(
        {
            "type": "submit_tool_outputs",
            "submit_tool_outputs": {
                "tool_calls": [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": "add", "arguments": '{"a": 1}'},
                    }
                ]
            },
        }
    )
