"""An account that the official SDK has dumped becomes a data folder that a server goes on with."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai import OpenAI

from local_assistants import assemble
from local_assistants.engine.errors import InvalidRequest
from local_assistants.storage.checking import check
from local_assistants.storage.exporting import Wanted, export_folder, import_folder

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*[Dd]eprecated:DeprecationWarning"  # the SDK says so of every call
)

SCRIPT = Path(__file__).parents[2] / "examples" / "dump_with_sdk.py"
LOOK: Any = {"type": "function", "function": {"name": "look"}}
TURNS: list[dict[str, Any]] = [
    {"tool_calls": [{"name": "look", "arguments": {}}]},
    {"text": "You see {{tool}}."},
]
Start = Callable[[Path], OpenAI]


@pytest.fixture
def start(serve_settings: Callable[[assemble.Settings], Any], tmp_path: Path) -> Start:
    """Start a server on a data folder: a client for it."""
    script = tmp_path / "script.yaml"
    script.write_text(yaml.safe_dump({"turns": TURNS}))

    def serve(data: Path) -> OpenAI:
        server = serve_settings(assemble.Settings(model=f"scripted:{script}", data=data, port=0))
        return OpenAI(base_url=f"{server.address}/v1", api_key="none", max_retries=0)

    return serve


def look_round(client: OpenAI, thread_id: str, assistant_id: str) -> str:
    """A run that calls a function and ends; its id."""
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=assistant_id)
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread_id,
        tool_outputs=[{"tool_call_id": call.id, "output": "a door"}],
    )
    assert "completed" == run.status
    return run.id


def furnish(client: OpenAI) -> tuple[str, str]:
    """A conversation, a file in a vector store and in a list, a run that waits: ids of thread and assistant."""
    text = client.files.create(file=("walrus.csv", b"tusks\n2\n"), purpose="vision")
    store = client.vector_stores.create(name="sea")
    assistant = client.beta.assistants.create(
        model="gpt-4o",
        tools=[LOOK],
        metadata={"k": "v"},
        tool_resources={
            "code_interpreter": {"file_ids": [text.id]},
            "file_search": {"vector_store_ids": [store.id]},
        },
    )
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "look"}])
    look_round(client, thread.id, assistant.id)
    waiting = client.beta.threads.create(messages=[{"role": "user", "content": "look"}])
    client.beta.threads.runs.create_and_poll(thread_id=waiting.id, assistant_id=assistant.id)
    return thread.id, assistant.id


def dump(client: OpenAI, target: Path) -> Path:
    """Run the example as a user does."""
    environment = {**os.environ, "OPENAI_BASE_URL": str(client.base_url), "OPENAI_API_KEY": "none"}
    command = [sys.executable, str(SCRIPT), str(target), "--all-threads"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert 0 == done.returncode, done.stderr
    return target


def shown(client: OpenAI, thread_id: str) -> dict[str, Any]:
    """What clients see of a thread, as the SDK gives it."""
    threads = client.beta.threads
    runs = [run.to_dict() for run in threads.runs.list(thread_id, order="asc")]
    return {
        "thread": threads.retrieve(thread_id).to_dict(),
        "messages": [one.to_dict() for one in threads.messages.list(thread_id, order="asc")],
        "runs": runs,
        "steps": [
            step.to_dict()
            for run in runs
            for step in threads.runs.steps.list(str(run["id"]), thread_id=thread_id, order="asc")
        ],
    }


def test_a_server_goes_on_with_an_account(start: Start, tmp_path: Path) -> None:
    """Ids, messages, runs and steps are the same, files have their bytes, and runs go on."""
    there = start(tmp_path / "there")
    thread_id, assistant_id = furnish(there)
    source = dump(there, tmp_path / "account")
    made = import_folder(source, tmp_path / "here", Wanted(project="default"))
    report = check(tmp_path / "here")
    assert (True, "account") == (report.ok, made.staged.kind), report.kept
    assert ["1 runs were at work and are failed now"] == made.staged.notes

    here = start(tmp_path / "here")
    assert shown(there, thread_id) == shown(here, thread_id)
    assert there.beta.assistants.list().to_dict() == here.beta.assistants.list().to_dict()
    assert there.files.list().to_dict() == here.files.list().to_dict()
    (file,) = here.files.list().data
    assert b"tusks\n2\n" == here.files.content(file.id).read()
    assert there.vector_stores.list().to_dict() == here.vector_stores.list().to_dict()
    here.beta.threads.messages.create(thread_id, role="user", content="look again")
    look_round(here, thread_id, assistant_id)
    export_folder(tmp_path / "here", tmp_path / "ours")  # and leaves as any other folder


@pytest.mark.model
def test_bytes_that_are_not_given_back_are_the_text_of_them(start: Start, tmp_path: Path) -> None:
    """A file for assistants cannot be downloaded: what its vector store made of it is, and is indexed again."""
    there = start(tmp_path / "there")
    text = b"# Walruses\n\nThey have tusks."
    file = there.files.create(file=("walrus.md", text), purpose="assistants")
    store = there.vector_stores.create(name="sea")
    there.vector_stores.files.create_and_poll(file.id, vector_store_id=store.id)
    import_folder(dump(there, tmp_path / "account"), tmp_path / "here")
    here = start(tmp_path / "here")
    came = here.vector_stores.files.poll(file.id, vector_store_id=store.id)

    assert ("completed", "walrus.md.txt") == (came.status, here.files.retrieve(file.id).filename)
    found = here.vector_stores.search(store.id, query="tusks")
    assert [file.id] == [one.file_id for one in found.data]


def write(folder: Path, *records: dict[str, Any]) -> Path:
    """An account's dump."""
    (folder / "blobs").mkdir(parents=True)
    header: dict[str, Any] = {"type": "dump", "format": "local-assistants.account", "version": 1}
    counts: dict[str, int] = {}
    for record in (header, *records):
        counts[record["type"]] = counts.get(record["type"], 0) + 1
    lines = [header, *records, {"type": "end", "counts": counts}]
    (folder / "objects.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder


def obj(kind: str, **data: Any) -> dict[str, Any]:
    """A record."""
    return {"type": kind, "data": {"created_at": 1, **data}}


def test_what_other_servers_say_more_or_less_is_taken(tmp_path: Path) -> None:
    """Unknown fields and nulls; files without bytes are left out, also of lists; messages of unknown runs stay."""
    text: dict[str, Any] = {"type": "text", "text": {"value": "Hi", "annotations": []}, "new": 1}
    lists = {"code_interpreter": {"file_ids": ["file-gone"]}}
    source = write(
        tmp_path / "account",
        {"sha256": None, **obj("files", id="file-gone", purpose="assistants", filename="a", bytes=3)},
        obj("vector_stores", id="vs_1", status="completed", usage_bytes=9, file_counts={"total": 1}),
        obj("vector_store_files", id="file-gone", vector_store_id="vs_1", status="completed"),
        obj("assistants", id="asst_1", model="m", tool_resources=lists, metadata=None, flavour="x"),
        obj("threads", id="thread_1", tool_resources=None),
        obj("messages", id="msg_1", thread_id="thread_1", role="user", content=[text]),
        obj("messages", id="msg_2", thread_id="thread_1", role="assistant", content=[text],
            run_id="run_gone", status="in_progress"),
    )  # fmt: skip
    made = import_folder(source, tmp_path / "here")

    assert check(tmp_path / "here").ok
    assert (5, 2) == (made.added, len(made.staged.notes))


@pytest.mark.parametrize(
    "record",
    [
        obj("messages", id="msg_1", thread_id="thread_none", role="user"),
        obj("threads", id="../x"),
        obj("threads"),
        obj("runs", id="run_1", thread_id="thread_1", status="asleep"),
        obj("api_keys", id="key_1"),
        {"type": "threads", "data": []},
        {"sha256": "x", **obj("files", id="../objects.jsonl", purpose="a", filename="a", bytes=3)},
    ],
)
def test_a_hostile_account_is_refused(record: dict[str, Any], tmp_path: Path) -> None:
    """With the line; nothing is there afterwards."""
    source = write(tmp_path / "account", record)
    with pytest.raises(InvalidRequest, match=r"Line 2 of objects\.jsonl"):
        import_folder(source, tmp_path / "here")

    assert ["serving.lock"] == [path.name for path in (tmp_path / "here").iterdir()]
