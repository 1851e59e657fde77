"""Every object of the contract on the wire, field by field and in its order (1.4 to 1.16); ids in their forms."""

import json
import re
from pathlib import Path

from tests.support.answers import events_of
from tests.support.clock import START
from tests.support.engine import CODE, FUNCTION, ScriptedTool, answering, calls

from .web import USER, Json, Web, open_web, path_of, said_text

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
    attributes = {"s": "x", "n": 1.5, "b": True, "year": 2020, "id": 9007199254740993}
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


async def test_the_code_interpreter_s_file_list_is_shown(web: Web) -> None:
    """An assistant's resources are `{}` until the tool is on, then they show an empty list of files."""
    off = await web.assistant()
    on = await web.assistant(tools=[CODE])
    turned_on = await web.post(f"/assistants/{off['id']}", {"tools": [CODE]})
    listed: Json = {"code_interpreter": {"file_ids": []}}
    assert [{}, listed, listed] == [a["tool_resources"] for a in (off, on, turned_on)]
